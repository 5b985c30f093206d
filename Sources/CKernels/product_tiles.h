// Products of many rows on matrix tiles (AMX): sixteen rows times sixteen columns times the 32 inputs of a block by one
// instruction. For weights of one scale per block and no minimum.
//
// The integers are exact and what follows them has the order of product_quantized.h, so the bits are every level's.
// The totals of a tile stay in registers over a slice; the integers pass through memory, as tiles have no other way
// out.
//
// An integer n of less than 23 bits becomes a float for nothing when its sum starts at the bits of 1.5 · 2^23, for then
// they are those of 1.5 · 2^23 + n. A scale is an f16, so 1.5 · 2^23 · scale is exact, and
// fma(1.5 · 2^23 + n, scale, −1.5 · 2^23 · scale) is n · scale, rounded once.

#ifndef MARTLET_PRODUCT_TILES_H
#define MARTLET_PRODUCT_TILES_H

#include "product_quantized.h"

/// Rows and columns of a tile of sums; products that are under way at once; where the integers of each wait.
enum { TILE_SIDE = 16, TILES_AHEAD = 2, TILE_BUFFERS = 4, TILE_SUMS = TILE_SIDE * TILE_SIDE };

/// The tile registers.
enum { SUMS_EVEN, SUMS_ODD, ACTIVATIONS, WEIGHTS };

/// The operand of LDTILECFG (Intel SDM 2A, "LDTILECFG"): rows, and bytes a row, of each register.
typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_shapes __attribute__((aligned(64)));

INLINE void shape_tiles(void) {
    const tile_shapes shapes = {
        .palette = 1,
        .row_bytes = {[SUMS_EVEN] = 64, [SUMS_ODD] = 64, [ACTIVATIONS] = BLOCK, [WEIGHTS] = 64},
        .rows = {[SUMS_EVEN] = TILE_SIDE, [SUMS_ODD] = TILE_SIDE, [ACTIVATIONS] = TILE_SIDE, [WEIGHTS] = QUADS},
    };
    _tile_loadconfig(&shapes);
}

/// The bits of 1.5 · 2^23 for every sum of a tile: one row of them, read sixteen times.
#define START 0x4b400000
static const int32_t tile_start[TILE_SIDE] __attribute__((aligned(64))) = {
    START, START, START, START, START, START, START, START, START, START, START, START, START, START, START, START,
};

/// A slice of sixteen rows of activations. Read where they are, from as many pages as rows, tiles take twice as long.
typedef struct {
    uint8_t values[SLICE_BLOCKS][TILE_SIDE][BLOCK];
    float scales[TILE_SIDE][SLICE_BLOCKS];
} tile_rows __attribute__((aligned(64)));

/// Copies `rows` rows; what the others hold stays, and gives sums that nobody reads.
INLINE void gather_rows(size_t rows, const uint8_t *activations, size_t row_bytes, size_t inputs, size_t first, size_t count, tile_rows *to) {
    for (size_t r = 0; r < rows; r++) {
        const activation_row row = activation_parts(activations + r * row_bytes, inputs);
        for (size_t b = 0; b < count; b++) memcpy(to->values[b][r], row.values + (first + b) * BLOCK, BLOCK);
        memcpy(to->scales[r], row.scales + first, count * sizeof(float));
    }
}

#define MULTIPLY_TILES(sums_tile, values, quads, sums) \
    do { \
        _tile_loadd(ACTIVATIONS, values, BLOCK); \
        _tile_loadd(WEIGHTS, quads, WORD_ROW); \
        _tile_loadd(sums_tile, tile_start, 0); \
        _tile_dpbssd(sums_tile, ACTIVATIONS, WEIGHTS); \
        _tile_stored(sums_tile, sums, TILE_SIDE * sizeof(float)); \
    } while (0)

/// The next product of a row of tiles to begin: all blocks of a slice for one group of columns after the other.
typedef struct { size_t number, group, block; } tile_step;

