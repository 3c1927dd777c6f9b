// XXH3 at the width of the processor. libxxhash for x86-64 is compiled for SSE2 and brings wider forms with a
// dispatch of its own. Two things about the dispatch (as of 0.8.1) need care:
//
// - Its forms leave the upper halves of the vector registers in use. SSE code, which is nearly all of the
//   rest of the program, is slow until they are cleared: the SSE4.1 scan ran at 4.9 instead of 18.3 GB/s
//   (Zen 5).
// - Its first call chooses, without a lock. So the first call is made before there are threads.
#include "CKernels.h"
#include <xxhash.h>

static ck_hash128 hash128(XXH128_hash_t hash) { return (ck_hash128){hash.low64, hash.high64}; }

#if defined(__x86_64__)
#include <immintrin.h>

// Weak, because a libxxhash may come without the dispatch.
#pragma weak XXH3_64bits_dispatch
#pragma weak XXH3_128bits_dispatch
#pragma weak XXH3_128bits_withSecret_dispatch
XXH64_hash_t XXH3_64bits_dispatch(const void *, size_t);
XXH128_hash_t XXH3_128bits_dispatch(const void *, size_t);
XXH128_hash_t XXH3_128bits_withSecret_dispatch(const void *, size_t, const void *, size_t);

// Whether the dispatch is there and has more to offer than SSE2. Set before main, then only read.
static bool has_wide;

__attribute__((constructor)) static void choose(void) {
    __builtin_cpu_init();
    if (!XXH3_64bits_dispatch || !XXH3_128bits_dispatch || !XXH3_128bits_withSecret_dispatch
        || !__builtin_cpu_supports("avx2"))
        return;
    has_wide = true;
    static const uint8_t zeros[1024];
    ck_xxh3_64(zeros, sizeof zeros);
    ck_xxh3_128(zeros, sizeof zeros);
}

__attribute__((target("avx"), noinline)) static void clear_upper_halves(void) { _mm256_zeroupper(); }

// XXH3 has vectors for inputs over 240 bytes only.
static inline bool is_wide(size_t count) { return has_wide && count > 240; }

uint64_t ck_xxh3_64(const void *bytes, size_t count) {
    if (!is_wide(count)) return XXH3_64bits(bytes, count);
    uint64_t hash = XXH3_64bits_dispatch(bytes, count);
    clear_upper_halves();
    return hash;
}

ck_hash128 ck_xxh3_128(const void *bytes, size_t count) {
    if (!is_wide(count)) return hash128(XXH3_128bits(bytes, count));
    XXH128_hash_t hash = XXH3_128bits_dispatch(bytes, count);
    clear_upper_halves();
    return hash128(hash);
}

ck_hash128 ck_xxh3_128_with_secret(
    const void *bytes, size_t count, const void *secret, size_t secret_count) {
    if (!is_wide(count)) return hash128(XXH3_128bits_withSecret(bytes, count, secret, secret_count));
    XXH128_hash_t hash = XXH3_128bits_withSecret_dispatch(bytes, count, secret, secret_count);
    clear_upper_halves();
    return hash128(hash);
}

#else

uint64_t ck_xxh3_64(const void *bytes, size_t count) { return XXH3_64bits(bytes, count); }

ck_hash128 ck_xxh3_128(const void *bytes, size_t count) { return hash128(XXH3_128bits(bytes, count)); }

ck_hash128 ck_xxh3_128_with_secret(
    const void *bytes, size_t count, const void *secret, size_t secret_count) {
    return hash128(XXH3_128bits_withSecret(bytes, count, secret, secret_count));
}

#endif
