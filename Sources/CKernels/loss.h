// Cross-entropy over rows of logits, and dropout.

#ifndef MARTLET_LOSS_H
#define MARTLET_LOSS_H

#include "gradients.h"
#include "philox.h"

/// The totals of a row of logits, from one pass over it.
typedef struct { float maximum, total, sum; } row_totals;

INLINE row_totals totals_of(const float *x, size_t width) {
    const float maximum = row_maximum(x, width);
    f32x16 exponentials = splat(0), plain = splat(0);
    FOR_GROUPS(width) {
        const f32x16 v = load_some(x + i, left);
        exponentials += choose(lanes_below(left), exponential(v - splat(maximum)), splat(0));
        plain += v;
    }
    return (row_totals){maximum, sum_lanes(exponentials), sum_lanes(plain)};
}

/// The gradient of the loss, factor · (p · (1 + 2 z · log total) − share of each class − share of the target).
INLINE void loss_gradient(const martlet_loss *form, float *x, row_totals row, float log_total, size_t target, size_t width) {
    const f32x16 weight = splat(form->factor * (1 + 2 * form->z_weight * log_total) / row.total);
    const f32x16 even = splat(form->factor * form->smoothing / (float)width);
    FOR_GROUPS(width) store_some(x + i, exponential(load_some(x + i, left) - splat(row.maximum)) * weight - even, left);
    x[target] -= form->factor * (1 - form->smoothing);
}

static void cross_entropy(const martlet_loss *form, float *logits, const int32_t *targets, double *losses, uint8_t *correct,
                          bool gradients, size_t rows, size_t width) {
    for (size_t r = 0; r < rows; r++, logits += width) {
        losses[r] = 0;
        if (correct) correct[r] = 0;
        if (targets[r] < 0) {
            if (gradients) memset(logits, 0, width * sizeof(float));
            continue;
        }
        const size_t target = (size_t)targets[r];
        const row_totals row = totals_of(logits, width);
        const double log_total = row.maximum + __builtin_log((double)row.total), even = (double)row.sum / (double)width;
        const double smoothing = form->smoothing;
        losses[r] = log_total - (1 - smoothing) * logits[target] - smoothing * even + form->z_weight * log_total * log_total;
        if (correct) correct[r] = logits[target] >= row.maximum;
        if (gradients) loss_gradient(form, logits, row, (float)log_total, target, width);
    }
}

/// Elements from `first` on of the block of 64 that it lies in, at most `count`; returns how many.
static size_t dropout_rest(const float *x, float *y, size_t count, uint64_t key, uint64_t stream, uint64_t first, uint32_t threshold,
                           float factor) {
    const size_t place = first % (4 * LANES), rest = 4 * LANES - place < count ? 4 * LANES - place : count;
    u32x16 words[4];
    philox_words(key, stream, (first - place) / 4, words);
    uint32_t numbers[4 * LANES];
    memcpy(numbers, words, sizeof numbers);
    for (size_t i = 0; i < rest; i++) y[i] = numbers[place + i] >= threshold ? x[i] * factor : 0;
    return rest;
}

/// Element 64 b + 16 j + i takes word j of counter 16 b + i. Counters are multiples of sixteen, so their lower words
/// never carry.
static void dropout(const float *x, float *y, size_t count, uint64_t key, uint64_t stream, uint64_t first, uint32_t threshold,
                    float factor) {
    size_t start = first % (4 * LANES) ? dropout_rest(x, y, count, key, stream, first, threshold, factor) : 0;
    for (; start < count; start += 4 * LANES) {
        u32x16 words[4];
        philox_words(key, stream, (first + start) / 4, words);
        for (size_t j = 0; j < 4 && start + j * LANES < count; j++) {
            const size_t at = start + j * LANES;
            const i32x16 kept = (i32x16)(words[j] >= splat_word(threshold));
            store_some(y + at, choose(kept, load_some(x + at, count - at) * splat(factor), splat(0)), count - at);
        }
    }
}

#endif
