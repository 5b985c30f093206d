// The level that every processor has: no instruction beyond the baseline of the target (SSE2, NEON). It defines the
// bits.

#if !defined(__aarch64__)
#define LEVEL_PORTABLE
#endif

#include "panel.h"
#include "vector.h"

#define TILE_GROUPS 1
#define FEW_ROWS 1
#define PACKED_ROWS 0
#define BURN_CHAINS 4
#define DOT4_SIGNED_Q8 0

#include "quantized.h"

INLINE i32x16 dot4(martlet_type type, i32x16 sums, u32x16 weights, int32_t activations) {
    (void)type;
    UNROLL for (int i = 0; i < 4; i++) {
        const int32_t activation = (int8_t)(activations >> (8 * i));
        sums += (i32x16)(weights >> (8 * i) & 0xff) * splat_int(activation);
    }
    return sums;
}

#include "product_pairs.h"

INLINE f32x16 dot2(f32x16 sums, u32x16 weights, u32x16 activations) { return dot2_by_parts(sums, weights, activations); }

#include "kernels.h"
#include "level.h"

const martlet_kernels martlet_kernels_scalar = TABLE;
