// f16 by its bits, so that no compiler support is needed.

#include "blocks.h"

static float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

float martlet_half_to_float(const uint8_t half[2]) {
    const uint32_t h = (uint32_t)half[0] | (uint32_t)half[1] << 8;
    const uint32_t body = (h & 0x7fff) << 13, sign = (h & 0x8000) << 16;
    const uint32_t special = body >= 0x0f800000 ? 0x7f800000 : 0;  // infinity and NaN keep the largest exponent
    return float_of(bits_of(float_of(body) * 0x1p112f) | special | sign);
}

/// Round to nearest even. Adding a power of two that is 2^13 units of the result above it makes the f32 adder round at
/// the right bit.
void martlet_float_to_half(float value, uint8_t half[2]) {
    const uint32_t bits = bits_of(value), sign = bits >> 16 & 0x8000, body = bits & 0x7fffffff;
    uint32_t result;
    if (body > 0x7f800000) {
        result = 0x7e00 | (body >> 13 & 0x3ff);
    } else if (body >= 0x477ff000) {  // rounds to 65536 or above
        result = 0x7c00;
    } else if (body < 0x38800000) {  // subnormal half: units of 2^−24
        result = bits_of(float_of(body) + 0.5f) - bits_of(0.5f);
    } else {
        const uint32_t odd = body >> 13 & 1;
        result = (body - 0x38000000 + 0xfff + odd) >> 13;
    }
    result |= sign;
    half[0] = (uint8_t)result, half[1] = (uint8_t)(result >> 8);
}
