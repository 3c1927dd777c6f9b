// The scan with AVX-512: sixteen positions a vector, four apart.
//
// Two loads, four bytes apart, hold all words of a block; funnel shifts (VBMI2) make the words between.
// Loading each of the four vectors is no slower from the second-level cache (and 15 instead of 28 GB/s from
// memory on Zen 5): an unaligned load of 64 bytes always takes two cache lines.
#include "scan.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512vbmi2")))
#define READ 68

typedef struct {
    __m512i multiplier, addend, threshold;
} lanes;

TARGET static inline lanes spread(const ck_test *test) {
    return (lanes){
        _mm512_set1_epi32((int)test->multiplier),
        _mm512_set1_epi32((int)test->addend),
        _mm512_set1_epi32((int)test->threshold),
    };
}

TARGET static inline __m512i hash(const lanes *test, __m512i words) {
    return _mm512_add_epi32(_mm512_mullo_epi32(words, test->multiplier), test->addend);
}

// The hashes of the 64 positions from `word` on: the positions 0, 4, ... 60 are in `of[0]`, 1, 5, ... in `of[1]`.
typedef struct {
    __m512i of[4];
} hashes;

TARGET static inline hashes block(const lanes *test, const uint8_t *word) {
    __m512i words = _mm512_loadu_si512(word);
    __m512i next = _mm512_loadu_si512(word + 4);
    return (hashes){{
        hash(test, words),
        hash(test, _mm512_shrdi_epi32(words, next, 8)),
        hash(test, _mm512_shrdi_epi32(words, next, 16)),
        hash(test, _mm512_shrdi_epi32(words, next, 24)),
    }};
}

TARGET static inline bool any(const lanes *test, const uint8_t *word) {
    hashes all = block(test, word);
    __m512i smallest = _mm512_min_epu32(
        _mm512_min_epu32(all.of[0], all.of[1]), _mm512_min_epu32(all.of[2], all.of[3]));
    return _mm512_cmplt_epu32_mask(smallest, test->threshold) != 0;
}

// All ones in byte `offset` of each lane that passes.
TARGET static inline __m512i column(const lanes *test, __m512i hash, int offset) {
    __mmask16 passes = _mm512_cmplt_epu32_mask(hash, test->threshold);
    return _mm512_maskz_set1_epi32(passes, (int)(UINT32_C(0xff) << 8 * offset));
}

TARGET static inline uint64_t mask(const lanes *test, const uint8_t *word) {
    hashes all = block(test, word);
    return _mm512_movepi8_mask(_mm512_or_si512(
        _mm512_or_si512(column(test, all.of[0], 0), column(test, all.of[1], 1)),
        _mm512_or_si512(column(test, all.of[2], 2), column(test, all.of[3], 3))));
}

#define SCAN ck_scan_avx512
#include "scan_loop.h"
#endif
