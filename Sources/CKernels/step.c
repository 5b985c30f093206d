// The phases of a decoding step, from the kernels that everything else is made of.

#include "step_attention.h"
#include "step_experts.h"

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

// ---------------------------------------------------------------- phases

/// The rows that a phase computes.
static martlet_step_pass rows_of(const martlet_step_phase *phase, const martlet_step_pass *pass) {
    martlet_step_pass own = *pass;
    if (phase->wanted) own.rows = pass->wanted;
    return own;
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
    case MARTLET_STEP_ROUTE: case MARTLET_STEP_EXPERTS_DOWN: case MARTLET_STEP_CALL: return 0;
    case MARTLET_STEP_PRODUCT: case MARTLET_STEP_JOIN: break;
    }
    return prepared_at(phase, pass, phase->matrix_count);
}

size_t martlet_step_chunks(const martlet_step_phase *phase, const martlet_step_pass *pass) {
    const martlet_step_attention *a = &phase->attention;
    const size_t rows = rows_of(phase, pass).rows;
    if (rows == 0) return 0;
    switch (phase->kind) {
    case MARTLET_STEP_ACTIVATED: return panels_of(&phase->matrices[0]);
    case MARTLET_STEP_ATTENTION: return a->key_heads * (a->across ? rows : table_of(a, pass)->segments);
    case MARTLET_STEP_JOIN: case MARTLET_STEP_ROWS: case MARTLET_STEP_MIX: return (rows + ROWS_CHUNK - 1) / ROWS_CHUNK;
    case MARTLET_STEP_ROUTE: case MARTLET_STEP_CALL: return 1;
    case MARTLET_STEP_EXPERTS: return most_used(phase->experts, rows) * panels_of(&phase->experts->ups[0]);
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
        break;
    case MARTLET_STEP_CALL: phase->call(phase->context, pass->rows);
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
