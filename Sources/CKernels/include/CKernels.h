// CKernels: the loops that process every byte of every file, with the widest vector instructions of the processor. All
// forms of a loop give the same results, bit for bit. The form is chosen once and is not part of any stored format.
// Nothing here reads files. `ck_many_open` allocates what it returns, and the cipher allocates a shared manager once.
// Nothing else is allocated here.
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

// HMAC-SHA-256 of many strings at once. `ck_many_open` gives NULL where that cannot be had. For one thread at a time;
// closing wipes what is left of the strings.
void *ck_many_open(void);
void ck_many_close(void *many);

// A key (RFC 2104), as SHA-256 has absorbed it: inner and outer pad combined with it, a block each.
typedef struct {
    uint8_t inner[32];
    uint8_t outer[32];
} ck_hmac_key;
void ck_many_key(void *many, const uint8_t inner[64], const uint8_t outer[64], ck_hmac_key *key);

enum { ck_most_strings = 128, ck_most_string_bytes = 65535 };

// The strings are `count` bytes in pieces of `piece`, the last perhaps shorter; their tags of 32 bytes are written one
// after the other. False when the library declines, which is an error of ours.
bool ck_many_hmac_sha256(
    void *many, const ck_hmac_key *key, const uint8_t *bytes, size_t count, size_t piece, uint8_t *tags);

// AES-256-GCM (NIST SP 800-38D) on the widest vectors. A cipher is so many bytes at an address that 64 divides; none
// where it cannot be had. Wiping it is the owner's affair.
size_t ck_gcm_bytes(void);
void ck_gcm_key(void *cipher, const uint8_t key[32]);
// Begins a string; `authenticated` is bound to it and not encrypted.
void ck_gcm_begin(void *cipher, const uint8_t nonce[12], const uint8_t *authenticated, size_t count);
// The next bytes of the string, either way; `output` may be where `input` is.
void ck_gcm_seal(void *cipher, uint8_t *output, const uint8_t *input, size_t count);
void ck_gcm_open(void *cipher, uint8_t *output, const uint8_t *input, size_t count);
// Ends the string with its tag, which is for the caller to compare when it was opened.
void ck_gcm_tag(void *cipher, uint8_t tag[16]);

#endif
