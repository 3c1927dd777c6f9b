// The scan one position at a time, for processors that no vector kernel fits.
#include "scan.h"

size_t ck_scan_scalar(
    const ck_test *test, const uint8_t *bytes, size_t *position, size_t last, uint32_t *found,
    size_t capacity) {
    size_t at = *position;
    size_t count = 0;
    for (; at <= last; at++) {
        if (!is_candidate(test, bytes + at - 4)) continue;
        if (count == capacity) break;
        found[count++] = (uint32_t)at;
    }
    *position = at;
    return count;
}
