// The dispatch table of training's kernels, and their instance for the level that includes this. Each training_*.c
// includes it once, inside the pragma that names its instruction set.

#ifndef MARTLET_TRAINING_KERNELS_H
#define MARTLET_TRAINING_KERNELS_H

#include "attention_backward.h"
#include "halves.h"
#include "loss.h"
#include "optimizers.h"
#include "stored_product.h"
#include "training_table.h"

#define TRAINING_TABLE \
    { \
        .round_bf16 = round_bf16, .widen_bf16 = widen_to_f32, .stored_product = stored_product, .transpose = transpose, .mirror = mirror, \
        .activate_backward = activate_backward, \
        .gate_backward = gate_backward, .soft_cap_backward = soft_cap_backward, .softmax_backward = softmax_backward, \
        .rms_norm_backward = rms_norm_backward, .layer_norm_backward = layer_norm_backward, \
        .norm_weight_backward = norm_weight_backward, .column_sums = column_sums, .scatter_rows = scatter_rows, \
        .cross_entropy = cross_entropy, .dropout = dropout, .attend_log_totals = attend_log_totals, \
        .attend_backward_scratch = attend_backward_scratch, .attend_backward = attend_backward, .sum_of_squares = sum_of_squares, \
        .blend = blend, .adamw = adamw, .sgd = sgd, .lion = lion \
    }

#endif
