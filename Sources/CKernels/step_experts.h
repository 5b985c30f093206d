// Mixtures of experts inside a decoding step.

#ifndef MARTLET_STEP_EXPERTS_H
#define MARTLET_STEP_EXPERTS_H

#include "step_products.h"

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
    const martlet_type type = e->ups[0].type;
    const size_t width = phase->inputs, bytes = martlet_activation_bytes(type, width);
    normalise(&phase->norm, phase->x, e->normed, pass->rows, width);
    if (!e->chosen) {
        martlet_softmax(e->scores, e->probabilities, pass->rows, e->count);
        martlet_route(e->probabilities, pass->rows, e->count, e->active, e->renormalised, e->experts, e->weights);
    }
    for (size_t row = 0; row < pass->rows; row++) sort_by_expert(e->experts + row * e->active, e->weights + row * e->active, e->active);
    size_t slot = 0;
    e->used_count = 0;
    for (size_t x = 0; x < e->count; x++) {
        const size_t begin = slot;
        for (size_t place = 0; place < pass->rows * e->active; place++) {
            if (e->experts[place] != x) continue;
            const float *row = e->normed + place / e->active * width;
            if (e->of_inputs) {
                float *scaled = e->results + slot * width;  // nothing has been written there yet
                martlet_scale(row, e->weights[place], scaled, width);
                row = scaled;
            }
            martlet_prepare(type, row, 1, width, e->prepared + slot * bytes);
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
    const size_t panels = panels_of(&e->ups[0]), number = chunk / panels;
    if (number >= e->used_count) return;
    const size_t x = e->used[number], first = e->first[number];
    const martlet_step_pass own = {.rows = e->first[number + 1] - first};
    martlet_step_phase part = {.kind = MARTLET_STEP_ACTIVATED, .inputs = phase->inputs, .matrix_count = e->gates ? 2 : 1,
                               .activation = phase->activation, .limit = e->limit,
                               .matrices = {e->gates ? e->gates[x] : e->ups[x], e->ups[x]}, .next_type = phase->next_type};
    part.prepared = e->prepared + first * martlet_activation_bytes(e->ups[x].type, phase->inputs);
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
        float share = e->shared ? 1 : 0;
        if (e->shared_gate) martlet_activate(MARTLET_SIGMOID, e->shared_gate + row, &share, 1);
        martlet_scale(e->shared ? e->shared + row * width : e->normed + row * width, share, sum, width);
        for (size_t i = row * e->active; i < (row + 1) * e->active; i++) {
            const float *result = e->results + e->slots[i] * width;
            if (e->scales) {
                martlet_scale(result, e->scales[e->experts[i]], part, width);
                result = part;
            }
            martlet_scale(result, e->of_inputs ? 1 : e->weights[i], part, width);
            martlet_add(sum, part, sum, width);
        }
        if (!phase->accumulate) {
            memcpy(phase->y + row * width, sum, width * sizeof(float));
            continue;
        }
        normalise(&phase->norm, sum, sum, 1, width);
        martlet_add(phase->y + row * width, sum, phase->y + row * width, width);
    }
}

#endif
