/* The x86-64 intrinsics, in one place. */
#ifndef SOLIDUS_INTRINSICS_X86_H
#define SOLIDUS_INTRINSICS_X86_H

#include <immintrin.h>

#endif
