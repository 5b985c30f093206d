// Products inside a decoding step, and what all of its phases have in common.

#ifndef MARTLET_STEP_PRODUCTS_H
#define MARTLET_STEP_PRODUCTS_H

#include "panel.h"

static size_t rounded_up(size_t bytes) { return (bytes + 63) / 64 * 64; }
static size_t panels_of(const martlet_step_matrix *matrix) { return (matrix->outputs + PANEL - 1) / PANEL; }
static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

enum {
    STRIP_ROWS = 252,                            // of 64 columns; two strips stay in the second-level cache
    ROWS_CHUNK = 8,                              // rows that one thread norms
    ACROSS_ROWS = 64                             // rows that read one source in one call of the attention kernel
};

static bool multiplies(const martlet_step_phase *phase) {
    return phase->kind == MARTLET_STEP_PRODUCT || phase->kind == MARTLET_STEP_ACTIVATED;
}

static void normalise(const martlet_step_norm *norm, const float *x, float *y, size_t rows, size_t width) {
    switch (norm->kind) {
    case MARTLET_NORM_RMS: martlet_rms_norm(x, norm->weight, norm->offset, norm->epsilon, y, rows, width); break;
    case MARTLET_NORM_LAYER: martlet_layer_norm(x, norm->weight, norm->bias, norm->epsilon, y, rows, width); break;
    case MARTLET_NORM_NONE: memmove(y, x, rows * width * sizeof(float));
    }
}

// ---------------------------------------------------------------- scratch of one thread

/// The offset of a product's rows in the scratch: normed rows first, then the rows prepared for each matrix.
static size_t prepared_at(const martlet_step_phase *phase, const martlet_step_pass *pass, size_t matrix) {
    size_t at = rounded_up(pass->rows * phase->inputs * sizeof(float));
    for (size_t m = 0; m < matrix; m++) at += rounded_up(pass->rows * martlet_activation_bytes(phase->matrices[m].type, phase->inputs));
    return at;
}

static const martlet_step_table *table_of(const martlet_step_attention *a, const martlet_step_pass *pass) { return &pass->tables[a->table]; }

/// Returns whether a phase's rows are attention's results in parts.
static bool merges(const martlet_step_phase *phase, const martlet_step_pass *pass) {
    return phase->attended && table_of(&phase->attention, pass)->split;
}

/// Queries and the key of one head; the attention kernel's scratch follows.
static size_t head_floats(const martlet_step_attention *a) { return (a->group + 1) * a->head_width; }

static martlet_attention head_work(const martlet_step_attention *a, size_t head) {
    return (martlet_attention){.query_stride = a->group * a->head_width, .output_stride = a->key_heads * a->group * a->value_width,
                               .rows = 1, .group = a->group, .head_width = a->head_width, .value_width = a->value_width,
                               .key_heads = a->key_heads, .key_head = head, .block_type = a->block_type, .block_offset = a->block_offset,
                               .scale = a->scale, .cap = a->cap,
                               .slopes = a->slopes ? a->slopes + head * a->group : NULL,
                               .sinks = a->sinks ? a->sinks + head * a->group : NULL};
}

/// The offset in the scratch of what an activation computes of one panel: a strip of 64 columns for each matrix.
static size_t strips_at(const martlet_step_phase *phase, const martlet_step_pass *pass) {
    return phase->prepared ? 0 : prepared_at(phase, pass, phase->matrix_count);
}

// ---------------------------------------------------------------- products

/// The rows that matrix number m multiplies: prepared before, prepared by this thread, or plain.
static const void *activations_for(const martlet_step_phase *phase, const martlet_step_pass *pass, size_t m, const uint8_t *scratch) {
    if (phase->prepared) return phase->prepared;
    if (is_quantized(phase->matrices[m].type)) {
        size_t first = 0;
        while (phase->matrices[first].type != phase->matrices[m].type) first++;
        return scratch + prepared_at(phase, pass, first);
    }
    return phase->norm.kind == MARTLET_NORM_NONE && !merges(phase, pass) ? (const void *)phase->x : scratch;
}

/// The partial results of one row and head, one for each segment the row sees.
static float *partials_of(const martlet_step_attention *a, const martlet_step_pass *pass, size_t row, size_t head) {
    const martlet_step_table *table = table_of(a, pass);
    const martlet_attention work = head_work(a, head);
    const size_t before = table->rows[row].segments_before * a->key_heads + head * table->rows[row].segments;
    return table->partials + before * martlet_attend_partial_floats(&work);
}

static void merge_segments(const martlet_step_attention *a, const martlet_step_pass *pass, size_t from, size_t end, float *y) {
    for (size_t row = from; row < end; row++)
        for (size_t head = 0; head < a->key_heads; head++) {
            martlet_attention work = head_work(a, head);
            work.outputs = y + ((row - from) * a->key_heads + head) * a->group * a->value_width;
            martlet_attend_merge(&work, partials_of(a, pass, row, head), table_of(a, pass)->rows[row].segments);
        }
}

