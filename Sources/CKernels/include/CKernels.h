// CKernels: the loops that see every byte of every file, in the widest form that the processor has. All
// forms of a loop give the same results, bit for bit; which one runs is settled once and is no part of
// any format. Nothing here allocates, reads files or keeps anything between calls.
#ifndef CKERNELS_H
#define CKERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The candidate test: `w * multiplier + addend < threshold`, modulo 2^32, `w` being the little-endian word
// of the four bytes before a position.
typedef struct {
    uint32_t multiplier;
    uint32_t addend;
    uint32_t threshold;
} ck_test;

// The least capacity of a scan's list: one block of positions.
enum { ck_block = 64 };

// Lists the candidates among the positions from `*position` through `last`, ascending, until all are
// tested or the next block of 64 might not fit. `*position` becomes the first position not tested; the
// scan is finished when it exceeds `last`.
//
// Position p is tested by reading bytes[p - 4] to bytes[p - 1]; nothing else is read. So `*position` is
// at least 4, and bytes[*position - 4] to bytes[last - 1] must be readable. `capacity` is at least
// `ck_block`, and `last` fits 32 bits. Returns how many positions are in `found`.
typedef size_t ck_scan(
    const ck_test *test, const uint8_t *bytes, size_t *position, size_t last, uint32_t *found,
    size_t capacity);

// A form of the scan, and its name for people.
typedef struct {
    const char *name;
    ck_scan *scan;
} ck_kernel;

enum { ck_most_kernels = 4 };

// Fills `kernels` with those that this processor can run, the fastest first and "scalar" last. Returns how
// many there are.
size_t ck_kernels(ck_kernel kernels[ck_most_kernels]);

// The first position p with bytes[p] == first and bytes[p + 1] == second, both within `count`; `count` if there is
// none.
size_t ck_find_pair(const uint8_t *bytes, size_t count, uint8_t first, uint8_t second);

// XXH3 as libxxhash computes it, through its own dispatch where the library has one. Inputs need no
// alignment. Safe on any number of threads.
typedef struct {
    uint64_t low;
    uint64_t high;
} ck_hash128;
uint64_t ck_xxh3_64(const void *bytes, size_t count);
ck_hash128 ck_xxh3_128(const void *bytes, size_t count);
ck_hash128 ck_xxh3_128_with_secret(
    const void *bytes, size_t count, const void *secret, size_t secret_count);

// Whether the processor has instructions for AES and for the product that GCM needs.
bool ck_has_aes(void);

#endif
