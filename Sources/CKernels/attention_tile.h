// The micro-kernel of attention: a few query heads times a block's keys or values, read as they are kept.

#ifndef MARTLET_ATTENTION_TILE_H
#define MARTLET_ATTENTION_TILE_H

#include "tile.h"
#include "widen.h"

/// Columns of a block step by step: of keys, a column is a key and a step an element; of values, the other way round.
typedef struct {
    martlet_type type;     // a constant wherever a tile is made, like `keys`
    bool keys;
    const uint8_t *from;
    size_t step, group;    // bytes from one step to the next, from sixteen columns to the next
    const float *scales;   // of q8_0: for keys [width / 32][64], for values [64][width / 32]
    size_t column, runs;   // of values: the first column, width / 32
    const uint8_t *ahead;  // what will be read after this block; each sixteen columns ask for the next `share` bytes
    size_t share;
} cached_part;

INLINE size_t cached_size(martlet_type type) { return type == MARTLET_F32 ? 4 : type == MARTLET_Q8_0 ? 1 : 2; }

/// Sixteen columns of step k.
INLINE f32x16 cached_columns(const cached_part *part, size_t k, size_t g) {
    const uint8_t *p = part->from + k * part->step + g * part->group;
    switch (part->type) {
    case MARTLET_F16: return widen_f16(load_halves(p));
    case MARTLET_BF16: return widen_bf16(load_halves(p));
    case MARTLET_Q8_0:
        if (part->keys) return widen_bytes(p) * load(part->scales + k / BLOCK * MARTLET_BLOCK + g * LANES);
        return widen_bytes(p) * splat(part->scales[k * part->runs + (part->column + g * LANES) / BLOCK]);
    default: return load((const float *)p);
    }
}

/// sums[r][0 ..< 16·groups] += Σ_k a[r][k] · column k, in ascending k, as dense_tile; `begins`: sums are zero.
INLINE void cached_tile(int rows, int groups, bool begins, const float *const *a, cached_part part, size_t steps, float *const *sums) {
    f32x16 tile[TILE_ROWS][PANEL_GROUPS];
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int g = 0; g < groups; g++) tile[r][g] = begins ? splat(0) : load(sums[r] + g * LANES);
    for (size_t k = 0; k < steps; k++) {
        UNROLL for (int g = 0; g < groups; g++) __builtin_prefetch(part.ahead + (k * (size_t)groups + (size_t)g) * part.share, 0, 2);
        f32x16 columns[PANEL_GROUPS];
        UNROLL for (int g = 0; g < groups; g++) columns[g] = cached_columns(&part, k, (size_t)g);
        UNROLL for (int r = 0; r < rows; r++) {
            const f32x16 v = splat(a[r][k]);
            UNROLL for (int g = 0; g < groups; g++) tile[r][g] = fused(columns[g], v, tile[r][g]);
        }
    }
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int g = 0; g < groups; g++) store(sums[r] + g * LANES, tile[r][g]);
}

/// The groups of columns of one tile that this level's registers hold and that keep its units busy.
INLINE int tile_groups(int rows, int most) {
    const int groups = rows == 1 || TILE_GROUPS == PANEL_GROUPS ? PANEL_GROUPS : rows == 2 ? 2 : 1;
    return groups < most ? groups : most;
}

/// cached_tile for `groups` groups of columns, tile after tile.
INLINE void cached_panel(int rows, int groups, bool begins, const float *const *a, cached_part part, size_t steps, float *const *sums) {
    const int each = tile_groups(rows, groups);
    for (int g = 0; g < groups; g += each) {
        float *own[TILE_ROWS];
        UNROLL for (int r = 0; r < rows; r++) own[r] = sums[r] + g * LANES;
        cached_part cut = part;
        cut.from += (size_t)g * part.group;
        cut.column += (size_t)g * LANES;
        if (part.keys) cut.scales += g * LANES;
        cut.ahead += (size_t)g * steps * part.share;
        cached_tile(rows, each, begins, a, cut, steps, own);
    }
}

#endif
