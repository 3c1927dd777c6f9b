// The scan with NEON, which every 64-bit ARM has: four positions a vector, four apart.
#include "scan.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#define TARGET
#define READ 67

typedef struct {
    uint32x4_t multiplier, addend, threshold;
} lanes;

static inline lanes spread(const ck_test *test) {
    return (lanes){vdupq_n_u32(test->multiplier), vdupq_n_u32(test->addend), vdupq_n_u32(test->threshold)};
}

// The hashes of the positions 0, 4, 8 and 12 from `word` on.
static inline uint32x4_t hash(const lanes *test, const uint8_t *word) {
    return vmlaq_u32(test->addend, vreinterpretq_u32_u8(vld1q_u8(word)), test->multiplier);
}

// The smallest hash in each column of 16 positions.
static inline uint32x4_t least(const lanes *test, const uint8_t *word) {
    return vminq_u32(
        vminq_u32(hash(test, word), hash(test, word + 1)),
        vminq_u32(hash(test, word + 2), hash(test, word + 3)));
}

static inline bool any(const lanes *test, const uint8_t *word) {
    uint32x4_t smallest = vminq_u32(
        vminq_u32(least(test, word), least(test, word + 16)),
        vminq_u32(least(test, word + 32), least(test, word + 48)));
    return vmaxvq_u32(vcltq_u32(smallest, test->threshold)) != 0;
}

// Sixteen bytes in the order of positions: all ones where the position passes.
static inline uint8x16_t passes(const lanes *test, const uint8_t *word) {
    uint32x4_t columns = vdupq_n_u32(0);
    for (int offset = 0; offset < 4; offset++) {
        uint32x4_t column = vcltq_u32(hash(test, word + offset), test->threshold);
        columns = vorrq_u32(columns, vandq_u32(column, vdupq_n_u32(UINT32_C(0xff) << 8 * offset)));
    }
    return vreinterpretq_u8_u32(columns);
}

// NEON has no movemask: each byte keeps the bit of its place among eight, and three pairwise additions
// gather eight bytes into one.
static inline uint64_t mask(const lanes *test, const uint8_t *word) {
    const uint8x16_t places = vreinterpretq_u8_u64(vdupq_n_u64(UINT64_C(0x8040201008040201)));
    uint8x16_t low = vpaddq_u8(
        vandq_u8(passes(test, word), places), vandq_u8(passes(test, word + 16), places));
    uint8x16_t high = vpaddq_u8(
        vandq_u8(passes(test, word + 32), places), vandq_u8(passes(test, word + 48), places));
    uint8x16_t sums = vpaddq_u8(low, high);
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)), 0);
}

#define SCAN ck_scan_neon
#include "scan_loop.h"
#endif
