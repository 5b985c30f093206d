// The K-quants' encoders, which search for the scale and minimum of least weighted error.

#ifndef MARTLET_ENCODE_H
#define MARTLET_ENCODE_H

#include "blocks.h"

void martlet_encode_q4_K(const float *values, block_q4_K *block);
void martlet_encode_q5_K(const float *values, block_q5_K *block);
void martlet_encode_q6_K(const float *values, block_q6_K *block);

#endif
