// Training's kernels with AVX2, FMA and F16C.

#if defined(__x86_64__)

#include "panel.h"
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)

#define LEVEL_AVX2

#include "vector.h"

#define TILE_GROUPS 1

#include "training_kernels.h"

const martlet_training_kernels martlet_training_avx2 = TRAINING_TABLE;

#pragma clang attribute pop

#endif
