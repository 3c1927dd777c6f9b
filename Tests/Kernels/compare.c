// Compares every scan kernel of this processor with the definition of the scan. It is for processors that cannot run
// the Swift tests. Prints the kernels that it compared; exits with 1 at the first difference.
#define _GNU_SOURCE
#include "CKernels.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { input_bytes = 1024, most_positions = 700 };

static uint64_t state;

// SplitMix64 (Steele, Lea and Flood, 2014).
static uint64_t next(void) {
    uint64_t mixed = state += 0x9e3779b97f4a7c15;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    return mixed ^ mixed >> 31;
}

static const char *const kinds[] = {"random", "zeros", "repeated windows", "few values"};

static void fill(uint8_t *input, int kind) {
    size_t period = 1 + next() % 90;
    for (size_t i = 0; i < input_bytes; i++) {
        uint8_t byte = (uint8_t)next();
        if (kind == 1) byte = 0;
        if (kind == 2 && i >= period) byte = input[i - period];
        if (kind == 3) byte = byte < 240 ? 0 : byte & 3;
        input[i] = byte;
    }
}

// The definition of the scan, which looks at one position at a time.
static size_t define(
    const ck_test *test, const uint8_t *bytes, size_t first, size_t last, uint32_t *found) {
    size_t count = 0;
    for (size_t at = first; at <= last; at++) {
        uint32_t word = 0;
        for (int i = 3; i >= 0; i--) word = word << 8 | bytes[at - 4 + (size_t)i];
        if (word * test->multiplier + test->addend < test->threshold) found[count++] = (uint32_t)at;
    }
    return count;
}

// Scans with a kernel, `capacity` candidates at a time, and compares its candidates with the definition's.
static void compare(
    const ck_kernel *kernel, const ck_test *test, const uint8_t *bytes, size_t first, size_t last,
    size_t capacity, const char *what) {
    uint32_t expected[most_positions], found[2 * most_positions];
    size_t expected_count = define(test, bytes, first, last, expected);
    size_t count = 0, position = first;
    while (position <= last && count <= most_positions) {
        size_t before = position;
        size_t more = kernel->scan(test, bytes, &position, last, found + count, capacity);
        if (position == before || more > capacity) break;
        count += more;
    }
    if (position > last && count == expected_count && !memcmp(found, expected, count * sizeof *found)) return;
    printf(
        "%s differs on %s: test %08x %08x %08x, positions %zu to %zu, %zu candidates for %zu\n", kernel->name,
        what, test->multiplier, test->addend, test->threshold, first, last, count, expected_count);
    exit(1);
}

// The first tests have thresholds at which a comparison could go wrong. In the last two, either only zero words pass or
// all other words.
#define K 0x9e3779b1
#define A 0x85ebca6b
static const ck_test tests[] = {
    {K, A, 0}, {K, A, 1}, {K, A, 1u << 17}, {K, A, 1u << 28},
    {K, A, 0x7fffffff}, {K, A, 0x80000000}, {K, A, 0x80000001}, {K, A, 0xffffffff},
    {1, 0, 1}, {1, 0xffffffff, 0xffffffff},
};
enum { test_count = sizeof tests / sizeof *tests };

// Compares every alignment and every length up to four blocks, for every kind of input.
static void compare_everywhere(const ck_kernel *kernel) {
    uint8_t input[input_bytes] __attribute__((aligned(64)));
    static const size_t capacities[] = {64, 100, 127, 128};
    for (int kind = 0; kind < 4; kind++) {
        state = (uint64_t)kind;
        fill(input, kind);
        for (int t = 0; t < test_count; t++) {
            for (size_t alignment = 0; alignment <= 64; alignment++) {
                for (size_t length = 0; length <= 260; length++) {
                    size_t capacity = capacities[length % 4];
                    compare(kernel, &tests[t], input + alignment, 4, 3 + length, capacity, kinds[kind]);
                }
            }
            compare(kernel, &tests[t], input, 200, 199 + most_positions, 256, kinds[kind]);
        }
    }
}

// Compares windows that begin or end next to memory that traps on access.
static void compare_guarded(const ck_kernel *kernel) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *pages = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages, page, PROT_NONE)
        || mprotect(pages + 2 * page, page, PROT_NONE)) {
        perror("guard pages");
        exit(1);
    }
    for (size_t length = 1; length <= 260; length++) {
        compare(kernel, &tests[3], pages + page, 4, 3 + length, 64, "the start of a page");
        compare(kernel, &tests[3], pages + 2 * page - 3 - length, 4, 3 + length, 64, "the end of a page");
    }
    munmap(pages, 3 * page);
}

int main(void) {
    ck_kernel kernels[ck_most_kernels];
    size_t count = ck_kernels(kernels);
    for (size_t i = 0; i < count; i++) {
        compare_everywhere(&kernels[i]);
        compare_guarded(&kernels[i]);
        printf("%s finds what the definition finds\n", kernels[i].name);
    }
    return 0;
}
