// The dispatch table: one function per operation whose speed depends on the instruction set.

#ifndef MARTLET_KERNELS_H
#define MARTLET_KERNELS_H

#include "include/CMartletKernels.h"

typedef void martlet_product(size_t packed_rows, const uint8_t *packed, size_t outputs, size_t inputs, const uint8_t *activations, size_t rows,
                             const float *bias, float *y, size_t y_stride, bool accumulate, size_t first_panel, size_t end_panel);

typedef struct {
    martlet_product *products[MARTLET_BF16_PAIRS + 1];  // NULL for types that are no weights
    uint16_t packed_rows[MARTLET_BF16_PAIRS + 1];       // what martlet_packed_rows says before it is told otherwise
    void (*search)(martlet_type, const float *, const float *, uint8_t *, size_t);
    void (*prepare)(martlet_type, const float *, size_t, size_t, void *);
    void (*prepare_blocks)(martlet_type, const float *, size_t, size_t, size_t, void *, size_t, size_t);
    void (*rms_norm)(const float *, const float *, float, float, float *, size_t, size_t);
    void (*layer_norm)(const float *, const float *, const float *, float, float *, size_t, size_t);
    void (*softmax)(const float *, float *, size_t, size_t);
    size_t (*argmax)(const float *, size_t);
    float (*exponential_sum)(const float *, size_t, float *);
    size_t (*largest_of)(const float *, size_t, size_t, uint32_t *);
    size_t (*find_candidates)(const martlet_logits *, const martlet_sampling *, martlet_candidate *, void *);
    size_t (*choose_token)(const martlet_logits *, const martlet_sampling *, double, void *);
    void (*route)(const float *, size_t, size_t, size_t, bool, uint32_t *, float *);
    void (*activate)(martlet_activation, const float *, float *, size_t);
    void (*gate)(martlet_activation, const float *, const float *, float *, size_t);
    void (*add)(const float *, const float *, float *, size_t);
    void (*multiply)(const float *, const float *, float *, size_t);
    void (*scale)(const float *, float, float *, size_t);
    void (*add_bias)(const float *, const float *, float *, size_t, size_t);
    void (*soft_cap)(const float *, float, float *, size_t);
    void (*rotate)(float *, size_t, size_t, size_t, size_t, bool, const float *, const float *);
    size_t (*attend_scratch)(const martlet_attention *);
    void (*attend)(const martlet_attention *, size_t, size_t, float *);
    void (*attend_segment)(const martlet_attention *, size_t, float *, float *);
    void (*attend_merge)(const martlet_attention *, const float *, size_t);
    void (*attention_weights)(const martlet_attention *, size_t, size_t, float *, size_t);
    uint64_t (*read_all)(const void *, size_t);
    uint64_t (*burn_f32)(uint64_t, float *);
    uint64_t (*burn_int8)(uint64_t, int32_t *);
    uint64_t (*burn_bf16)(uint64_t, float *);
} martlet_kernels;

/// Returns whether a bf16 dot product does more work in a time than f32 arithmetic here (twice on Zen 4 and 5, half on
/// Sapphire Rapids), measured once, in some microseconds.
bool martlet_has_fast_bf16(void);

extern const martlet_kernels martlet_kernels_scalar;

/// The products of a level that shares all else with a lower one; NULL for dense types.
typedef struct {
    martlet_product *products[MARTLET_BF16_PAIRS + 1];
    uint16_t packed_rows[MARTLET_BF16_PAIRS + 1];
} martlet_products;

#if defined(__aarch64__)
bool martlet_has_dot_product(void);
extern const martlet_products martlet_products_neon;
#endif
#if defined(__x86_64__)
/// Returns whether this process may use matrix tiles of 8-bit integers; asks the kernel for them at the first call.
bool martlet_has_tiles(void);
extern const martlet_products martlet_products_avxvnni;
extern const martlet_products martlet_products_amx;
extern const martlet_kernels martlet_kernels_avx2;
extern const martlet_kernels martlet_kernels_avx512;
#endif

#endif
