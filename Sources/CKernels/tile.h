// The micro-kernel that products and attention share: a few rows times a few groups of sixteen columns, held in
// registers.

#ifndef MARTLET_TILE_H
#define MARTLET_TILE_H

#include "vector.h"

/// The tallest tile. With four groups of columns it fills the 32 registers of AVX-512, with one the 16 of AVX2.
enum { TILE_ROWS = 6, PANEL_GROUPS = 4 };

/// sums[r][0 ..< 16·groups] += Σ_k a[r][k] · b[k], in ascending k, where group g of step k stands at b + k·step_stride
/// + g·group_stride. `begins`: sums are zero, whatever is in memory. `rows` and `groups` are constants at each call.
INLINE void dense_tile(int rows, int groups, bool begins, const float *const *a, const float *b, size_t step_stride, size_t group_stride,
                       size_t steps, float *const *sums) {
    f32x16 tile[TILE_ROWS][PANEL_GROUPS];
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int g = 0; g < groups; g++) tile[r][g] = begins ? splat(0) : load(sums[r] + g * LANES);
    for (size_t k = 0; k < steps; k++) {
        f32x16 columns[PANEL_GROUPS];
        UNROLL for (int g = 0; g < groups; g++) columns[g] = load(b + k * step_stride + (size_t)g * group_stride);
        UNROLL for (int r = 0; r < rows; r++) {
            f32x16 v = splat(a[r][k]);
            UNROLL for (int g = 0; g < groups; g++) tile[r][g] = fused(columns[g], v, tile[r][g]);
        }
    }
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int g = 0; g < groups; g++) store(sums[r] + g * LANES, tile[r][g]);
}

/// dense_tile for four groups, cut to what this level's registers hold.
INLINE void dense_panel(int rows, bool begins, const float *const *a, const float *b, size_t step_stride, size_t group_stride, size_t steps,
                        float *const *sums) {
    if (rows == 1 || TILE_GROUPS == PANEL_GROUPS)
        return dense_tile(rows, PANEL_GROUPS, begins, a, b, step_stride, group_stride, steps, sums);
    // Two rows of one group would wait for their own sums; three of two groups do not fit.
    const int groups = rows == 2 ? 2 : 1;
    for (size_t g = 0; g < PANEL_GROUPS; g += (size_t)groups) {
        float *part[TILE_ROWS];
        UNROLL for (int r = 0; r < rows; r++) part[r] = sums[r] + g * LANES;
        dense_tile(rows, groups, begins, a, b + g * group_stride, step_stride, group_stride, steps, part);
    }
}

/// Memory that the next slice of a panel will read, asked for in equal shares while the tiles of this one compute.
typedef struct { const uint8_t *from; size_t share; } fetch_plan;

INLINE size_t tiles_of(size_t rows) { return (rows + TILE_ROWS - 1) / TILE_ROWS; }

INLINE fetch_plan plan_fetch(const uint8_t *from, size_t bytes, size_t tiles) {
    return (fetch_plan){from, (bytes / 64 + tiles - 1) / tiles * 64};
}
INLINE void fetch_share(fetch_plan plan, size_t tile) {
    for (size_t i = 0; i < plan.share; i += 64) __builtin_prefetch(plan.from + tile * plan.share + i, 0, 2);
}

/// The part of the next tile's rows that this slice will multiply: too short a run for the hardware to foresee.
INLINE void fetch_rows(const uint8_t *from, size_t stride, size_t bytes) {
    UNROLL for (int r = 0; r < TILE_ROWS; r++) fetch(from + (size_t)r * stride, bytes);
}

/// Calls `operation` with the row count (1 to TILE_ROWS) as a constant.
#define FOR_TILE_ROWS(rows, operation, ...) \
    switch (rows) { \
    case 1: operation(1, __VA_ARGS__); break; \
    case 2: operation(2, __VA_ARGS__); break; \
    case 3: operation(3, __VA_ARGS__); break; \
    case 4: operation(4, __VA_ARGS__); break; \
    case 5: operation(5, __VA_ARGS__); break; \
    default: operation(6, __VA_ARGS__); break; \
    }

#endif
