// What every part of the check of kernels uses: seeded inputs, guarded memory and lines of hashes.

#ifndef CHECK_H
#define CHECK_H

#include "CMartletKernels.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/// Memory of zeros whose end is the end of a page that nothing may touch the next of: what reads or writes beyond,
/// stops. It is aligned to what divides its size, at most to 64.
void *memory(size_t bytes);

/// Gives back all memory.
void release(void);

/// Numbers between −1 and 1.
float *numbers(uint64_t key, size_t count);

/// Numbers of which some are zeros, infinities, NaN, below 2^−126, very large and of either sign.
float *odd_numbers(uint64_t key, size_t count);

uint8_t *random_bytes(uint64_t key, size_t count);

/// Prints a hash of floats, where one NaN is as good as another, under a name.
void report(const float *values, size_t count, const char *name, ...) __attribute__((format(printf, 3, 4)));
void report_bytes(const void *data, size_t bytes, const char *name, ...) __attribute__((format(printf, 3, 4)));

/// The stored bytes of a type's block and its elements.
size_t stored_bytes(martlet_type type);
size_t stored_elements(martlet_type type);

void check_formats(void);
void check_products(void);
void check_attention(void);
void check_rows(void);
void check_choice(void);
void check_training(void);
void check_stored_products(void);
void check_attention_backward(void);

#endif
