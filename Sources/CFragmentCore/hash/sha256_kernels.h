/* SHA-256's compression function in its several forms, and the rule by which a level combines them. */
#ifndef SOLIDUS_SHA256_KERNELS_H
#define SOLIDUS_SHA256_KERNELS_H

#include <stddef.h>
#include <stdint.h>

enum {
    SFC_SHA256_BLOCK_BYTES = 64,
    SFC_SHA256_LANES_MAX = 16,
    SFC_SHA256_CHOICES_MAX = 2,
};

/* K_0 ... K_63 of FIPS 180-4. */
extern const uint32_t sfc_sha256_round_constants[64];

/* One implementation of the compression function, advancing up to `lanes` independent states in step. */
typedef struct {
    size_t lanes;

    /* Compresses `block_count` consecutive blocks at blocks[i] into states[i], for i < lane_count (1 ... lanes). Reads
     * and writes nothing beyond those lanes. */
    void (*compress)(uint32_t (*states)[8], const uint8_t *const *blocks, size_t lane_count, size_t block_count);
} sfc_sha256_kernel;

/* A kernel and the number of states from which it takes less time than the narrower kernels of its level. */
typedef struct {
    const sfc_sha256_kernel *kernel;
    size_t from_lanes;
} sfc_sha256_choice;

extern const sfc_sha256_kernel sfc_sha256_portable;

#if defined(__x86_64__)
/* SHA extensions and AVX, four states. */
extern const sfc_sha256_kernel sfc_sha256_shani;
/* AVX2, eight states. */
extern const sfc_sha256_kernel sfc_sha256_avx2;
/* AVX-512 F and BW, sixteen states. */
extern const sfc_sha256_kernel sfc_sha256_avx512;
#elif defined(__aarch64__)
/* The SHA-2 instructions of ARMv8, four states. */
extern const sfc_sha256_kernel sfc_sha256_armv8;
#endif

#endif
