/* What an x86-64 processor offers of the instructions our kernels use, and the operating system has enabled. */
#ifndef SOLIDUS_CPU_FEATURES_X86_H
#define SOLIDUS_CPU_FEATURES_X86_H

#if defined(__x86_64__)

#include <stdbool.h>

typedef struct {
    bool sse42;      /* SSSE3, SSE4.1 and SSE4.2 */
    bool pclmulqdq;
    bool sha;        /* with AVX, whose three-operand forms the kernel is compiled for */
    bool avx2;       /* with the 256-bit registers saved by the operating system */
    bool vpclmulqdq; /* the 256-bit form, so only together with avx2 */
    bool avx512;     /* F, BW, DQ, VL and VBMI, with GFNI, VPCLMULQDQ and all registers saved by the operating system */
} sfc_x86_features;

sfc_x86_features sfc_detect_x86_features(void);

#endif
#endif
