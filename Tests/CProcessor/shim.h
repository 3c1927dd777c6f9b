// A question about the processor that no library answers.
#include <stdbool.h>
#if defined(__x86_64__)
#include <cpuid.h>

// Returns true if the upper halves of vector registers are in use, which slows SSE code down. Returns false if the
// processor cannot tell. XGETBV with ECX = 1 returns bit 2 for the halves of YMM and bit 6 for the halves of ZMM.
static inline bool processor_has_dirty_upper_halves(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid_count(0xd, 1, &a, &b, &c, &d) || !(a & 4)) return false;
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(1));
    return (a & (1u << 2 | 1u << 6)) != 0;
}
#else
static inline bool processor_has_dirty_upper_halves(void) { return false; }
#endif
