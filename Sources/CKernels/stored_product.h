// Products of matrices as they are stored, whichever way they lie: what training multiplies, where every operand is
// used once or twice.
//
// A block of rows and a group of panels are one item. For each slice of 128 steps, the rows' share is copied to tiles
// that lie together, and for each panel the columns' share to a slice in the first-level cache; sums stay in the
// second-level cache between slices. Nothing is packed for longer, so memory is read once per item. Every element is
// one chain of fused multiply-adds, then the bias, then what was there: the bits of martlet_matmul.

#ifndef MARTLET_STORED_PRODUCT_H
#define MARTLET_STORED_PRODUCT_H

#include "stored_words.h"

/// The columns' next slice, asked for row by row while tiles compute.
typedef struct { const uint8_t *row; size_t stride, left, share; } foresight;

INLINE void foresee(foresight *ahead, size_t bytes) {
    for (size_t i = ahead->share < ahead->left ? ahead->share : ahead->left; i > 0; i--, ahead->left--, ahead->row += ahead->stride)
        UNROLL for (size_t at = 0; at < bytes; at += 64) __builtin_prefetch(ahead->row + at, 0, 2);
}

/// Returns whether b is more than what the second-level cache keeps anyway.
INLINE bool comes_from_afar(const martlet_stored_product *p) { return p->steps * p->columns * form_bytes(form_of(p, p->b_type)) > 1 << 20; }

static foresight foresee_slice(const martlet_stored_product *p, size_t column, size_t first, size_t rows) {
    if (is_decoded(p) || !comes_from_afar(p)) return (foresight){0};
    const size_t columns = p->columns - column < PANEL ? p->columns - column : PANEL, tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
    const size_t steps = p->steps - first < STORED_STEPS ? p->steps - first : STORED_STEPS, count = p->b_columns ? columns : steps;
    const size_t bytes = form_bytes(form_of(p, p->b_type)), at = p->b_columns ? column * p->b_stride + first : first * p->b_stride + column;
    return (foresight){(const uint8_t *)p->b + at * bytes, p->b_stride * bytes, count, (count + tiles - 1) / tiles};
}

/// A store fence: what was written past the caches is seen by whoever is told of it.
INLINE void end_stream(void) {
#if defined(__x86_64__)
    __builtin_ia32_sfence();
#endif
}

/// The place of a tile, its beginning and its end: it begins at zero or at the sums; it ends in the sums, or in the
/// result, where whole columns of f32 go at once.
typedef struct {
    const martlet_stored_product *product;
    float *sums;    // [TILE_ROWS][PANEL]
    float *result;  // where the last sums go as they are; NULL elsewhere
    size_t row, column, count;
    bool begins, ends;
} tile_place;

/// A tile's last sums to its result.
static void finish_tile(const tile_place *place) {
    const martlet_stored_product *p = place->product;
    const size_t columns = p->columns - place->column < PANEL ? p->columns - place->column : PANEL;
    const float *sums = place->sums;
    for (size_t r = 0; r < place->count && r < TILE_ROWS; r++, sums += PANEL)
        for (size_t i = 0; i < columns; i += LANES) {
            const size_t column = place->column + i, at = (place->row + r) * p->y_stride + column, left = columns - i;
            f32x16 sum = load(sums + i);
            if (p->bias) sum = settled(p->pairs, sum + settled(p->pairs, load_some(p->bias + column, left)));
            if (p->y_type == MARTLET_BF16) {
                store_some_bf16((uint16_t *)p->y + at, sum, left);
                continue;
            }
            float *y = (float *)p->y + at;
            if (p->accumulate) sum = settled(p->pairs, sum + settled(p->pairs, load_some(y, left)));
            store_some(y, sum, left);
        }
}

/// The form in which a tile reads its rows: [row][step], [step][row], and the same with words of two bf16 numbers for
/// steps.
typedef enum { AS_IT_LIES, TURNED, WORDS, TURNED_WORDS } tile_form;

/// `groups` groups of sixteen columns from `column` on, of one tile.
INLINE void tile_part(int rows, int groups, tile_form form, const float *a, const float *b, size_t column, size_t steps,
                      const tile_place *place) {
    f32x16 tile[TILE_ROWS][PANEL_GROUPS];
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int g = 0; g < groups; g++)
            tile[r][g] = place->begins ? splat(0) : load(place->sums + (size_t)r * PANEL + column + (size_t)g * LANES);
    const bool pairs = place->product->pairs;
    for (size_t k = 0; k < steps; k++) {
        f32x16 columns[PANEL_GROUPS];
        UNROLL for (int g = 0; g < groups; g++) columns[g] = load(b + k * PANEL + column + (size_t)g * LANES);
        UNROLL for (int r = 0; r < rows; r++) {
            const f32x16 v = splat(form & TURNED ? a[k * TILE_ROWS + (size_t)r] : a[(size_t)r * STORED_STEPS + k]);
            UNROLL for (int g = 0; g < groups; g++)
                tile[r][g] = form & WORDS ? word_dot(tile[r][g], columns[g], v) : settled(pairs, fused(columns[g], v, tile[r][g]));
        }
    }
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int g = 0; g < groups; g++) {
            const size_t at = column + (size_t)g * LANES;
            float *result = place->result + (size_t)r * place->product->y_stride + at;
            if (!place->result) store(place->sums + (size_t)r * PANEL + at, tile[r][g]);
            else if (place->product->streams) __builtin_nontemporal_store(tile[r][g], (f32x16 *)result);
            else store(result, tile[r][g]);
        }
}

INLINE void stored_tile(int rows, tile_form form, const float *a, const float *b, size_t steps, const tile_place *place) {
    if (TILE_GROUPS == PANEL_GROUPS) return tile_part(rows, PANEL_GROUPS, form, a, b, 0, steps, place);
    for (size_t g = 0; g < PANEL_GROUPS; g++) tile_part(rows, 1, form, a, b, g * LANES, steps, place);
}

