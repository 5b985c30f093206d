// The choice of the instruction set, and the header's functions that depend on it.

#include "kernels.h"
#include "panel.h"
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

static _Atomic(const martlet_kernels *) chosen;
static _Atomic(int) chosen_level = -1;
static _Atomic(uint16_t) packed_rows[MARTLET_BF16_PAIRS + 1];

/// A level with another one's products where that has any.
static martlet_kernels with_products(martlet_kernels base, const martlet_products *products) {
    for (int type = 0; type <= MARTLET_BF16_PAIRS; type++)
        if (products->products[type]) {
            base.products[type] = products->products[type];
            base.packed_rows[type] = products->packed_rows[type];
        }
    return base;
}

#if defined(__x86_64__)
static martlet_kernels avx512_without_bf16, avx2_with_vnni, avx512_with_tiles;

static void mix(void) {
    avx2_with_vnni = with_products(martlet_kernels_avx2, &martlet_products_avxvnni);
    avx512_with_tiles = with_products(martlet_kernels_avx512, &martlet_products_amx);
    // Ice Lake has everything but the bf16 dot product, which only these two functions use.
    avx512_without_bf16 = martlet_kernels_avx512;
    avx512_without_bf16.products[MARTLET_BF16_PAIRS] = martlet_kernels_avx2.products[MARTLET_BF16_PAIRS];
    avx512_without_bf16.burn_bf16 = martlet_kernels_avx2.burn_bf16;
}

static bool has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}
#elif defined(__aarch64__)
static martlet_kernels neon_with_dot;

static void mix(void) { neon_with_dot = with_products(martlet_kernels_scalar, &martlet_products_neon); }
#else
static void mix(void) {}
#endif

static const martlet_kernels *table_of(martlet_level level) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, mix);
    switch (level) {
    case MARTLET_SCALAR: return &martlet_kernels_scalar;
#if defined(__aarch64__)
    case MARTLET_NEON: return martlet_has_dot_product() ? &neon_with_dot : NULL;  // the baseline of arm64 has the rest
#endif
#if defined(__x86_64__)
    case MARTLET_AVX2: return has_avx2() ? &martlet_kernels_avx2 : NULL;
    case MARTLET_AVXVNNI: return has_avx2() && __builtin_cpu_supports("avxvnni") ? &avx2_with_vnni : NULL;
    case MARTLET_AVX512:
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni"))
            return __builtin_cpu_supports("avx512bf16") ? &martlet_kernels_avx512 : &avx512_without_bf16;
        return NULL;
    case MARTLET_AMX:
        return table_of(MARTLET_AVX512) == &martlet_kernels_avx512 && martlet_has_tiles() ? &avx512_with_tiles : NULL;
#endif
    default: return NULL;
    }
}

static const char *const level_names[] = {"scalar", "neon", "avx2", "avxvnni", "avx512", "amx"};

static martlet_level highest_allowed(void) {
    const char *name = getenv("MARTLET_KERNELS");
    for (int level = MARTLET_SCALAR; name && level <= MARTLET_AMX; level++)
        if (strcmp(name, level_names[level]) == 0) return (martlet_level)level;
    return MARTLET_AMX;
}

bool martlet_use_kernel_level(martlet_level level) {
#if defined(__x86_64__)
    __builtin_cpu_init();
#endif
    const martlet_kernels *table = table_of(level);
    if (!table) return false;
    for (int type = 0; type <= MARTLET_BF16_PAIRS; type++) atomic_store(&packed_rows[type], table->packed_rows[type]);
    atomic_store(&chosen_level, (int)level);
    atomic_store(&chosen, table);
    return true;
}

/// Two threads that come here together choose the same.
static const martlet_kernels *probe(void) {
    int level = highest_allowed();
    while (level > MARTLET_SCALAR && !martlet_use_kernel_level((martlet_level)level)) level--;
    if (level == MARTLET_SCALAR) martlet_use_kernel_level(MARTLET_SCALAR);
    return atomic_load(&chosen);
}

static inline const martlet_kernels *kernels(void) {
    const martlet_kernels *table = atomic_load_explicit(&chosen, memory_order_acquire);
    return table ? table : probe();
}

