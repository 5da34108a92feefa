/* The one place where x86-64 kernels get their intrinsics from, so that a build can put portable emulations of them in
 * front of this header in the include path and run kernels that its machine lacks. */
#ifndef SOLIDUS_INTRINSICS_X86_H
#define SOLIDUS_INTRINSICS_X86_H

#include <immintrin.h>

#endif
