// Which kernels this processor can run.
#include "scan.h"

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

size_t ck_kernels(ck_kernel kernels[ck_most_kernels]) {
    size_t count = 0;
#if defined(__x86_64__)
    __builtin_cpu_init();
    // These ask whether the operating system saves the registers, too.
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512vbmi2")) {
        kernels[count++] = (ck_kernel){"avx512", ck_scan_avx512};
    }
    if (__builtin_cpu_supports("avx2")) kernels[count++] = (ck_kernel){"avx2", ck_scan_avx2};
    if (__builtin_cpu_supports("sse4.1")) kernels[count++] = (ck_kernel){"sse4.1", ck_scan_sse41};
#elif defined(__aarch64__)
    // Every 64-bit ARM has NEON; there is nothing to ask.
    kernels[count++] = (ck_kernel){"neon", ck_scan_neon};
#endif
    kernels[count++] = (ck_kernel){"scalar", ck_scan_scalar};
    return count;
}

bool ck_has_aes(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__)
    const unsigned long needed = HWCAP_AES | HWCAP_PMULL;
    return (getauxval(AT_HWCAP) & needed) == needed;
#else
    return false;
#endif
}
