// What the kernels share among themselves.
#ifndef CKERNELS_SCAN_H
#define CKERNELS_SCAN_H

#include "CKernels.h"

ck_scan ck_scan_scalar;
#if defined(__x86_64__)
ck_scan ck_scan_sse41, ck_scan_avx2, ck_scan_avx512;
#elif defined(__aarch64__)
ck_scan ck_scan_neon;
#endif

// How far ahead a scan asks for memory, in bytes, as measured in docs/performance.md. Asking for what lies
// past the end of the buffer does no harm.
enum { prefetch_distance = 8192 };

// The test of one position, whose four bytes begin at `word`.
static inline bool is_candidate(const ck_test *test, const uint8_t *word) {
    uint32_t w = (uint32_t)word[0] | (uint32_t)word[1] << 8 | (uint32_t)word[2] << 16
        | (uint32_t)word[3] << 24;
    return w * test->multiplier + test->addend < test->threshold;
}

#endif
