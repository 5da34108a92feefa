/* The AVX2 level with VPCLMULQDQ: two chunks at a time, split and multiplied side by side in 256-bit registers. */
#include "fingerprint/kernels_x86.h"

#if defined(__x86_64__)

#include "fingerprint/lanes_vpclmul.h"
#include "fingerprint/rows_avx2.h"

typedef lanes products;

SFC_INLINE products no_products(void) { return _mm256_setzero_si256(); }
SFC_INLINE __m128i total(products sum) { return _mm256_castsi256_si128(sum) ^ _mm256_extracti128_si256(sum, 1); }

#include "fingerprint/fold_kernel_x86.h"

SFC_TARGET void sfc_fold_vpclmul(const sfc_fingerprint_key *key, sfc_planes *planes, const uint8_t *chunks,
                                 size_t chunk_count) {
    fold(key, planes, chunks, chunk_count);
}

#endif
