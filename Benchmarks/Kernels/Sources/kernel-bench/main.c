// Measures the kernels beside the limits of the machine they run on, in one process.
//
//   kernel-bench [threads] [filter]
//
// One line each: what, the rate, and the ratio to the limit measured just before (bytes for one row, operations for
// many).

#include <CMartletKernels.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAXIMUM_THREADS = 64, REPEATS = 7 };

typedef void task(int thread, int threads, void *context);
typedef struct { task *run; int thread, threads; void *context; double seconds; } assignment;

/// Processor time, so that another process on the same cores does not count.
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *enter(void *argument) {
    assignment *a = argument;
    const double start = now();
    a->run(a->thread, a->threads, a->context);
    a->seconds = now() - start;
    return NULL;
}

/// Seconds of the slowest thread, in the fastest of several runs.
static double fastest(int threads, task *run, void *context) {
    double best = 1e30, spent = 0;
    for (int repeat = 0; repeat < REPEATS || spent < 0.2; repeat++) {
        pthread_t handles[MAXIMUM_THREADS];
        assignment assignments[MAXIMUM_THREADS];
        for (int t = 0; t < threads; t++) {
            assignments[t] = (assignment){run, t, threads, context, 0};
            if (t > 0) pthread_create(&handles[t], NULL, enter, &assignments[t]);
        }
        enter(&assignments[0]);
        for (int t = 1; t < threads; t++) pthread_join(handles[t], NULL);
        double seconds = 0;
        for (int t = 0; t < threads; t++) seconds = assignments[t].seconds > seconds ? assignments[t].seconds : seconds;
        spent += seconds;
        best = seconds < best ? seconds : best;
    }
    return best;
}

static void *filled(size_t bytes, int byte) {
    void *p = aligned_alloc(64, (bytes + 127) / 64 * 64);
    if (!p) exit(1);
    return memset(p, byte, bytes);
}

// ---------------------------------------------------------------- limits

typedef struct { const uint8_t *data; size_t bytes; } memory_task;

static void read_part(int thread, int threads, void *context) {
    const memory_task *m = context;
    const size_t part = m->bytes / (size_t)threads / 256 * 256;
    volatile uint64_t sink = martlet_read_all(m->data + part * (size_t)thread, part);
    (void)sink;
}

enum { BURN = 20000000 };
static uint64_t burned;

static void burn_f32(int thread, int threads, void *context) {
    (void)threads, (void)context;
    float sink = 1;
    const uint64_t operations = martlet_burn_f32(BURN, &sink);
    if (thread == 0) burned = operations;
}

static void burn_int8(int thread, int threads, void *context) {
    (void)threads, (void)context;
    int32_t sink = 1;
    const uint64_t operations = martlet_burn_int8(BURN, &sink);
    if (thread == 0) burned = operations;
}

static void burn_bf16(int thread, int threads, void *context) {
    (void)threads, (void)context;
    float sink = 1;
    const uint64_t operations = martlet_burn_bf16(BURN, &sink);
    if (thread == 0) burned = operations;
}

static double rate(int threads, task *burn) {
    const double seconds = fastest(threads, burn, NULL);
    return (double)burned * threads / seconds / 1e9;
}

// ---------------------------------------------------------------- products

typedef struct {
    martlet_type type;
    size_t outputs, inputs, rows;
    void *packed, *activations;
    float *y;
} product_task;

static void multiply(int thread, int threads, void *context) {
    const product_task *p = context;
    const size_t panels = (p->outputs + MARTLET_PANEL - 1) / MARTLET_PANEL;
    martlet_matmul(p->type, p->packed, p->outputs, p->inputs, p->activations, p->rows, NULL, p->y, p->outputs, false,
                   panels * (size_t)thread / (size_t)threads, panels * (size_t)(thread + 1) / (size_t)threads);
}