martlet_level martlet_kernel_level(void) {
    kernels();
    return (martlet_level)atomic_load(&chosen_level);
}

size_t martlet_packed_rows(martlet_type type) {
    kernels();
    const size_t rows = atomic_load(&packed_rows[type]);
    return rows > 1 ? rows : 1;
}

void martlet_set_packed_rows(martlet_type type, size_t rows) {
    if (kernels()->packed_rows[type] > 1) atomic_store(&packed_rows[type], (uint16_t)(rows < UINT16_MAX ? rows : UINT16_MAX));
}

size_t martlet_activation_bytes(martlet_type type, size_t inputs) {
    if (type == MARTLET_BF16_PAIRS) return (inputs * sizeof(uint16_t) + 63) / 64 * 64;
    if (!is_quantized(type)) return inputs * sizeof(float);
    const size_t bytes = inputs + inputs / BLOCK * sizeof(float) + inputs / BLOCK * 8;
    return (bytes + 63) / 64 * 64;
}

bool martlet_encode_searched(martlet_type type, const float *values, const float *weights, void *stored, size_t count) {
    if (!is_quantized(type)) return martlet_encode(type, values, stored, count);
    kernels()->search(type, values, weights, stored, count);
    return true;
}

void martlet_prepare(martlet_type type, const float *x, size_t rows, size_t inputs, void *activations) {
    kernels()->prepare(type, x, rows, inputs, activations);
}

void martlet_prepare_part(martlet_type type, const float *x, size_t x_stride, size_t rows, size_t inputs, void *activations,
                          size_t first, size_t end) {
    kernels()->prepare_blocks(type, x, x_stride, rows, inputs, activations, first / BLOCK, end / BLOCK);
}

void martlet_matmul(martlet_type type, const void *packed, size_t outputs, size_t inputs, const void *activations, size_t rows,
                    const float *bias, float *y, size_t y_stride, bool accumulate, size_t first_panel, size_t end_panel) {
    martlet_product *product = kernels()->products[type];
    const size_t tiled = atomic_load_explicit(&packed_rows[type], memory_order_relaxed);
    if (product) product(tiled, packed, outputs, inputs, activations, rows, bias, y, y_stride, accumulate, first_panel, end_panel);
}

void martlet_rms_norm(const float *x, const float *weight, float weight_offset, float epsilon, float *y, size_t rows, size_t width) {
    kernels()->rms_norm(x, weight, weight_offset, epsilon, y, rows, width);
}

void martlet_layer_norm(const float *x, const float *weight, const float *bias, float epsilon, float *y, size_t rows, size_t width) {
    kernels()->layer_norm(x, weight, bias, epsilon, y, rows, width);
}

void martlet_softmax(const float *x, float *y, size_t rows, size_t width) { kernels()->softmax(x, y, rows, width); }

size_t martlet_argmax(const float *x, size_t count) { return kernels()->argmax(x, count); }

float martlet_exponential_sum(const float *x, size_t count, float *largest) { return kernels()->exponential_sum(x, count, largest); }

size_t martlet_largest(const float *x, size_t count, size_t wanted, uint32_t *indices) {
    return kernels()->largest_of(x, count, wanted, indices);
}

size_t martlet_candidate_room(size_t count, const martlet_sampling *sampling) {
    const bool few = sampling->top_k > 0 && sampling->top_k <= MARTLET_INSERTED_CANDIDATES && sampling->top_k < count;
    return few ? MARTLET_INSERTED_CANDIDATES : count + 1;
}

size_t martlet_candidates(const martlet_logits *row, const martlet_sampling *sampling, martlet_candidate *candidates, void *scratch) {
    return kernels()->find_candidates(row, sampling, candidates, scratch);
}

size_t martlet_choose(const martlet_logits *row, const martlet_sampling *sampling, double uniform, void *scratch) {
    return kernels()->choose_token(row, sampling, uniform, scratch);
}

void martlet_route(const float *probabilities, size_t rows, size_t experts, size_t active, bool renormalised, uint32_t *chosen,
                   float *weights) {
    kernels()->route(probabilities, rows, experts, active, renormalised, chosen, weights);
}

