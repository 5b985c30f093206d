#include "CMartletKernels.h"
