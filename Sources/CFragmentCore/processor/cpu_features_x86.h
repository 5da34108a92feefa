/* What an x86-64 processor offers of the instructions our kernels use, and the operating system has enabled. */
#ifndef SOLIDUS_CPU_FEATURES_X86_H
#define SOLIDUS_CPU_FEATURES_X86_H

#if defined(__x86_64__)

#include <stdbool.h>

typedef struct {
    bool sse42;      /* SSSE3, SSE4.1, SSE4.2 and POPCNT */
    bool pclmulqdq;
    bool sha;        /* with AVX, whose three-operand forms the kernel is compiled for */
    bool avx2;       /* with the 256-bit registers saved by the operating system */
    bool vpclmulqdq; /* the 256-bit form, so only together with avx2; and BMI1, BMI2 */
    bool avx512;     /* F, BW, DQ, VL and VBMI, with GFNI and vpclmulqdq, and all registers saved */
} sfc_x86_features;

sfc_x86_features sfc_detect_x86_features(void);

#endif
#endif
