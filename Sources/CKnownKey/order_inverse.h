// Inverses modulo the order n of P-256's group.
#ifndef SOLIDUS_ORDER_INVERSE_H
#define SOLIDUS_ORDER_INVERSE_H

#include <stdint.h>

enum { ORDER_LIMBS = 4, ALMOST_INVERSE_BITS_MAX = 512 };

// Sets `result`, 4 limbs, the lowest first, to 2^k / value modulo n and returns k, at most ALMOST_INVERSE_BITS_MAX. The
// value must be 1 ... n - 1.
unsigned order_almost_inverse(uint64_t result[ORDER_LIMBS], const uint64_t value[ORDER_LIMBS]);

#endif
