/* Bochs 2.7 computes the complement of what GF2P8AFFINEQB is defined to give: its parity function is that of the parity
 * flag, 1 for an even number of ones. The instruction's constant, added last, puts it right. For the emulated build
 * only, included before everything else. */
#ifndef SOLIDUS_GF2P8AFFINE_H
#define SOLIDUS_GF2P8AFFINE_H

#include <immintrin.h>

#undef _mm_gf2p8affine_epi64_epi8
#undef _mm256_gf2p8affine_epi64_epi8
#undef _mm512_gf2p8affine_epi64_epi8
#define _mm_gf2p8affine_epi64_epi8(x, matrix, constant) \
    ((__m128i)__builtin_ia32_vgf2p8affineqb_v16qi((__v16qi)(x), (__v16qi)(matrix), (char)((constant) ^ 0xff)))
#define _mm256_gf2p8affine_epi64_epi8(x, matrix, constant) \
    ((__m256i)__builtin_ia32_vgf2p8affineqb_v32qi((__v32qi)(x), (__v32qi)(matrix), (char)((constant) ^ 0xff)))
#define _mm512_gf2p8affine_epi64_epi8(x, matrix, constant) \
    ((__m512i)__builtin_ia32_vgf2p8affineqb_v64qi((__v64qi)(x), (__v64qi)(matrix), (char)((constant) ^ 0xff)))

#endif
