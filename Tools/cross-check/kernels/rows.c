// Norms, softmax, activations and element-wise operations at every width of a tail; choices among logits and experts.

#include "check.h"
#include <stdio.h>

static const size_t widths[] = {1, 2, 7, 15, 16, 17, 31, 32, 33, 48, 63, 100, 515};
enum { WIDTHS = sizeof widths / sizeof *widths };

static void norms(size_t width, const float *x, const char *what) {
    enum { ROWS = 3 };
    float *weight = numbers(41, width), *bias = numbers(42, width), *y = memory(ROWS * width * sizeof(float));
    martlet_rms_norm(x, weight, 1, 1e-5f, y, ROWS, width);
    report(y, ROWS * width, "RMS norm of %zu%s", width, what);
    martlet_layer_norm(x, weight, bias, 1e-5f, y, ROWS, width);
    report(y, ROWS * width, "layer norm of %zu%s", width, what);
    martlet_layer_norm(x, NULL, NULL, 1e-5f, y, ROWS, width);
    report(y, ROWS * width, "plain layer norm of %zu%s", width, what);
    martlet_softmax(x, y, ROWS, width);
    report(y, ROWS * width, "softmax of %zu%s", width, what);
    float sums[2];
    sums[0] = martlet_exponential_sum(x, width, &sums[1]);
    report(sums, 2, "exponential sum of %zu%s", width, what);
    martlet_add_bias(x, bias, y, ROWS, width);
    report(y, ROWS * width, "bias of %zu%s", width, what);
    uint32_t *indices = memory(width * sizeof *indices);
    printf("largest of %zu%s: %zu, %zu", width, what, martlet_argmax(x, width), martlet_largest(x, width, (width + 1) / 2, indices));
    report_bytes(indices, width * sizeof *indices, ",");
}

static void elements(size_t count, const float *x, const char *what) {
    const float *b = numbers(43, count);
    float *y = memory(count * sizeof(float));
    for (int f = MARTLET_RELU; f <= MARTLET_SIGMOID; f++) {
        martlet_activate((martlet_activation)f, x, y, count);
        report(y, count, "activation %d of %zu%s", f, count, what);
        martlet_gate((martlet_activation)f, x, b, y, count);
        report(y, count, "gate %d of %zu%s", f, count, what);
    }
    martlet_add(x, b, y, count), report(y, count, "sum of %zu%s", count, what);
    martlet_multiply(x, b, y, count), report(y, count, "multiplied %zu%s", count, what);
    martlet_scale(x, 0.3f, y, count), report(y, count, "scaled %zu%s", count, what);
    martlet_soft_cap(x, 0.7f, y, count), report(y, count, "capped %zu%s", count, what);
}

static void rotations(size_t rotary) {
    enum { ROWS = 3, HEADS = 2 };
    const size_t width = rotary + 6;
    for (int neighbours = 0; neighbours < 2; neighbours++) {
        float *x = numbers(44, ROWS * HEADS * width);
        martlet_rotate(x, ROWS, HEADS, width, rotary, neighbours, numbers(45, ROWS * rotary / 2), numbers(46, ROWS * rotary / 2));
        report(x, ROWS * HEADS * width, "rotation of %zu %d", rotary, neighbours);
    }
}

void check_rows(void) {
    for (size_t i = 0; i < WIDTHS; i++) {
        norms(widths[i], numbers(47, 3 * widths[i]), ""), release();
        norms(widths[i], odd_numbers(48 + i, 3 * widths[i]), " odd"), release();
        elements(widths[i], numbers(49, widths[i]), ""), release();
        elements(widths[i], odd_numbers(50 + i, widths[i]), " odd"), release();
        rotations(2 * widths[i]), release();
    }
    elements(20000, odd_numbers(51, 20000), " odd");
    for (int type = MARTLET_Q8_0; type <= MARTLET_Q6_K; type++) {  // parts of rows that lie further apart
        const size_t bytes = martlet_activation_bytes((martlet_type)type, 512);
        uint8_t *prepared = memory(5 * bytes);
        martlet_prepare_part((martlet_type)type, odd_numbers(52, 5 * 75 + 64), 75, 5, 512, prepared, 256, 320);
        report_bytes(prepared, 5 * bytes, "prepared part %d", type);
    }
    const uint8_t *bytes = random_bytes(53, 1000);
    printf("read %llu\n", (unsigned long long)martlet_read_all(bytes, 1000));
    release();
}