static double time_product(martlet_type type, size_t outputs, size_t inputs, size_t rows, int threads) {
    const size_t panels = (outputs + MARTLET_PANEL - 1) / MARTLET_PANEL;
    product_task p = {type, outputs, inputs, rows, filled(panels * martlet_panel_bytes(type, inputs), 0x11),
                      filled(rows * martlet_activation_bytes(type, inputs), 0), filled(rows * outputs * sizeof(float), 0)};
    float *x = filled(rows * inputs * sizeof(float), 0);
    for (size_t i = 0; i < rows * inputs; i++) x[i] = (float)(i % 17) - 8;
    martlet_prepare(type, x, rows, inputs, p.activations);
    const double seconds = fastest(threads, multiply, &p);
    free(p.packed), free(p.activations), free(p.y), free(x);
    return seconds;
}

/// `limit`: the peak to compare with, in the order of `peaks`.
static const struct { martlet_type type; const char *name; int limit; } types[] = {
    {MARTLET_F32, "f32", 0}, {MARTLET_F16, "f16", 0}, {MARTLET_BF16, "bf16", 0}, {MARTLET_Q8_0, "q8_0", 1},
    {MARTLET_Q4_0, "q4_0", 1}, {MARTLET_Q4_K, "q4_K", 1}, {MARTLET_Q5_K, "q5_K", 1}, {MARTLET_Q6_K, "q6_K", 1},
    {MARTLET_Q4_1, "q4_1", 1}, {MARTLET_Q5_0, "q5_0", 1}, {MARTLET_Q5_1, "q5_1", 1},
    {MARTLET_BF16_PAIRS, "pairs", 2},
};

static void one_row(int threads, double bandwidth) {
    enum { INPUTS = 2048, BYTES = 600 << 20 };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const size_t panel = martlet_panel_bytes(types[i].type, INPUTS), outputs = BYTES / panel * MARTLET_PANEL;
        const double seconds = time_product(types[i].type, outputs, INPUTS, 1, threads);
        const double small = time_product(types[i].type, (1 << 20) / panel * MARTLET_PANEL * (size_t)threads, INPUTS, 1, threads);
        const double gigabytes = (double)(outputs / MARTLET_PANEL * panel) / 1e9;
        printf("one row    %-5s %7.1f GB/s  %5.1f %% of reading   (%6.1f GB/s from cache)\n", types[i].name, gigabytes / seconds,
               100 * gigabytes / seconds / bandwidth, (double)((1 << 20) / panel * panel * (size_t)threads) / 1e9 / small);
    }
}

static void many_rows(int threads, const double *peaks) {
    static const char *const names[] = {"f32", "int8", "bf16"};
    static const struct { size_t outputs, inputs, rows; } shapes[] = {{128, 512, 252}, {4864, 1024, 512}, {2048, 8192, 512}, {2048, 2048, 8}, {65536, 2048, 2}, {65536, 2048, 4}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
            const double seconds = time_product(types[i].type, shapes[s].outputs, shapes[s].inputs, shapes[s].rows, threads);
            const double operations = 2e-9 * (double)shapes[s].outputs * (double)shapes[s].inputs * (double)shapes[s].rows / seconds;
            printf("%zu x %zu, %zu rows  %-5s %7.1f GOP/s  %5.1f %% of %s peak\n", shapes[s].outputs, shapes[s].inputs, shapes[s].rows,
                   types[i].name, operations, 100 * operations / peaks[types[i].limit], names[types[i].limit]);
        }
}

// ---------------------------------------------------------------- attention

typedef struct { martlet_attention work; float *scratch[MAXIMUM_THREADS]; } attention_task;

static void attend(int thread, int threads, void *context) {
    attention_task *a = context;
    for (size_t head = (size_t)thread; head < a->work.key_heads; head += (size_t)threads) {
        martlet_attention work = a->work;
        work.key_head = head;
        work.queries += head * work.group * work.head_width;
        work.outputs += head * work.group * work.value_width;
        martlet_attend(&work, 0, work.rows, a->scratch[thread]);
    }
}

