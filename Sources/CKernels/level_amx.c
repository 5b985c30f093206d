// AVX-512 with matrix tiles (AMX): Sapphire Rapids and later. Only products of many rows with weights of one scale per
// block differ from AVX-512's: minima, and two scales in 32 inputs, take the tiles' gain away.

#if defined(__x86_64__)

#include "panel.h"
#include <immintrin.h>

#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16,amx-tile,amx-int8"))), apply_to = function)

#define LEVEL_AVX512
#define LEVEL_AMX
#define QUANTIZED_ONLY

#include "vector.h"

#define TILE_GROUPS 4
#define FEW_ROWS 6
// Measured on an Emerald Rapids: the speed of AVX-512 with 64 rows, 1.2 times that with 256, less than it below.
enum { MANY_ROWS = 96 };

#include "dots_avx512.h"

#include "kernels.h"
#include "product.h"

const martlet_products martlet_products_amx = {
    {[MARTLET_Q8_0] = product_q8_0, [MARTLET_Q4_0] = product_q4_0, [MARTLET_Q5_0] = product_q5_0},
    {[MARTLET_Q8_0] = MANY_ROWS, [MARTLET_Q4_0] = MANY_ROWS, [MARTLET_Q5_0] = MANY_ROWS}};

#pragma clang attribute pop

#endif
