// Products with packed weights, of every type and number of rows; encoding and decoding.

#include "check.h"

typedef struct {
    martlet_type type, stored;
    size_t outputs, inputs;
    void *packed;
} weight;

static weight packed_weight(martlet_type type, size_t outputs, size_t inputs, uint64_t key) {
    const martlet_type stored = type == MARTLET_BF16_PAIRS ? MARTLET_BF16 : type;
    const size_t row_bytes = inputs / stored_elements(stored) * stored_bytes(stored), panels = (outputs + MARTLET_PANEL - 1) / MARTLET_PANEL;
    weight w = {type, stored, outputs, inputs, memory(panels * martlet_panel_bytes(stored, inputs))};
    void *rows = memory(outputs * row_bytes);
    martlet_encode(stored, numbers(key, outputs * inputs), rows, outputs * inputs);
    martlet_pack(stored, rows, row_bytes, outputs, inputs, w.packed, 0, panels);
    return w;
}

/// Rows 1 ... 33, and numbers around those where tiles, slices and blocks of rows begin anew.
static size_t next_rows(size_t rows) {
    static const size_t more[] = {47, 48, 49, 63, 64, 65, 66, 96, 252, 253, 260};
    if (rows < 33) return rows + 1;
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        if (more[i] > rows) return more[i];
    return SIZE_MAX;
}

static void rows_of_every_number(weight w, const float *x, size_t most) {
    const size_t panels = (w.outputs + MARTLET_PANEL - 1) / MARTLET_PANEL, row_bytes = martlet_activation_bytes(w.type, w.inputs);
    void *all = memory(most * row_bytes);
    martlet_prepare(w.type, x, most, w.inputs, all);
    if (stored_elements(w.type) > 1) report_bytes(all, most * row_bytes, "prepared %d", (int)w.type);
    for (size_t rows = 1; rows <= most; rows = next_rows(rows)) {
        uint8_t *activations = memory(rows * row_bytes);
        memcpy(activations, all, rows * row_bytes);
        float *y = memory(rows * w.outputs * sizeof(float));
        martlet_matmul(w.type, w.packed, w.outputs, w.inputs, activations, rows, NULL, y, w.outputs, false, 0, panels);
        report(y, rows * w.outputs, "product %d of %zu inputs, %zu rows", (int)w.type, w.inputs, rows);
    }
}

/// A bias, sums that are added to, a range of panels, rows of y further apart.
static void forms(weight w, const float *x, size_t rows) {
    const size_t stride = w.outputs + 5, panels = (w.outputs + MARTLET_PANEL - 1) / MARTLET_PANEL;
    void *activations = memory(rows * martlet_activation_bytes(w.type, w.inputs));
    martlet_prepare(w.type, x, rows, w.inputs, activations);
    float *y = numbers(7, rows * stride), *bias = numbers(8, w.outputs);
    martlet_matmul(w.type, w.packed, w.outputs, w.inputs, activations, rows, bias, y, stride, false, 0, 1);
    martlet_matmul(w.type, w.packed, w.outputs, w.inputs, activations, rows, bias, y, stride, true, panels - 1, panels);
    martlet_matmul(w.type, w.packed, w.outputs, w.inputs, activations, rows, NULL, y, stride, true, 0, panels);
    report(y, rows * stride, "product %d in forms, %zu rows", (int)w.type, rows);
}

static void products(martlet_type type) {
    enum { MOST = 260 };
    const bool dense = stored_elements(type) == 1;
    const size_t inputs = dense ? 141 : 512;
    const weight w = packed_weight(type, 70, inputs, 1);
    float *x = numbers(2, MOST * inputs);
    rows_of_every_number(w, x, MOST);
    for (size_t rows = 1; rows < 9; rows += 3) forms(w, x, rows);
    release();
    const weight odd = packed_weight(type, 131, dense ? 37 : 256, 3);
    const float *values = odd_numbers(4, 40 * odd.inputs);
    rows_of_every_number(odd, values, 33);
    release();
    if (!dense) return;
    rows_of_every_number(packed_weight(type, 1, 1, 5), numbers(6, 70), 66);
    float *small = numbers(6, 9 * 128);  // products below 2^−126
    martlet_scale(small, 0x1p-122f, small, 9 * 128);
    rows_of_every_number(packed_weight(type, 64, 128, 5), small, 9);
    release();
}

void check_products(void) {
    for (int type = MARTLET_F32; type <= MARTLET_BF16_PAIRS; type++)
        if (type != MARTLET_I32) products((martlet_type)type);
}

// ---------------------------------------------------------------- formats

static void blocks(martlet_type type) {
    enum { COUNT = 4096 };
    const size_t count = COUNT / stored_elements(type), bytes = count * stored_bytes(type);
    float *x = numbers(9, COUNT), *weights = memory(COUNT * sizeof(float)), *values = memory(COUNT * sizeof(float));
    for (size_t i = 0; i < COUNT; i++) weights[i] = x[i] * x[COUNT - 1 - i] > 0 ? 2 : 0.25f;
    for (size_t i = 0; i < 512; i++) x[i] = i < 256 ? 0 : 0.3f;
    uint8_t *stored = memory(bytes);
    martlet_encode(type, x, stored, COUNT);
    report_bytes(stored, bytes, "encoded %d", (int)type);
    martlet_decode(type, stored, values, COUNT);
    report(values, COUNT, "decoded %d", (int)type);
    martlet_decode(type, random_bytes(10, bytes), values, COUNT);
    report(values, COUNT, "decoded %d from any bytes", (int)type);
    if (stored_elements(type) == 1) return;
    martlet_encode_searched(type, x, NULL, stored, COUNT);
    report_bytes(stored, bytes, "searched %d", (int)type);
    martlet_encode_searched(type, x, weights, stored, COUNT);
    report_bytes(stored, bytes, "searched %d with weights", (int)type);
}

static void foreign_blocks(uint32_t type) {
    enum { COUNT = 40, LARGEST = 512, ELEMENTS = 256 };
    const uint8_t *stored = random_bytes(11 + type, COUNT * LARGEST);
    float *values = memory(COUNT * ELEMENTS * sizeof(float));
    if (martlet_decode_foreign(type, stored, values, COUNT)) report(values, COUNT * ELEMENTS, "foreign %u", type);
    uint8_t *other = memory(COUNT * 1024);
    if (martlet_repack_foreign(type, stored, other, COUNT)) report_bytes(other, COUNT * 1024, "foreign %u repacked", type);
    memset(other, 0, COUNT * 1024);
    if (martlet_encode_foreign(type, numbers(12, COUNT * ELEMENTS), other, COUNT)) report_bytes(other, COUNT * 1024, "foreign %u encoded", type);
    release();
}

void check_formats(void) {
    for (int type = MARTLET_F32; type <= MARTLET_Q6_K; type++)
        if (type != MARTLET_I32) blocks((martlet_type)type), release();
    for (uint32_t type = MARTLET_GGML_Q8_1; type <= MARTLET_GGML_NVFP4; type++) foreign_blocks(type);
}
