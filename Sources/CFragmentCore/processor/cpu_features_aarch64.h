/* What a 64-bit ARM processor offers of the instructions our kernels use. */
#ifndef SOLIDUS_CPU_FEATURES_AARCH64_H
#define SOLIDUS_CPU_FEATURES_AARCH64_H

#if defined(__aarch64__)

#include <stdbool.h>

typedef struct {
    bool pmull; /* with 64-bit operands */
    bool sha2;
} sfc_aarch64_features;

sfc_aarch64_features sfc_detect_aarch64_features(void);

#endif
#endif
