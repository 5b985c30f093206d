// exp, tanh and erf of sixteen lanes, within about 2 ulp.
//
// The polynomials are minimax fits (Lawson's reweighted least squares) made for this file. Every level evaluates the
// same sequence.

#ifndef MARTLET_FUNCTIONS_H
#define MARTLET_FUNCTIONS_H

#include "vector.h"

/// The exponential, e^x = 2^n · e^r with |r| ≤ ln 2 / 2. Below −86 (4.5e-38) the result is 0.
INLINE f32x16 exponential(f32x16 x) {
    const float rounder = 0x1.8p23f;  // adding it leaves the nearest integer in the low bits
    f32x16 limited = choose(x > splat(89.0f), splat(89.0f), x);
    f32x16 shifted = fused(limited, splat(0x1.715476p0f), splat(rounder));
    f32x16 n = shifted - splat(rounder);
    f32x16 r = fused(n, splat(-0x1.62e400p-1f), limited);
    r = fused(n, splat(-0x1.7f7d1cp-20f), r);
    // Half of e^r, so that n = 128 still fits the exponent.
    f32x16 p = splat(0.5f * 0.0013950489228591323f);
    p = fused(p, r, splat(0.5f * 0.008368889801204205f));
    p = fused(p, r, splat(0.5f * 0.04166620597243309f));
    p = fused(p, r, splat(0.5f * 0.166665181517601f));
    p = fused(p, r, splat(0.25f));
    p = fused(p, r, splat(0.5f));
    p = fused(p, r, splat(0.5f));
    f32x16 half = (f32x16)((u32x16)p + ((u32x16)shifted << 23));
    f32x16 result = choose(limited < splat(-86.0f), splat(0.0f), half + half);
    return choose(x == x, result, x);
}

/// Odd polynomial below 0.625, 1 − 2 / (e^2|x| + 1) above.
INLINE f32x16 hyperbolic_tangent(f32x16 x) {
    f32x16 size = magnitude(x), square = x * x;
    f32x16 p = splat(-0.005721625871956348f);
    p = fused(p, square, splat(0.02065521478652954f));
    p = fused(p, square, splat(-0.05374514311552048f));
    p = fused(p, square, splat(0.13331514596939087f));
    p = fused(p, square, splat(-0.3333328366279602f));
    f32x16 small = fused(p * square, x, x);
    f32x16 large = splat(1.0f) - splat(2.0f) / (exponential(size + size) + splat(1.0f));
    return choose(size < splat(0.625f), small, with_sign_of(large, x));
}

/// Odd polynomial below 1, 1 − e^−q(|x|) up to 4, where f32 reaches 1.
INLINE f32x16 error_function(f32x16 x) {
    f32x16 size = magnitude(x), square = x * x;
    f32x16 p = splat(7.853857823647559e-05f);
    p = fused(p, square, splat(-0.0008010193123482168f));
    p = fused(p, square, splat(0.005188327748328447f));
    p = fused(p, square, splat(-0.026853812858462334f));
    p = fused(p, square, splat(0.1128358542919159f));
    p = fused(p, square, splat(-0.3761262595653534f));
    p = fused(p, square, splat(0.12837916612625122f));
    f32x16 small = fused(p, x, x);
    f32x16 t = choose(size > splat(4.0f), splat(4.0f), size);
    f32x16 q = splat(-0.00018557517614681274f);
    q = fused(q, t, splat(0.002939618658274412f));
    q = fused(q, t, splat(-0.02180536277592182f));
    q = fused(q, t, splat(0.10303746163845062f));
    q = fused(q, t, splat(0.6382255554199219f));
    q = fused(q, t, splat(1.127040147781372f));
    q = fused(q, t, splat(0.0003537039738148451f));
    f32x16 large = splat(1.0f) - exponential(-q);
    return choose(size < splat(1.0f), small, with_sign_of(large, x));
}

INLINE f32x16 sigmoid(f32x16 x) { return splat(1.0f) / (splat(1.0f) + exponential(-x)); }

/// One of the header's activations; `f` is a constant at each call, so the choice costs nothing.
INLINE f32x16 activated(martlet_activation f, f32x16 x) {
    const f32x16 half = splat(0.5f), one = splat(1.0f), positive = choose(x < splat(0.0f), splat(0.0f), x);
    switch (f) {
    case MARTLET_RELU: return positive;
    case MARTLET_RELU_SQUARED: return positive * positive;
    case MARTLET_SILU: return x / (one + exponential(-x));
    case MARTLET_SIGMOID: return sigmoid(x);
    case MARTLET_TANH: return hyperbolic_tangent(x);
    case MARTLET_GELU: return (half * x) * (one + error_function(x * splat(0x1.6a09e6p-1f)));
    case MARTLET_GELU_SIGMOID: return x / (one + exponential(x * splat(-1.702f)));
    case MARTLET_GELU_TANH: {
        f32x16 inner = fused(x * x * x, splat(0.044715f), x) * splat(0x1.988454p-1f);
        return (half * x) * (one + hyperbolic_tangent(inner));
    }
    }
    return x;
}

#endif
