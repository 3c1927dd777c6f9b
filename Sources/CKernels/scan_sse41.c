// The scan with SSE4.1: four positions a vector, four apart, so that four loads cover 16 neighbours.
#include "scan.h"

#if defined(__x86_64__)
#include <smmintrin.h>

#define TARGET __attribute__((target("sse4.1")))
#define READ 67

// SSE compares signed numbers only; adding 2^31 to both sides keeps the order.
typedef struct {
    __m128i multiplier, addend, threshold;
} lanes;

TARGET static inline lanes spread(const ck_test *test) {
    const uint32_t sign = UINT32_C(1) << 31;
    return (lanes){
        _mm_set1_epi32((int)test->multiplier),
        _mm_set1_epi32((int)(test->addend + sign)),
        _mm_set1_epi32((int)(test->threshold + sign)),
    };
}

// The hashes of the positions 0, 4, 8 and 12 from `word` on.
TARGET static inline __m128i hash(const lanes *test, const uint8_t *word) {
    __m128i words = _mm_loadu_si128((const __m128i *)word);
    return _mm_add_epi32(_mm_mullo_epi32(words, test->multiplier), test->addend);
}

// The smallest hash in each column of 16 positions.
TARGET static inline __m128i least(const lanes *test, const uint8_t *word) {
    return _mm_min_epi32(
        _mm_min_epi32(hash(test, word), hash(test, word + 1)),
        _mm_min_epi32(hash(test, word + 2), hash(test, word + 3)));
}

TARGET static inline bool any(const lanes *test, const uint8_t *word) {
    __m128i smallest = _mm_min_epi32(
        _mm_min_epi32(least(test, word), least(test, word + 16)),
        _mm_min_epi32(least(test, word + 32), least(test, word + 48)));
    return _mm_movemask_epi8(_mm_cmpgt_epi32(test->threshold, smallest)) != 0;
}

// For the positions `offset`, `offset` + 4, ...: all ones in byte `offset` of a lane that passes. The four
// columns together have a byte for each position, in order.
TARGET static inline __m128i column(const lanes *test, const uint8_t *word, int offset) {
    __m128i passes = _mm_cmpgt_epi32(test->threshold, hash(test, word + offset));
    return _mm_and_si128(passes, _mm_set1_epi32((int)(UINT32_C(0xff) << 8 * offset)));
}

TARGET static inline uint64_t mask16(const lanes *test, const uint8_t *word) {
    __m128i passes = _mm_or_si128(
        _mm_or_si128(column(test, word, 0), column(test, word, 1)),
        _mm_or_si128(column(test, word, 2), column(test, word, 3)));
    return (uint64_t)_mm_movemask_epi8(passes);
}

TARGET static inline uint64_t mask(const lanes *test, const uint8_t *word) {
    return mask16(test, word) | mask16(test, word + 16) << 16 | mask16(test, word + 32) << 32
        | mask16(test, word + 48) << 48;
}

#define SCAN ck_scan_sse41
#include "scan_loop.h"
#endif
