// The scan with AVX2: eight positions a vector, four apart, so that four loads cover 32 neighbours.
#include "scan.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx2")))
#define READ 67

// AVX2 compares signed numbers only; adding 2^31 to both sides keeps the order.
typedef struct {
    __m256i multiplier, addend, threshold;
} lanes;

TARGET static inline lanes spread(const ck_test *test) {
    const uint32_t sign = UINT32_C(1) << 31;
    return (lanes){
        _mm256_set1_epi32((int)test->multiplier),
        _mm256_set1_epi32((int)(test->addend + sign)),
        _mm256_set1_epi32((int)(test->threshold + sign)),
    };
}

// The hashes of the positions 0, 4, ... 28 from `word` on.
TARGET static inline __m256i hash(const lanes *test, const uint8_t *word) {
    __m256i words = _mm256_loadu_si256((const __m256i *)word);
    return _mm256_add_epi32(_mm256_mullo_epi32(words, test->multiplier), test->addend);
}

// The smallest hash in each column of 32 positions.
TARGET static inline __m256i least(const lanes *test, const uint8_t *word) {
    return _mm256_min_epi32(
        _mm256_min_epi32(hash(test, word), hash(test, word + 1)),
        _mm256_min_epi32(hash(test, word + 2), hash(test, word + 3)));
}

TARGET static inline bool any(const lanes *test, const uint8_t *word) {
    __m256i smallest = _mm256_min_epi32(least(test, word), least(test, word + 32));
    return _mm256_movemask_epi8(_mm256_cmpgt_epi32(test->threshold, smallest)) != 0;
}

// For the positions `offset`, `offset` + 4, ...: all ones in byte `offset` of a lane that passes. The four
// columns together have a byte for each position, in order.
TARGET static inline __m256i column(const lanes *test, const uint8_t *word, int offset) {
    __m256i passes = _mm256_cmpgt_epi32(test->threshold, hash(test, word + offset));
    return _mm256_and_si256(passes, _mm256_set1_epi32((int)(UINT32_C(0xff) << 8 * offset)));
}

TARGET static inline uint32_t mask32(const lanes *test, const uint8_t *word) {
    __m256i passes = _mm256_or_si256(
        _mm256_or_si256(column(test, word, 0), column(test, word, 1)),
        _mm256_or_si256(column(test, word, 2), column(test, word, 3)));
    return (uint32_t)_mm256_movemask_epi8(passes);
}

TARGET static inline uint64_t mask(const lanes *test, const uint8_t *word) {
    return mask32(test, word) | (uint64_t)mask32(test, word + 32) << 32;
}

#define SCAN ck_scan_avx2
#include "scan_loop.h"
#endif