static void prologue(const martlet_step_phase *phase, const martlet_step_pass *pass, uint8_t *scratch) {
    if (!multiplies(phase) || phase->prepared) return;
    const float *x = phase->x;
    float *rows = (float *)scratch;
    if (merges(phase, pass)) {
        merge_segments(&phase->attention, pass, 0, pass->rows, rows);
        x = rows;
    }
    if (phase->norm.kind != MARTLET_NORM_NONE) {
        normalise(&phase->norm, x, rows, pass->rows, phase->inputs);
        x = rows;
    }
    for (size_t m = 0; m < phase->matrix_count; m++) {
        const martlet_type type = phase->matrices[m].type;
        bool done = !is_quantized(type);
        for (size_t earlier = 0; earlier < m; earlier++) done |= phase->matrices[earlier].type == type;
        if (!done) martlet_prepare(type, x, pass->rows, phase->inputs, scratch + prepared_at(phase, pass, m));
    }
}

static void multiply(const martlet_step_phase *phase, const martlet_step_pass *pass, size_t m, size_t first, size_t end,
                     const uint8_t *scratch) {
    const martlet_step_matrix *w = &phase->matrices[m];
    martlet_matmul(w->type, w->packed, w->outputs, phase->inputs, activations_for(phase, pass, m, scratch), pass->rows, w->bias, w->y,
                   w->outputs, phase->accumulate, first, end);
}

static void run_product(const martlet_step_phase *phase, const martlet_step_pass *pass, size_t first, size_t end, const uint8_t *scratch) {
    for (size_t m = 0, base = 0; m < phase->matrix_count && base < end; m++) {
        const size_t panels = panels_of(&phase->matrices[m]), lower = first > base ? first - base : 0, upper = smaller(end - base, panels);
        if (lower < upper) multiply(phase, pass, m, lower, upper, scratch);
        base += panels;
    }
}

/// Rows from `row` on and panel p of matrix number m, into a strip `[rows, 64]`.
static void multiply_strip(const martlet_step_phase *phase, const martlet_step_pass *pass, size_t m, size_t p, size_t row, size_t rows,
                           const uint8_t *scratch, float *strip) {
    const martlet_step_matrix *w = &phase->matrices[m];
    const uint8_t *panel = (const uint8_t *)w->packed + p * martlet_panel_bytes(w->type, phase->inputs);
    const uint8_t *activations = activations_for(phase, pass, m, scratch);
    martlet_matmul(w->type, panel, smaller(PANEL, w->outputs - p * PANEL), phase->inputs,
                   activations + row * martlet_activation_bytes(w->type, phase->inputs), rows, w->bias ? w->bias + p * PANEL : NULL, strip,
                   PANEL, false, 0, 1);
}

/// Cuts elements off at both ends and adds to them.
static void clamp(float *x, size_t count, float lower, float upper, float addend) {
    for (size_t i = 0; i < count; i++) {
        const float above = x[i] < lower ? lower : x[i];
        x[i] = (above > upper ? upper : above) + addend;
    }
}

/// Panel p for some rows; what was just computed is activated and prepared in cache, and does not go to memory as f32
/// on its way.
static void activate_strip(const martlet_step_phase *phase, const martlet_step_pass *pass, size_t p, size_t first, size_t rows,
                           uint8_t *scratch) {
    const size_t width = phase->matrices[0].outputs, column = p * PANEL, columns = smaller(PANEL, width - column);
    float *gate = (float *)(scratch + strips_at(phase, pass)), *up = gate + smaller(pass->rows, STRIP_ROWS) * PANEL;
    multiply_strip(phase, pass, 0, p, first, rows, scratch, gate);
    if (phase->matrix_count == 2) multiply_strip(phase, pass, 1, p, first, rows, scratch, up);
    for (size_t row = 0; row < rows; row++) {
        float *own = gate + row * PANEL, *target = phase->next_prepared ? own : phase->matrices[0].y + (first + row) * width + column;
        if (phase->limit > 0) {
            clamp(own, columns, -__builtin_inff(), phase->limit, 0);
            clamp(up + row * PANEL, columns, -phase->limit, phase->limit, 1);
        }
        if (phase->matrix_count == 2) martlet_gate(phase->activation, own, up + row * PANEL, target, columns);
        else martlet_activate(phase->activation, own, target, columns);
    }
    if (!phase->next_prepared) return;
    uint8_t *prepared = (uint8_t *)phase->next_prepared + first * martlet_activation_bytes(phase->next_type, width);
    martlet_prepare_part(phase->next_type, gate, PANEL, rows, width, prepared, column, column + columns);
}

static void run_activated(const martlet_step_phase *phase, const martlet_step_pass *pass, size_t first, size_t end, uint8_t *scratch) {
    for (size_t p = first; p < end; p++)
        for (size_t row = 0; row < pass->rows; row += STRIP_ROWS)
            activate_strip(phase, pass, p, row, smaller(STRIP_ROWS, pass->rows - row), scratch);
}

#endif