void martlet_activate(martlet_activation f, const float *x, float *y, size_t count) { kernels()->activate(f, x, y, count); }

void martlet_gate(martlet_activation f, const float *gate, const float *up, float *y, size_t count) {
    kernels()->gate(f, gate, up, y, count);
}

void martlet_add(const float *a, const float *b, float *y, size_t count) { kernels()->add(a, b, y, count); }

void martlet_multiply(const float *a, const float *b, float *y, size_t count) { kernels()->multiply(a, b, y, count); }

void martlet_scale(const float *x, float factor, float *y, size_t count) { kernels()->scale(x, factor, y, count); }

void martlet_add_bias(const float *x, const float *bias, float *y, size_t rows, size_t width) {
    kernels()->add_bias(x, bias, y, rows, width);
}

void martlet_soft_cap(const float *x, float cap, float *y, size_t count) { kernels()->soft_cap(x, cap, y, count); }

void martlet_rotate(float *x, size_t rows, size_t heads, size_t head_width, size_t rotary_width, bool neighbours,
                    const float *cosines, const float *sines) {
    kernels()->rotate(x, rows, heads, head_width, rotary_width, neighbours, cosines, sines);
}

size_t martlet_attend_scratch(const martlet_attention *work) { return kernels()->attend_scratch(work); }

void martlet_attend(const martlet_attention *work, size_t first_row, size_t end_row, float *scratch) {
    kernels()->attend(work, first_row, end_row, scratch);
}

size_t martlet_attend_partial_floats(const martlet_attention *work) { return work->rows * work->group * (work->value_width + 2); }

void martlet_attend_segment(const martlet_attention *work, size_t segment, float *partial, float *scratch) {
    kernels()->attend_segment(work, segment, partial, scratch);
}

void martlet_attend_merge(const martlet_attention *work, const float *partials, size_t segments) {
    kernels()->attend_merge(work, partials, segments);
}

void martlet_attention_weights(const martlet_attention *work, size_t row, size_t head_in_group, float *weights, size_t keys) {
    kernels()->attention_weights(work, row, head_in_group, weights, keys);
    double share = 1;
    if (work->sinks) {
        const double sink = work->sinks[head_in_group];
        double highest = sink, total = 0;
        for (size_t key = 0; key < keys; key++) highest = weights[key] > highest ? weights[key] : highest;
        for (size_t key = 0; key < keys; key++) total += exp(weights[key] - highest);
        share = total / (total + exp(sink - highest));
    }
    martlet_softmax(weights, weights, 1, keys);
    for (size_t key = 0; work->sinks && key < keys; key++) weights[key] *= (float)share;
}

uint64_t martlet_read_all(const void *data, size_t bytes) { return kernels()->read_all(data, bytes); }
uint64_t martlet_burn_f32(uint64_t iterations, float *sink) { return kernels()->burn_f32(iterations, sink); }
uint64_t martlet_burn_int8(uint64_t iterations, int32_t *sink) { return kernels()->burn_int8(iterations, sink); }
uint64_t martlet_burn_bf16(uint64_t iterations, float *sink) { return kernels()->burn_bf16(iterations, sink); }

// ---------------------------------------------------------------- which arithmetic is faster here

/// The highest rate of several short runs; others that run here slow some of them.
static double highest_rate(uint64_t (*burn)(uint64_t, float *)) {
    double highest = 0;
    for (int run = 0; run < 16; run++) {
        struct timespec before, after;
        float sink = 0;
        clock_gettime(CLOCK_MONOTONIC, &before);
        const double operations = (double)burn(1000, &sink);
        clock_gettime(CLOCK_MONOTONIC, &after);
        const double seconds = (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) * 1e-9;
        if (operations > highest * seconds) highest = operations / seconds;
    }
    return highest;
}

static bool fast_bf16;

static void compare_bf16(void) { fast_bf16 = highest_rate(kernels()->burn_bf16) > highest_rate(kernels()->burn_f32); }

bool martlet_has_fast_bf16(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, compare_bf16);
    return fast_bf16;
}
