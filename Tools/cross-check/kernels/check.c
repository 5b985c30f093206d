// Prints a hash of what each kernel computes from seeded inputs: the same lines on every processor, or something is
// wrong.

#include "check.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MOST = 4096 };
static struct { void *start; size_t bytes; } regions[MOST];
static size_t region_count;

void *memory(size_t bytes) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (bytes + page - 1) / page * page;
    uint8_t *start = mmap(NULL, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED || region_count == MOST || mprotect(start + whole, page, PROT_NONE) != 0) abort();
    regions[region_count].start = start, regions[region_count++].bytes = whole + page;
    return start + whole - bytes;
}

void release(void) {
    while (region_count > 0) region_count--, munmap(regions[region_count].start, regions[region_count].bytes);
}

static uint32_t word(uint64_t key, size_t i) {
    uint32_t words[4];
    martlet_philox(key, i, 0, words);
    return words[0];
}

float *numbers(uint64_t key, size_t count) {
    float *values = memory(count * sizeof(float));
    for (size_t i = 0; i < count; i++) values[i] = (float)(int32_t)word(key, i) * 0x1p-31f;
    return values;
}

float *odd_numbers(uint64_t key, size_t count) {
    static const float odd[] = {0, -0.0f, 1, -1, 0x1p-130f, -0x1p-140f, 0x1p-126f, 0x1.8p127f, -0x1p120f, 88.7f, -87.4f, 1e-20f};
    float *values = numbers(key, count);
    for (size_t i = 0; i < count; i++) {
        const uint32_t w = word(key + 1, i);
        if (w % 8 == 0) values[i] = odd[w / 8 % (sizeof odd / sizeof *odd)];
        else if (w % 64 == 1) values[i] = __builtin_inff();
        else if (w % 64 == 9) values[i] = -__builtin_inff();
        else if (w % 64 == 17) values[i] = __builtin_nanf("");
        else if (w % 4 == 2) values[i] *= 20;
    }
    return values;
}

uint8_t *random_bytes(uint64_t key, size_t count) {
    uint8_t *bytes = memory(count);
    for (size_t i = 0; i < count; i++) bytes[i] = (uint8_t)word(key, i);
    return bytes;
}

static void print(uint64_t hash, const char *name, va_list arguments) {
    vprintf(name, arguments);
    printf(" %016llx\n", (unsigned long long)hash);
}

static uint64_t hash_of(const void *data, size_t bytes, bool floats) {
    const uint8_t *p = data;
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < bytes; i += 4) {
        uint32_t word = 0;
        memcpy(&word, p + i, bytes - i < 4 ? bytes - i : 4);
        if (floats && (word & 0x7fffffff) > 0x7f800000) word = 0x7fc00000;
        hash = (hash ^ word) * 0x100000001b3u;
    }
    return hash;
}

void report(const float *values, size_t count, const char *name, ...) {
    va_list arguments;
    va_start(arguments, name);
    print(hash_of(values, count * sizeof *values, true), name, arguments);
    va_end(arguments);
}

void report_bytes(const void *data, size_t bytes, const char *name, ...) {
    va_list arguments;
    va_start(arguments, name);
    print(hash_of(data, bytes, false), name, arguments);
    va_end(arguments);
}

size_t stored_bytes(martlet_type type) {
    static const size_t bytes[] = {4, 2, 2, 4, 34, 18, 20, 22, 24, 144, 176, 210, 2};
    return bytes[type];
}

size_t stored_elements(martlet_type type) {
    return type >= MARTLET_Q4_K && type <= MARTLET_Q6_K ? 256 : type >= MARTLET_Q8_0 && type <= MARTLET_Q5_1 ? 32 : 1;
}

/// Ends with 3, and nothing printed, where MARTLET_KERNELS asks for a level that this processor lacks.
int main(void) {
    static const char *const levels[] = {"scalar", "neon", "avx2", "avxvnni", "avx512"};
    const char *wanted = getenv("MARTLET_KERNELS");
    if (wanted && strcmp(wanted, levels[martlet_kernel_level()]) != 0) return 3;
    check_formats();
    check_products();
    check_attention();
    check_rows();
    check_choice();
    check_training();
    check_stored_products();
    check_attention_backward();
    return 0;
}
