// Prints a hash of what the kernels compute from seeded inputs: the same lines on every processor, or something is wrong.

#include "CMartletKernels.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OUTPUTS = 131, INPUTS = 512, ROWS = 7, TYPES = 11 };

static uint64_t hash(const void *data, size_t bytes) {
    const uint8_t *p = data;
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < bytes; i++) h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

static void *memory(size_t bytes) { return aligned_alloc(64, (bytes + 16384) / 64 * 64); }

static float *numbers(uint64_t key, size_t count) {
    float *values = memory(count * sizeof(float));
    for (size_t i = 0; i < count; i++) {
        uint32_t words[4];
        martlet_philox(key, i, 0, words);
        values[i] = (float)(int32_t)words[0] * 0x1p-31f;
    }
    return values;
}

static void products(martlet_type type, size_t block_bytes, size_t block_elements, const float *weights, const float *x) {
    const size_t row_bytes = INPUTS / block_elements * block_bytes, panels = (OUTPUTS + MARTLET_PANEL - 1) / MARTLET_PANEL;
    void *stored = memory(OUTPUTS * row_bytes), *packed = memory(panels * martlet_panel_bytes(type, INPUTS));
    void *activations = memory(ROWS * martlet_activation_bytes(type, INPUTS));
    float *y = memory(ROWS * OUTPUTS * sizeof(float));
    martlet_encode(type, weights, stored, OUTPUTS * INPUTS);
    martlet_pack(type, stored, row_bytes, OUTPUTS, INPUTS, packed, 0, panels);
    martlet_prepare(type, x, ROWS, INPUTS, activations);
    for (size_t rows = 1; rows <= ROWS; rows++) {
        martlet_matmul(type, packed, OUTPUTS, INPUTS, activations, rows, NULL, y, OUTPUTS, false, 0, panels);
        printf("product %d of %zu rows %016llx\n", (int)type, rows, (unsigned long long)hash(y, rows * OUTPUTS * sizeof(float)));
    }
    martlet_encode_searched(type, weights, NULL, stored, OUTPUTS * INPUTS);
    printf("searched %d %016llx\n", (int)type, (unsigned long long)hash(stored, OUTPUTS * row_bytes));
}

/// All orders of operands, exact and rounded to bf16; some so small that sums are below 2^−126.
static void stored_products(const float *a, const float *b, float factor) {
    enum { COLUMNS = 131, STEPS = 141, PRODUCT_ROWS = 200 };
    float *y = memory(PRODUCT_ROWS * COLUMNS * sizeof(float)), *small = memory(PRODUCT_ROWS * STEPS * sizeof(float));
    martlet_scale(a, factor, small, PRODUCT_ROWS * STEPS);
    for (int form = 0; form < 8; form++) {
        martlet_stored_product p = {.a = small, .b = b, .rows = PRODUCT_ROWS, .columns = COLUMNS, .steps = STEPS, .y = y, .y_stride = COLUMNS};
        p.a_turned = form & 1, p.a_stride = form & 1 ? PRODUCT_ROWS : STEPS;
        p.b_columns = form & 2, p.b_stride = form & 2 ? STEPS : COLUMNS;
        p.pairs = form & 4;
        const size_t items = martlet_plan_stored_product(&p, 3);
        float *scratch = memory(martlet_stored_product_scratch(&p) * sizeof(float));
        martlet_run_stored_product(&p, 0, items, scratch);
        printf("stored product %d %016llx\n", form, (unsigned long long)hash(y, PRODUCT_ROWS * COLUMNS * sizeof(float)));
    }
}

/// Queries at the end of the keys, by every number of heads up to a tile of six and beyond.
static void attention(martlet_type type, const float *x) {
    enum { WIDTH = 96, KEYS = 150, BLOCKS = (KEYS + MARTLET_BLOCK - 1) / MARTLET_BLOCK, HEADS = 20 };
    const void *blocks[BLOCKS];
    for (size_t b = 0; b < BLOCKS; b++) {
        const size_t bytes = martlet_block_bytes(type, 1, WIDTH, WIDTH), first = b * MARTLET_BLOCK;
        void *block = memory(bytes);
        memset(block, 0, bytes);
        martlet_store_block(type, x + first * WIDTH, WIDTH, x + (KEYS + first) * WIDTH, WIDTH,
                            KEYS - first < MARTLET_BLOCK ? KEYS - first : MARTLET_BLOCK, 1, 0, 1, WIDTH, WIDTH, block, 0);
        blocks[b] = block;
    }
    float *y = memory(HEADS * WIDTH * sizeof(float));
    const int32_t lower = 5, upper = KEYS;
    for (size_t heads = 1; heads <= HEADS; heads++) {
        martlet_attention work = {.queries = x, .query_stride = heads * WIDTH, .outputs = y, .output_stride = heads * WIDTH, .rows = 1,
                                  .group = heads, .head_width = WIDTH, .value_width = WIDTH, .blocks = blocks, .block_type = type,
                                  .key_heads = 1, .lower = &lower, .upper = &upper, .positions = &upper, .scale = 0.5f};
        martlet_attend(&work, 0, 1, memory(martlet_attend_scratch(&work) * sizeof(float)));
        printf("attention %d of %zu heads %016llx\n", (int)type, heads, (unsigned long long)hash(y, heads * WIDTH * sizeof(float)));
    }
}

int main(void) {
    static const martlet_type types[TYPES] = {MARTLET_F32, MARTLET_F16, MARTLET_BF16, MARTLET_Q8_0,
                                              MARTLET_Q4_0, MARTLET_Q4_K, MARTLET_Q5_K, MARTLET_Q6_K,
                                              MARTLET_Q4_1, MARTLET_Q5_0, MARTLET_Q5_1};
    static const size_t bytes[TYPES] = {4, 2, 2, 34, 18, 144, 176, 210, 20, 22, 24};
    static const size_t elements[TYPES] = {1, 1, 1, 32, 32, 256, 256, 256, 32, 32, 32};
    float *weights = numbers(1, OUTPUTS * INPUTS), *x = numbers(2, ROWS * INPUTS);
    for (int t = 0; t < TYPES; t++) products(types[t], bytes[t], elements[t], weights, x);
    for (int t = 0; t < 4; t++) attention(types[t], weights);
    stored_products(weights, weights + OUTPUTS, 1), stored_products(weights, weights + OUTPUTS, 0x1p-124f);
    martlet_rms_norm(x, weights, 0, 1e-5f, x, ROWS, INPUTS);
    martlet_layer_norm(x, weights, weights + INPUTS, 1e-5f, x, ROWS, INPUTS);
    printf("norms %016llx\n", (unsigned long long)hash(x, ROWS * INPUTS * sizeof(float)));
    martlet_softmax(x, x, ROWS, INPUTS);
    printf("softmax %016llx\n", (unsigned long long)hash(x, ROWS * INPUTS * sizeof(float)));
    for (int f = MARTLET_RELU; f <= MARTLET_SIGMOID; f++) {
        float *y = memory(OUTPUTS * INPUTS * sizeof(float));
        martlet_activate((martlet_activation)f, weights, y, OUTPUTS * INPUTS);
        printf("activation %d %016llx\n", f, (unsigned long long)hash(y, OUTPUTS * INPUTS * sizeof(float)));
    }
    return 0;
}