/// Begins a product, whose integers come to their buffer, and goes on to the next.
INLINE void begin_tile(const slice_block *slice, size_t count, tile_step *step, const tile_rows *a, float buffers[TILE_BUFFERS][TILE_SUMS]) {
    const uint8_t *quads = slice[step->block].quads + step->group * 64;
    float *sums = buffers[step->number % TILE_BUFFERS];
    if (step->number % 2) MULTIPLY_TILES(SUMS_ODD, a->values[step->block], quads, sums);
    else MULTIPLY_TILES(SUMS_EVEN, a->values[step->block], quads, sums);
    step->number++;
    if (++step->block == count) step->block = 0, step->group++;
}

/// Adds the integers of one product, times both scales, to the totals.
INLINE void add_tile(const float *sums, f32x16 scales, size_t block, const tile_rows *a, f32x16 total[TILE_SIDE]) {
    const f32x16 start = scales * splat(-0x1.8p23f);
    UNROLL for (int r = 0; r < TILE_SIDE; r++)
        total[r] = fused(fused(load(sums + r * TILE_SIDE), scales, start), splat(a->scales[r][block]), total[r]);
}

/// The product of a slice of `count` blocks and sixteen rows.
INLINE void tile_products(const slice_block *slice, size_t count, const tile_rows *a, float *sums) {
    float buffers[TILE_BUFFERS][TILE_SUMS] __attribute__((aligned(64)));
    tile_step next = {0, 0, 0};
    while (next.number < TILES_AHEAD) begin_tile(slice, count, &next, a, buffers);
    for (size_t g = 0; g < PANEL_GROUPS; g++) {
        f32x16 total[TILE_SIDE];
        UNROLL for (int r = 0; r < TILE_SIDE; r++) total[r] = load(sums + r * PANEL + g * LANES);
        for (size_t b = 0; b < count; b++) {
            if (next.group < PANEL_GROUPS) begin_tile(slice, count, &next, a, buffers);
            add_tile(buffers[(g * count + b) % TILE_BUFFERS], load(slice[b].scales[0] + g * LANES), b, a, total);
        }
        UNROLL for (int r = 0; r < TILE_SIDE; r++) store(sums + r * PANEL + g * LANES, total[r]);
    }
}

/// Unpacks a slice for tiles: the weights signed again, as the instruction takes them, so that nothing needs
/// correction.
INLINE size_t unpack_signed(martlet_type type, const uint8_t *panel, size_t inputs, size_t first, slice_block *slice) {
    const size_t count = unpack_slice(type, panel, inputs, first, slice);
    for (size_t b = 0; b < count; b++)
        UNROLL for (size_t i = 0; i < sizeof slice->quads; i += 64) {
            const u8x64 lowered = (u8x64)load_words(slice[b].quads + i) - (uint8_t)weight_offset(type);
            memcpy(slice[b].quads + i, &lowered, sizeof lowered);
        }
    return count;
}

/// The product of a panel and at most ROW_BLOCK rows; `sums` has room for whole tiles.
INLINE void tiled_rows(martlet_type type, const uint8_t *panel, size_t inputs, const uint8_t *activations, size_t rows, float *sums) {
    slice_block slice[SLICE_BLOCKS];
    tile_rows a = {0};
    const size_t row_bytes = martlet_activation_bytes(type, inputs), tiles = (rows + TILE_SIDE - 1) / TILE_SIDE;
    const size_t slice_bytes = SLICE_BLOCKS * block_bytes(type) * PANEL;
    shape_tiles();
    for (size_t first = 0; first < inputs / BLOCK; first += SLICE_BLOCKS) {
        const size_t count = unpack_signed(type, panel, inputs, first, slice);
        const fetch_plan next = plan_fetch(panel + (first / SLICE_BLOCKS + 1) * slice_bytes, slice_bytes, tiles);
        for (size_t t = 0; t < tiles; t++) {
            const size_t r = t * TILE_SIDE, left = rows - r < TILE_SIDE ? rows - r : TILE_SIDE;
            fetch_share(next, t);
            gather_rows(left, activations + r * row_bytes, row_bytes, inputs, first, count, &a);
            tile_products(slice, count, &a, sums + r * PANEL);
        }
    }
    _tile_release();
}

#endif