static void attention(int threads, size_t rows, size_t keys, size_t key_heads, size_t group, size_t width, double bandwidth, double peak) {
    const size_t blocks = (keys + MARTLET_BLOCK - 1) / MARTLET_BLOCK, floats = martlet_block_bytes(MARTLET_F32, key_heads, width, width) / 4;
    float *memory = filled(blocks * floats * sizeof(float), 0x11);
    const void **list = filled(blocks * sizeof *list, 0);
    for (size_t b = 0; b < blocks; b++) list[b] = memory + b * floats;
    const size_t stride = key_heads * group * width;
    int32_t *lower = filled(rows * sizeof *lower, 0), *upper = filled(rows * sizeof *upper, 0);
    double pairs = 0;
    for (size_t r = 0; r < rows; r++) upper[r] = (int32_t)(keys - rows + r + 1), pairs += upper[r];
    attention_task a = {.work = {.queries = filled(rows * stride * sizeof(float), 0x11), .query_stride = stride,
                                 .outputs = filled(rows * stride * sizeof(float), 0), .output_stride = stride, .rows = rows,
                                 .group = group, .head_width = width, .value_width = width, .blocks = list, .key_heads = key_heads,
                                 .lower = lower, .upper = upper, .scale = 0.125f}};
    for (int t = 0; t < threads; t++) a.scratch[t] = filled(martlet_attend_scratch(&a.work) * sizeof(float), 0);
    const double seconds = fastest(threads, attend, &a);
    const double bytes = 1e-9 * (double)(blocks * floats * sizeof(float));
    const double operations = 4e-9 * pairs * (double)(key_heads * group * width);
    printf("attention %zu rows, %zu keys, %zu x %zu heads of %zu: %6.1f GB/s (%4.1f %%)  %6.1f GFLOP/s (%4.1f %%)\n", rows, keys, key_heads,
           group, width, bytes / seconds, 100 * bytes / seconds / bandwidth, operations / seconds, 100 * operations / seconds / peak);
    free(memory), free(list), free(lower), free(upper), free((void *)a.work.queries), free(a.work.outputs);
    for (int t = 0; t < threads; t++) free(a.scratch[t]);
}

int main(int count, char **arguments) {
    const int threads = count > 1 ? atoi(arguments[1]) : 1;
    const char *filter = count > 2 ? arguments[2] : "";
    if (threads < 1 || threads > MAXIMUM_THREADS) return fprintf(stderr, "usage: kernel-bench [threads] [one|many|attention]\n"), 2;
    static const char *const levels[] = {"scalar", "neon", "avx2", "avxvnni", "avx512"};
    printf("%s, %d thread%s\n%s\n", levels[martlet_kernel_level()], threads, threads == 1 ? "" : "s", martlet_processor_features());
    memory_task memory = {filled((size_t)600 << 20, 0x11), (size_t)600 << 20};
    const double bandwidth = (double)memory.bytes / 1e9 / fastest(threads, read_part, &memory);
    free((void *)memory.data);
    const double f32_peak = rate(threads, burn_f32), int8_peak = rate(threads, burn_int8), bf16_peak = rate(threads, burn_bf16);
    printf("limits: read %.1f GB/s, f32 %.1f GFLOP/s, int8 %.1f GOP/s, bf16 %.1f GFLOP/s\n", bandwidth, f32_peak, int8_peak, bf16_peak);
    if (!*filter || !strcmp(filter, "one")) one_row(threads, bandwidth);
    if (!*filter || !strcmp(filter, "many")) many_rows(threads, (double[]){f32_peak, int8_peak, bf16_peak});
    if (!*filter || !strcmp(filter, "attention")) {
        attention(threads, 1, 8192, 8, 4, 64, bandwidth, f32_peak);
        attention(threads, 1, 8192, 8, 1, 128, bandwidth, f32_peak);
        attention(threads, 512, 512, 8, 4, 64, bandwidth, f32_peak);
        attention(threads, 512, 4096, 8, 4, 128, bandwidth, f32_peak);
    }
    return 0;
}