// ---------------------------------------------------------------- choices

static const martlet_sampling samplings[] = {
    {0, 0, 1, 0, 1}, {1, 0, 1, 0, 1}, {0.7f, 40, 1, 0, 1}, {0.7f, 40, 0.9f, 0.05f, 0.9f}, {1.3f, 0, 0.9f, 0, 1}, {0.01f, 0, 0.99f, 0, 1},
    {1, 0, 1, 0.1f, 1}, {1, 0, 1, 0, 0.8f}, {2, 300, 1, 0, 1}, {1, 1, 1, 0, 1}, {1e-38f, 3, 1, 0, 1}, {40, 0, 0.5f, 0.2f, 0.5f}, {1, 0, 0.999f, 0, 1}};

static void choose(const martlet_logits *row, const char *what) {
    for (size_t s = 0; s < sizeof samplings / sizeof *samplings; s++) {
        const size_t room = martlet_candidate_room(row->count, samplings + s);
        void *scratch = memory(room * 32);
        printf("choice %zu of %zu%s", s, row->count, what);
        for (int i = 0; i < 8; i++) printf(" %zu", martlet_choose(row, samplings + s, i == 7 ? 0.99999999 : i / 7.0, scratch));
        printf("\n");
        if (samplings[s].temperature == 0) continue;
        martlet_candidate *candidates = memory(room * sizeof *candidates);
        const size_t count = martlet_candidates(row, samplings + s, candidates, memory(room * 16));
        report((const float *)candidates, count * 4, "candidates %zu of %zu%s, %zu", s, row->count, what, count);
    }
}

static void choices(size_t count, const float *logits, const char *what) {
    martlet_logit_change changes[] = {{0, 0.5f, 1, 0}, {3, 0, 1.3f, 0.2f}, {17, 9, 2, 0}, {18, -9, 1, 0}, {(uint32_t)count - 1, 0, 1.1f, -3}};
    uint32_t *allowed = memory((count + 31) / 32 * sizeof *allowed);
    for (size_t i = 0; i < count; i++)
        if (i % 7 < 4 && i / 40 % 3) allowed[i / 32] |= 1u << i % 32;
    choose(&(martlet_logits){.logits = logits, .count = count}, what);
    if (count < 20) return;
    choose(&(martlet_logits){.logits = logits, .count = count, .changes = changes, .change_count = 5}, what);
    choose(&(martlet_logits){.logits = logits, .count = count, .allowed = allowed, .changes = changes, .change_count = 5}, what);
}

void check_choice(void) {
    for (size_t count = 1; count < 6000; count = count * 3 + 5) {
        float *logits = numbers(61, count);
        martlet_scale(logits, 9, logits, count);
        choices(count, logits, ""), release();
        choices(count, odd_numbers(62 + count, count), " odd"), release();
    }
    for (size_t experts = 2; experts < 200; experts = experts * 2 + 3)
        for (int renormalised = 0; renormalised < 2; renormalised++) {
            enum { ROWS = 5 };
            const size_t active = experts < 8 ? 2 : 8;
            uint32_t *chosen = memory(ROWS * active * sizeof *chosen);
            float *weights = memory(ROWS * active * sizeof *weights), *scores = odd_numbers(63, ROWS * experts);
            martlet_softmax(scores, scores, ROWS, experts);
            martlet_route(scores, ROWS, experts, active, renormalised, chosen, weights);
            report_bytes(chosen, ROWS * active * sizeof *chosen, "experts of %zu", experts);
            report(weights, ROWS * active, "experts' weights of %zu", experts);
            release();
        }
}
