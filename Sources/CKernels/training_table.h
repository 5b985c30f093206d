// One function per operation of training whose speed depends on the instruction set.

#ifndef MARTLET_TRAINING_TABLE_H
#define MARTLET_TRAINING_TABLE_H

#include "include/CMartletKernels.h"

typedef struct {
    void (*round_bf16)(const float *, uint16_t *, size_t);
    void (*widen_bf16)(const uint16_t *, float *, size_t);
    void (*stored_product)(const martlet_stored_product *, size_t, size_t, float *);
    void (*transpose)(const float *, size_t, size_t, float *, size_t, size_t);
    void (*mirror)(float *, size_t, size_t, size_t);
    void (*activate_backward)(martlet_activation, const float *, const float *, float *, size_t);
    void (*gate_backward)(martlet_activation, const float *, const float *, const float *, float *, float *, size_t);
    void (*soft_cap_backward)(const float *, const float *, float, float *, size_t);
    void (*softmax_backward)(const float *, const float *, float *, size_t, size_t);
    void (*rms_norm_backward)(const float *, const float *, float, float, const float *, float *, float *, size_t, size_t);
    void (*layer_norm_backward)(const float *, const float *, float, const float *, float *, float *, float *, size_t, size_t);
    void (*norm_weight_backward)(const float *, const float *, const float *, const float *, float *, bool, size_t, size_t, size_t, size_t);
    void (*column_sums)(const float *, float *, bool, size_t, size_t, size_t, size_t);
    void (*scatter_rows)(const float *, const int32_t *, float, float *, size_t, size_t, size_t, size_t);
    void (*cross_entropy)(const martlet_loss *, float *, const int32_t *, double *, uint8_t *, bool, size_t, size_t);
    void (*dropout)(const float *, float *, size_t, uint64_t, uint64_t, uint64_t, uint32_t, float);
    void (*attend_log_totals)(const martlet_attention *, const float *, size_t, float *);
    size_t (*attend_backward_scratch)(const martlet_attention_backward *);
    void (*attend_backward)(const martlet_attention_backward *, float *);
    double (*sum_of_squares)(const float *, size_t);
    void (*blend)(const float *, float, const float *, float, float *, size_t);
    void (*adamw)(const martlet_step *, const float *, float *, float *, float *, size_t);
    void (*sgd)(const martlet_step *, bool, const float *, float *, float *, size_t);
    void (*lion)(const martlet_step *, const float *, float *, float *, size_t);
} martlet_training_kernels;

extern const martlet_training_kernels martlet_training_scalar;
#if defined(__x86_64__)
extern const martlet_training_kernels martlet_training_avx2;
extern const martlet_training_kernels martlet_training_avx512;
#endif

#endif
