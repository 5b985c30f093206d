// Training's kernels with AVX-512.

#if defined(__x86_64__)

#include "panel.h"
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16"))), apply_to = function)

#define LEVEL_AVX512

#include "vector.h"

#define TILE_GROUPS 4

#include "training_kernels.h"

const martlet_training_kernels martlet_training_avx512 = TRAINING_TABLE;

#pragma clang attribute pop

#endif
