// AVX-512 with VNNI and BF16: Zen 4 and later, Sapphire Rapids and later.

#if defined(__x86_64__)

#include "panel.h"
#include <immintrin.h>

#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16"))), apply_to = function)

#define LEVEL_AVX512

#include "vector.h"

#define TILE_GROUPS 4
#define FEW_ROWS 6
// Measured on a Zen 5: above, unpacking pays.
#define PACKED_ROWS \
    [MARTLET_F32] = 64, [MARTLET_F16] = 64, [MARTLET_BF16] = 64, [MARTLET_Q8_0] = 30, [MARTLET_Q4_0] = 30, [MARTLET_Q4_1] = 30, \
    [MARTLET_Q5_0] = 30, [MARTLET_Q5_1] = 30, [MARTLET_Q4_K] = 30, [MARTLET_Q5_K] = 30, [MARTLET_Q6_K] = 30
#define BURN_CHAINS 12

#include "dots_avx512.h"

#include "kernels.h"
#include "level.h"

const martlet_kernels martlet_kernels_avx512 = TABLE;

#pragma clang attribute pop

#endif
