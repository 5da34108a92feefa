/* Which SHA-256 kernels a level combines. */
#ifndef SOLIDUS_SHA256_CHOICE_H
#define SOLIDUS_SHA256_CHOICE_H

#include "processor/cpu_features_aarch64.h"
#include "processor/cpu_features_x86.h"
#include "level.h"

/* Fills the level's choices with what needs no particular instructions. */
void sfc_choose_sha256_portable(sfc_level *level);

#if defined(__x86_64__)
/* Fills the level's choices with the best of the processor's kernels, of vector registers only those of up to
 * `vector_bits`. The SHA extensions came to processors independently of vector widths, so every level takes them. */
void sfc_choose_sha256_x86(sfc_level *level, const sfc_x86_features *features, int vector_bits);
#elif defined(__aarch64__)
/* Fills the level's choices with the SHA-2 instructions where the processor has them, as sfc_choose_sha256_portable
 * does otherwise. */
void sfc_choose_sha256_aarch64(sfc_level *level, const sfc_aarch64_features *features);
#endif

#endif
