// The scan that all vector kernels share, included once by each. Before that, a kernel defines
//
//   SCAN          the function's name
//   TARGET        the attribute that lets the compiler use the instructions
//   READ          how many bytes `any` and `mask` read: 67 make up the words of 64 positions; at most 68
//   lanes         a type: the test, spread over vectors
//   spread        makes one from a ck_test
//   any           whether a block of 64 positions has a candidate; `word` is 4 before the first position
//   mask          which ones they are: bit i for position i
//
// Nearly every block has none, so `any` decides the speed: it takes a minimum over all lanes and compares
// once. `mask` works a block out again, which costs less than keeping every comparison.

_Static_assert(READ >= ck_block + 3 && READ <= ck_block + 4, "the tail fits one block");

TARGET size_t SCAN(
    const ck_test *test, const uint8_t *bytes, size_t *position, size_t last, uint32_t *found,
    size_t capacity) {
    const lanes wide_test = spread(test);
    // A block that starts at `at` may be read whole while at + reach <= last.
    const size_t reach = READ - 4;
    size_t at = *position;
    size_t count = 0;
    for (;;) {
        while (at + reach <= last && !any(&wide_test, bytes + at - 4)) {
            __builtin_prefetch(bytes + at + prefetch_distance);
            at += ck_block;
        }
        if (at > last || count + ck_block > capacity) break;
        if (at + reach > last) {
            for (; at <= last; at++) {
                if (is_candidate(test, bytes + at - 4)) found[count++] = (uint32_t)at;
            }
            break;
        }
        for (uint64_t bits = mask(&wide_test, bytes + at - 4); bits; bits &= bits - 1) {
            found[count++] = (uint32_t)at + (uint32_t)__builtin_ctzll(bits);
        }
        at += ck_block;
    }
    *position = at;
    return count;
}