/// One function per form, for all numbers of rows.
#define STORED_TILES(name, form) \
    static __attribute__((noinline)) void name(const float *a, const float *b, size_t steps, const tile_place *place) { \
        FOR_TILE_ROWS(place->count, stored_tile, form, a, b, steps, place) \
    }
STORED_TILES(tile_as_it_lies, AS_IT_LIES)
STORED_TILES(tile_turned, TURNED)
#if defined(LEVEL_AVX512)
STORED_TILES(tile_of_words, WORDS)
STORED_TILES(tile_of_turned_words, TURNED_WORDS)
#define HAS_WORDS 1
#else
#define HAS_WORDS 0
#define tile_of_words tile_as_it_lies
#define tile_of_turned_words tile_turned
#define word_tiles stored_tiles
#define word_slice stored_slice
#endif

typedef void tile_function(const float *a, const float *b, size_t steps, const tile_place *place);

INLINE bool in_words(const martlet_stored_product *p) { return HAS_WORDS && p->pairs && p->words; }

/// The product of one slice of one panel for all rows of an item.
static void stored_panel(const martlet_stored_product *p, const float *tiles, const float *slice, size_t rows, size_t steps,
                         tile_place place, foresight next) {
    const size_t bytes = (p->b_columns ? (size_t)STORED_STEPS : (size_t)PANEL) * form_bytes(form_of(p, p->b_type));
    const size_t pairs = (steps + 1) / 2, used = in_words(p) ? pairs : p->pairs ? 2 * pairs : steps;
    tile_function *as_it_lies = in_words(p) ? tile_of_words : tile_as_it_lies, *turned = in_words(p) ? tile_of_turned_words : tile_turned;
    tile_function *tile = p->a_turned ? turned : as_it_lies;
    const bool at_once = place.ends && p->columns - place.column >= PANEL && !p->bias && !p->accumulate && p->y_type == MARTLET_F32;
    for (size_t r = 0; r < rows; r += TILE_ROWS, tiles += STORED_TILE, place.row += TILE_ROWS, place.sums += TILE_ROWS * PANEL) {
        if (bytes == 512) foresee(&next, 512);
        else if (bytes == 256) foresee(&next, 256);
        else foresee(&next, 128);
        place.count = rows - r;
        if (at_once) place.result = (float *)p->y + place.row * p->y_stride + place.column;
        tile(tiles, slice, used, &place);
        if (place.ends && !at_once) finish_tile(&place);
    }
}

/// Copies one slice of the columns' share, as tiles read it; blocks are decoded first, so that their bits are those of
/// the decoded matrix.
static void columns_slice(const martlet_stored_product *p, size_t column, size_t columns, size_t first, size_t steps, float *slice) {
    float part[STORED_STEPS * PANEL] __attribute__((aligned(64)));
    martlet_stored_product decoded = *p;
    if (is_decoded(p)) {
        if (p->b_columns) decoded_part(p, column, columns, first, steps, part);
        else decoded_part(p, first, steps, column, columns, part);
        decoded.b = part, decoded.b_type = MARTLET_F32, decoded.b_stride = p->b_columns ? steps : columns;
        p = &decoded, column = 0, first = 0;
    }
    if (in_words(p)) word_slice(p, column, columns, first, steps, slice);
    else stored_slice(p, column, columns, first, steps, slice);
}

/// Rows row ..< row + rows of panels first_panel ..< end_panel.
static void stored_item(const martlet_stored_product *p, size_t row, size_t rows, size_t first_panel, size_t end_panel, float *tiles,
                        float *sums) {
    float slice[STORED_STEPS * PANEL] __attribute__((aligned(64)));
    size_t first = 0;
    do {
        const size_t steps = p->steps - first < STORED_STEPS ? p->steps - first : STORED_STEPS;
        if (in_words(p)) word_tiles(p, row, rows, first, steps, tiles);
        else stored_tiles(p, row, rows, first, steps, tiles);
        for (size_t panel = first_panel; panel < end_panel; panel++) {
            const size_t column = panel * PANEL, columns = p->columns - column < PANEL ? p->columns - column : PANEL;
            columns_slice(p, column, columns, first, steps, slice);
            foresight next = {0};
            if (panel + 1 < end_panel) next = foresee_slice(p, column + PANEL, first, rows);
            else if (first + steps < p->steps) next = foresee_slice(p, first_panel * PANEL, first + steps, rows);
            const tile_place place = {.product = p, .sums = sums + (panel - first_panel) * rows * PANEL, .row = row, .column = column,
                                      .begins = first == 0, .ends = first + steps == p->steps};
            stored_panel(p, tiles, slice, rows, steps, place, next);
        }
    } while ((first += STORED_STEPS) < p->steps);
}

static void stored_product(const martlet_stored_product *p, size_t first, size_t end, float *scratch) {
    const size_t panels = (p->columns + PANEL - 1) / PANEL, groups = (panels + p->panel_group - 1) / p->panel_group;
    float *tiles = scratch, *sums = scratch + p->row_block * STORED_STEPS;
    const uint32_t mode = p->pairs ? begin_flush() : 0;
    for (size_t item = first; item < end; item++) {
        const size_t row = item / groups * p->row_block, panel = item % groups * p->panel_group;
        const size_t rows = p->rows - row < p->row_block ? p->rows - row : p->row_block;
        stored_item(p, row, rows, panel, panels - panel < p->panel_group ? panels : panel + p->panel_group, tiles, sums);
    }
    if (p->pairs) end_flush(mode);
    if (p->streams) end_stream();
}

#endif
