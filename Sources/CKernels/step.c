// The phases of a decoding step, from the kernels that everything else is made of.

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
    return (martlet_attention){.query_stride = a->group * a->head_width, .output_stride = a->key_heads * a->group * a->head_width,
                               .rows = 1, .group = a->group, .head_width = a->head_width, .value_width = a->head_width,
                               .key_heads = a->key_heads, .key_head = head, .block_type = a->block_type, .block_offset = a->block_offset,
                               .scale = a->scale, .cap = a->cap,
                               .slopes = a->slopes ? a->slopes + head * a->group : NULL};
}

/// The offset in the scratch of what an activation computes of one panel: a strip of 64 columns for each matrix.
static size_t strips_at(const martlet_step_phase *phase, const martlet_step_pass *pass) {
    return phase->prepared ? 0 : prepared_at(phase, pass, phase->matrix_count);
}

size_t martlet_step_scratch(const martlet_step_phase *phase, const martlet_step_pass *pass) {
    const martlet_attention work = head_work(&phase->attention, 0);
    switch (phase->kind) {
    case MARTLET_STEP_ATTENTION:
        return rounded_up(head_floats(&phase->attention) * sizeof(float)) + rounded_up(martlet_attend_scratch(&work) * sizeof(float));
    case MARTLET_STEP_ACTIVATED:
        return strips_at(phase, pass) + phase->matrix_count * smaller(pass->rows, STRIP_ROWS) * PANEL * sizeof(float);
    case MARTLET_STEP_ROWS: return ROWS_CHUNK * phase->inputs * sizeof(float);
    case MARTLET_STEP_EXPERTS: return 2 * smaller(pass->rows, STRIP_ROWS) * PANEL * sizeof(float);
    case MARTLET_STEP_MIX: return 2 * phase->inputs * sizeof(float);
    case MARTLET_STEP_ROUTE: case MARTLET_STEP_EXPERTS_DOWN: return 0;
    case MARTLET_STEP_PRODUCT: case MARTLET_STEP_JOIN: break;
    }
    return prepared_at(phase, pass, phase->matrix_count);
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
            work.outputs = y + ((row - from) * a->key_heads + head) * a->group * a->head_width;
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

// ---------------------------------------------------------------- attention

/// Norms and rotates some heads; `weights`, those of the first of them, where each has its own.
static void turn(const martlet_step_attention *a, const martlet_step_norm *norm, const float *weights, size_t row, size_t heads, float *x) {
    if (norm->kind != MARTLET_NORM_NONE) normalise(norm, x, x, heads, a->head_width);
    if (weights) martlet_multiply(x, weights, x, heads * a->head_width);
    const size_t half = a->rotary_width / 2;
    if (half) martlet_rotate(x, 1, heads, a->head_width, a->rotary_width, a->neighbours, a->cosines + row * half, a->sines + row * half);
}

/// Writes the row's own key and value of one head.
static void store_own(const martlet_step_attention *a, const martlet_step_row *own, size_t row, size_t head, float *key) {
    const size_t width = a->head_width, key_width = a->key_heads * width, position = (size_t)own->position;
    memcpy(key, a->keys + row * key_width + head * width, width * sizeof(float));
    turn(a, &a->key_norm, a->key_weights ? a->key_weights + head * width : NULL, row, 1, key);
    uint8_t *block = (uint8_t *)own->blocks[position / MARTLET_BLOCK] + a->block_offset;
    martlet_store_block(a->block_type, key, key_width, a->values + row * key_width + head * width, key_width, 1, a->key_heads, head,
                        head + 1, width, width, block, position % MARTLET_BLOCK);
}

/// The row that a chunk belongs to: the last one whose segments begin at or before it.
static size_t row_of(const martlet_step_attention *a, const martlet_step_table *table, size_t rows, size_t chunk) {
    size_t low = 0, high = rows;
    while (high - low > 1) {
        const size_t middle = (low + high) / 2;
        if (table->rows[middle].segments_before * a->key_heads <= chunk) low = middle;
        else high = middle;
    }
    return low;
}

static void run_attention(const martlet_step_attention *a, const martlet_step_pass *pass, size_t chunk, uint8_t *scratch) {
    const martlet_step_table *table = table_of(a, pass);
    const size_t row = row_of(a, table, pass->rows, chunk);
    const martlet_step_row *own = &table->rows[row];
    const size_t rest = chunk - own->segments_before * a->key_heads, head = rest / own->segments;
    const size_t segment = own->first_segment + rest % own->segments;
    const size_t width = a->head_width, query_width = a->key_heads * a->group * width;
    float *queries = (float *)scratch, *room = (float *)(scratch + rounded_up(head_floats(a) * sizeof(float)));
    memcpy(queries, a->queries + row * query_width + head * a->group * width, a->group * width * sizeof(float));
    turn(a, &a->query_norm, a->query_weights ? a->query_weights + head * a->group * width : NULL, row, a->group, queries);
    if (segment == (size_t)own->position / MARTLET_SEGMENT) store_own(a, own, row, head, queries + a->group * width);
    const int32_t lower = own->lower, upper = own->position + 1, position = own->position;
    martlet_attention work = head_work(a, head);
    work.queries = queries, work.blocks = own->blocks;
    work.outputs = a->outputs + row * query_width + head * a->group * width;
    work.lower = &lower, work.upper = &upper, work.positions = &position;
    if (a->bias) {
        work.bias = a->bias->values + head * a->group * a->bias->head_stride;
        if (a->bias->moves) work.bias += a->bias->zero - (size_t)position;
        work.bias_head_stride = a->bias->head_stride;
    }
    if (!table->split) return martlet_attend(&work, 0, 1, room);
    float *parts = partials_of(a, pass, row, head);
    martlet_attend_segment(&work, segment, parts + rest % own->segments * martlet_attend_partial_floats(&work), room);
}

/// The rows that read one source, and one head.
static void run_across(const martlet_step_attention *a, const martlet_step_pass *pass, size_t chunk, uint8_t *scratch) {
    const size_t head = chunk % a->key_heads, row = chunk / a->key_heads, query_width = a->key_heads * a->group * a->head_width;
    const martlet_step_row *memory = &table_of(a, pass)->rows[row];
    int32_t lower[ACROSS_ROWS], upper[ACROSS_ROWS];
    for (size_t first = 0; first < memory->readers; first += ACROSS_ROWS) {
        martlet_attention work = head_work(a, head);
        work.rows = smaller(memory->readers - first, ACROSS_ROWS);
        for (size_t r = 0; r < work.rows; r++) lower[r] = memory->lower, upper[r] = memory->position + 1;
        work.lower = lower, work.upper = upper, work.positions = lower, work.blocks = memory->blocks;
        const size_t at = (row + first) * query_width + head * a->group * a->head_width;
        work.queries = a->queries + at, work.query_stride = query_width, work.outputs = a->outputs + at;
        martlet_attend(&work, 0, work.rows, (float *)scratch);
    }
}

// ---------------------------------------------------------------- rows

/// The rows of a chunk: merged, normed and prepared as the phase says.
static void run_rows(const martlet_step_phase *phase, const martlet_step_pass *pass, size_t chunk, uint8_t *scratch) {
    const size_t first = chunk * ROWS_CHUNK, end = smaller(first + ROWS_CHUNK, pass->rows), width = phase->inputs;
    const float *x = phase->x + first * width;
    float *y = phase->y + first * width;
    if (phase->kind == MARTLET_STEP_JOIN) {
        normalise(&phase->norm, x, (float *)scratch, end - first, width);
        return martlet_add(y, (const float *)scratch, y, (end - first) * width);
    }
    if (merges(phase, pass)) {
        merge_segments(&phase->attention, pass, first, end, (float *)scratch);
        x = (const float *)scratch;
    }
    normalise(&phase->norm, x, y, end - first, width);
    if (!phase->next_prepared) return;
    uint8_t *prepared = (uint8_t *)phase->next_prepared + first * martlet_activation_bytes(phase->next_type, width);
    martlet_prepare(phase->next_type, y, end - first, width, prepared);
}

// ---------------------------------------------------------------- experts

/// A row's results are added in ascending order of expert.
static void sort_by_expert(uint32_t *experts, float *weights, size_t active) {
    for (size_t i = 1; i < active; i++)
        for (size_t j = i; j > 0 && experts[j - 1] > experts[j]; j--) {
            const uint32_t expert = experts[j];
            const float weight = weights[j];
            experts[j] = experts[j - 1], experts[j - 1] = expert;
            weights[j] = weights[j - 1], weights[j - 1] = weight;
        }
}

static void run_route(const martlet_step_phase *phase, const martlet_step_pass *pass) {
    martlet_step_experts *e = phase->experts;
    const size_t width = phase->inputs, bytes = martlet_activation_bytes(e->gates[0].type, width);
    normalise(&phase->norm, phase->x, e->normed, pass->rows, width);
    martlet_softmax(e->scores, e->probabilities, pass->rows, e->count);
    martlet_route(e->probabilities, pass->rows, e->count, e->active, e->renormalised, e->experts, e->weights);
    for (size_t row = 0; row < pass->rows; row++) sort_by_expert(e->experts + row * e->active, e->weights + row * e->active, e->active);
    size_t slot = 0;
    e->used_count = 0;
    for (size_t x = 0; x < e->count; x++) {
        const size_t begin = slot;
        for (size_t place = 0; place < pass->rows * e->active; place++) {
            if (e->experts[place] != x) continue;
            martlet_prepare(e->gates[0].type, e->normed + place / e->active * width, 1, width, e->prepared + slot * bytes);
            e->slots[place] = (uint32_t)slot++;
        }
        if (slot > begin) e->used[e->used_count] = (uint32_t)x, e->first[e->used_count++] = (uint32_t)begin;
    }
    e->first[e->used_count] = (uint32_t)slot;
}

/// Experts that may have rows, as far as is known before they are chosen.
static size_t most_used(const martlet_step_experts *e, size_t rows) { return smaller(e->count, rows * e->active); }

static void run_experts(const martlet_step_phase *phase, size_t chunk, uint8_t *scratch) {
    const martlet_step_experts *e = phase->experts;
    const size_t panels = panels_of(&e->gates[0]), number = chunk / panels;
    if (number >= e->used_count) return;
    const size_t x = e->used[number], first = e->first[number];
    const martlet_step_pass own = {.rows = e->first[number + 1] - first};
    martlet_step_phase part = {.kind = MARTLET_STEP_ACTIVATED, .inputs = phase->inputs, .matrix_count = 2, .activation = phase->activation,
                               .matrices = {e->gates[x], e->ups[x]}, .next_type = phase->next_type};
    part.prepared = e->prepared + first * martlet_activation_bytes(e->gates[x].type, phase->inputs);
    uint8_t *target = e->activated + first * martlet_activation_bytes(e->downs[x].type, e->hidden);
    if (is_quantized(e->downs[x].type)) part.next_prepared = target;
    else part.matrices[0].y = (float *)target;
    run_activated(&part, &own, chunk % panels, chunk % panels + 1, scratch);
}

static void run_experts_down(const martlet_step_phase *phase, size_t chunk) {
    const martlet_step_experts *e = phase->experts;
    const size_t panels = panels_of(&e->downs[0]), number = chunk / panels, panel = chunk % panels;
    if (number >= e->used_count) return;
    const size_t first = e->first[number], rows = e->first[number + 1] - first;
    const martlet_step_matrix *w = &e->downs[e->used[number]];
    martlet_matmul(w->type, w->packed, w->outputs, e->hidden, e->activated + first * martlet_activation_bytes(w->type, e->hidden), rows,
                   w->bias, e->results + first * w->outputs, w->outputs, false, panel, panel + 1);
}

static void run_mix(const martlet_step_phase *phase, const martlet_step_pass *pass, size_t chunk, float *scratch) {
    const martlet_step_experts *e = phase->experts;
    const size_t width = phase->inputs, end = smaller((chunk + 1) * ROWS_CHUNK, pass->rows);
    float *sum = scratch, *part = scratch + width;
    for (size_t row = chunk * ROWS_CHUNK; row < end; row++) {
        float share = 0;
        if (e->shared) martlet_activate(MARTLET_SIGMOID, e->shared_gate + row, &share, 1);
        martlet_scale(e->shared ? e->shared + row * width : e->normed + row * width, share, sum, width);
        for (size_t i = row * e->active; i < (row + 1) * e->active; i++) {
            martlet_scale(e->results + e->slots[i] * width, e->weights[i], part, width);
            martlet_add(sum, part, sum, width);
        }
        normalise(&phase->norm, sum, sum, 1, width);
        martlet_add(phase->y + row * width, sum, phase->y + row * width, width);
    }
}

// ---------------------------------------------------------------- phases

/// The rows that a phase computes.
static martlet_step_pass rows_of(const martlet_step_phase *phase, const martlet_step_pass *pass) {
    martlet_step_pass own = *pass;
    if (phase->wanted) own.rows = pass->wanted;
    return own;
}

size_t martlet_step_chunks(const martlet_step_phase *phase, const martlet_step_pass *pass) {
    const martlet_step_attention *a = &phase->attention;
    const size_t rows = rows_of(phase, pass).rows;
    if (rows == 0) return 0;
    switch (phase->kind) {
    case MARTLET_STEP_ACTIVATED: return panels_of(&phase->matrices[0]);
    case MARTLET_STEP_ATTENTION: return a->key_heads * (a->across ? rows : table_of(a, pass)->segments);
    case MARTLET_STEP_JOIN: case MARTLET_STEP_ROWS: case MARTLET_STEP_MIX: return (rows + ROWS_CHUNK - 1) / ROWS_CHUNK;
    case MARTLET_STEP_ROUTE: return 1;
    case MARTLET_STEP_EXPERTS: return most_used(phase->experts, rows) * panels_of(&phase->experts->gates[0]);
    case MARTLET_STEP_EXPERTS_DOWN: return most_used(phase->experts, rows) * panels_of(&phase->experts->downs[0]);
    case MARTLET_STEP_PRODUCT: break;
    }
    size_t panels = 0;
    for (size_t m = 0; m < phase->matrix_count; m++) panels += panels_of(&phase->matrices[m]);
    return panels;
}

void martlet_step_prologue(const martlet_step_phase *phase, const martlet_step_pass *pass, uint8_t *scratch) {
    const martlet_step_pass own = rows_of(phase, pass);
    prologue(phase, &own, scratch);
}

size_t martlet_step_chunk_bytes(const martlet_step_phase *phase) {
    if (!multiplies(phase)) return 0;
    const size_t bytes = martlet_panel_bytes(phase->matrices[0].type, phase->inputs);
    return phase->kind == MARTLET_STEP_ACTIVATED ? bytes * phase->matrix_count : bytes;
}

void martlet_step_run(const martlet_step_phase *phase, const martlet_step_pass *whole, size_t first, size_t end, uint8_t *scratch) {
    const martlet_step_pass rows = rows_of(phase, whole), *pass = &rows;
    switch (phase->kind) {
    case MARTLET_STEP_PRODUCT: run_product(phase, pass, first, end, scratch); break;
    case MARTLET_STEP_ACTIVATED: run_activated(phase, pass, first, end, scratch); break;
    case MARTLET_STEP_ATTENTION:
        for (size_t chunk = first; chunk < end; chunk++) {
            if (phase->attention.across) run_across(&phase->attention, pass, chunk, scratch);
            else run_attention(&phase->attention, pass, chunk, scratch);
        }
        break;
    case MARTLET_STEP_JOIN: case MARTLET_STEP_ROWS:
        for (size_t chunk = first; chunk < end; chunk++) run_rows(phase, pass, chunk, scratch);
        break;
    case MARTLET_STEP_ROUTE: run_route(phase, pass); break;
    case MARTLET_STEP_EXPERTS:
        for (size_t chunk = first; chunk < end; chunk++) run_experts(phase, chunk, scratch);
        break;
    case MARTLET_STEP_EXPERTS_DOWN:
        for (size_t chunk = first; chunk < end; chunk++) run_experts_down(phase, chunk);
        break;
    case MARTLET_STEP_MIX:
        for (size_t chunk = first; chunk < end; chunk++) run_mix(phase, pass, chunk, (float *)scratch);
    }
}

void martlet_step_foresee(const martlet_step_phase *phase, size_t first, size_t ahead) {
    if (!multiplies(phase)) return;
    enum { SHARE = 1024 };
    for (size_t m = 0; m < phase->matrix_count; m++) {
        const size_t panels = panels_of(&phase->matrices[m]), bytes = martlet_panel_bytes(phase->matrices[m].type, phase->inputs);
        const bool here = phase->kind == MARTLET_STEP_ACTIVATED || first < panels;
        const uint8_t *from = (const uint8_t *)phase->matrices[m].packed + smaller(first, panels) * bytes + ahead * SHARE;
        for (size_t i = 0; here && i < SHARE; i += 64) __builtin_prefetch(from + i, 0, 2);
        if (phase->kind == MARTLET_STEP_PRODUCT) {
            if (here) return;
            first -= panels;
        }
    }
}
