/* Carry-less arithmetic with one word per register: PMULL. See carryless_kernels.h for what a level defines. */
#ifndef SOLIDUS_LANES_PMULL_H
#define SOLIDUS_LANES_PMULL_H

#include <arm_neon.h>

#include "level.h"

#if defined(__clang__)
#define SFC_PMULL_FEATURES "aes"
#else
#define SFC_PMULL_FEATURES "+crypto"
#endif
#define SFC_TARGET __attribute__((target(SFC_PMULL_FEATURES)))
#define SFC_INLINE static inline __attribute__((always_inline, target(SFC_PMULL_FEATURES)))

enum { LANE_COUNT = 1 };
typedef uint64x2_t lanes;

/* As bytes, which may alias anything. */
SFC_INLINE lanes load_lanes(const sfc_word *source) { return vreinterpretq_u64_u8(vld1q_u8((const uint8_t *)source)); }
SFC_INLINE lanes load_some_lanes(const sfc_word *source, size_t count) {
    (void)count; /* No number is above 0 and below 1: there never is a rest. */
    return load_lanes(source);
}
SFC_INLINE lanes broadcast(const sfc_word *source) { return load_lanes(source); }
SFC_INLINE void store_lanes(sfc_word *target, lanes value) { vst1q_u8((uint8_t *)target, vreinterpretq_u8_u64(value)); }
SFC_INLINE lanes half_up(lanes a) { return vextq_u64(vdupq_n_u64(0), a, 1); }
SFC_INLINE lanes half_down(lanes a) { return vextq_u64(a, vdupq_n_u64(0), 1); }

SFC_INLINE lanes multiply_parts(uint64_t a, uint64_t b) {
    return vreinterpretq_u64_p128(vmull_p64((poly64_t)a, (poly64_t)b));
}
SFC_INLINE lanes multiply_low_low(lanes a, lanes b) { return multiply_parts(a[0], b[0]); }
SFC_INLINE lanes multiply_high_low(lanes a, lanes b) { return multiply_parts(a[1], b[0]); }
SFC_INLINE lanes multiply_low_high(lanes a, lanes b) { return multiply_parts(a[0], b[1]); }
SFC_INLINE lanes multiply_high_high(lanes a, lanes b) {
    return vreinterpretq_u64_p128(vmull_high_p64(vreinterpretq_p64_u64(a), vreinterpretq_p64_u64(b)));
}

SFC_INLINE sfc_word multiply_64(uint64_t a, uint64_t b) {
    sfc_word product;
    store_lanes(&product, multiply_parts(a, b));
    return product;
}

#endif
