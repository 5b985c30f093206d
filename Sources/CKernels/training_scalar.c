// Training's kernels for every processor: they define the bits.

#if !defined(__aarch64__)
#define LEVEL_PORTABLE
#endif

#include "panel.h"
#include "vector.h"

#define TILE_GROUPS 1

#include "training_kernels.h"

const martlet_training_kernels martlet_training_scalar = TRAINING_TABLE;
