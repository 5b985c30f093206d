// Optimizer steps, element by element, and sums of squares.

#ifndef MARTLET_OPTIMIZERS_H
#define MARTLET_OPTIMIZERS_H

#include "elements.h"

typedef double f64x16 __attribute__((vector_size(128)));

static double sum_of_squares(const float *x, size_t count) {
    f64x16 sums = {0};
    FOR_GROUPS(count) {
        const f64x16 v = __builtin_convertvector(load_some(x + i, left), f64x16);
        sums += v * v;
    }
    double lanes[LANES];
    memcpy(lanes, &sums, sizeof lanes);
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
    return lanes[0];
}

static void blend(const float *a, float a_factor, const float *b, float b_factor, float *y, size_t count) {
    FOR_GROUPS(count) store_some(y + i, load_some(a + i, left) * splat(a_factor) + load_some(b + i, left) * splat(b_factor), left);
}

static void adamw(const martlet_step *step, const float *gradient, float *weight, float *first, float *second, size_t count) {
    const f32x16 kept = splat(1 - step->rate * step->decay), size = splat(step->rate / step->correction1);
    const f32x16 root = splat(__builtin_sqrtf(step->correction2)), epsilon = splat(step->epsilon), beta2 = splat(step->beta2);
    FOR_GROUPS(count) {
        const f32x16 g = load_some(gradient + i, left) * splat(step->gradient_scale);
        f32x16 m = load_some(first + i, left), v = load_some(second + i, left) * beta2, w = load_some(weight + i, left) * kept;
        m = fused(g - m, splat(1 - step->beta1), m);
        v = fused(g * g, splat(1 - step->beta2), v);
        w -= size * m / (__builtin_elementwise_sqrt(v) / root + epsilon);
        store_some(first + i, m, left), store_some(second + i, v, left), store_some(weight + i, w, left);
    }
}

static void sgd(const martlet_step *step, bool nesterov, const float *gradient, float *weight, float *momentum, size_t count) {
    FOR_GROUPS(count) {
        const f32x16 w = load_some(weight + i, left);
        const f32x16 g = fused(w, splat(step->decay), load_some(gradient + i, left) * splat(step->gradient_scale));
        const f32x16 m = fused(load_some(momentum + i, left), splat(step->beta1), g);
        const f32x16 along = nesterov ? fused(m, splat(step->beta1), g) : m;
        store_some(momentum + i, m, left), store_some(weight + i, w - along * splat(step->rate), left);
    }
}

INLINE f32x16 sign_of(f32x16 x) {
    return choose(x > splat(0), splat(1.0f), choose(x < splat(0), splat(-1.0f), splat(0)));
}

static void lion(const martlet_step *step, const float *gradient, float *weight, float *momentum, size_t count) {
    const f32x16 kept = splat(1 - step->rate * step->decay);
    FOR_GROUPS(count) {
        const f32x16 g = load_some(gradient + i, left) * splat(step->gradient_scale), m = load_some(momentum + i, left);
        const f32x16 along = sign_of(fused(m - g, splat(step->beta1), g));
        store_some(weight + i, load_some(weight + i, left) * kept - along * splat(step->rate), left);
        store_some(momentum + i, fused(m - g, splat(step->beta2), g), left);
    }
}

#endif
