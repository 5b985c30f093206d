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
// Measured on an Emerald Rapids: with 64 rows tiles are as fast as AVX-512, with 96 1.15 times, with 256 1.2 times;
// below, its products of unpacked weights are faster, and up to 30 rows those of packed ones.
enum { PACKED_ROWS = 30, TILED_ROWS = 64 };

#include "dots_avx512.h"

#include "kernels.h"
#include "product.h"

const martlet_products martlet_products_amx = {
    {[MARTLET_Q8_0] = product_q8_0, [MARTLET_Q4_0] = product_q4_0, [MARTLET_Q5_0] = product_q5_0},
    {[MARTLET_Q8_0] = PACKED_ROWS, [MARTLET_Q4_0] = PACKED_ROWS, [MARTLET_Q5_0] = PACKED_ROWS}};

#pragma clang attribute pop

#endif
