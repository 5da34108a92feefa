// Kaliski's almost inverse (The Montgomery inverse and its applications, 1995): the binary extended Euclidean algorithm
// that leaves out the halvings modulo n, so that every step is a shift and an addition or subtraction. libcrypto's
// inverse takes four times as long.
//
// Invariants: value * r = -u * 2^k and value * s = v * 2^k modulo n; n = u * s + v * r, so that nothing ever exceeds n.
// At the end v is 0, u is 1, and r is -2^k / value. Each of the k halvings takes a bit off u or v.

#include "order_inverse.h"

#include <string.h>

enum { LIMBS = ORDER_LIMBS };

typedef struct {
    uint64_t limbs[LIMBS];
} number;

static const number order = {
    {0xf3b9cac2fc632551, 0xbce6faada7179e84, 0xffffffffffffffff, 0xffffffff00000000},
};

static int is_less(const number *a, const number *b) {
    for (int i = LIMBS - 1; i > 0; i--) {
        if (a->limbs[i] != b->limbs[i]) return a->limbs[i] < b->limbs[i];
    }
    return a->limbs[0] < b->limbs[0];
}

static int is_zero(const number *a) {
    uint64_t bits = 0;
    for (int i = 0; i < LIMBS; i++) bits |= a->limbs[i];
    return bits == 0;
}

static void add(number *a, const number *b) {
    unsigned __int128 carry = 0;
    for (int i = 0; i < LIMBS; i++) {
        carry += (unsigned __int128)a->limbs[i] + b->limbs[i];
        a->limbs[i] = (uint64_t)carry;
        carry >>= 64;
    }
}

// Of a and b, a is the larger.
static void subtract(number *a, const number *b) {
    uint64_t borrow = 0;
    for (int i = 0; i < LIMBS; i++) {
        unsigned __int128 difference = (unsigned __int128)a->limbs[i] - b->limbs[i] - borrow;
        a->limbs[i] = (uint64_t)difference;
        borrow = (uint64_t)(difference >> 64) & 1;
    }
}

// By 1 ... 63 bits.
static void shift_left(number *a, unsigned bits) {
    for (int i = LIMBS - 1; i > 0; i--) a->limbs[i] = a->limbs[i] << bits | a->limbs[i - 1] >> (64 - bits);
    a->limbs[0] <<= bits;
}

static void shift_right(number *a, unsigned bits) {
    for (int i = 0; i < LIMBS - 1; i++) a->limbs[i] = a->limbs[i] >> bits | a->limbs[i + 1] << (64 - bits);
    a->limbs[LIMBS - 1] >>= bits;
}

// How many trailing zero bits to take off at once; 0 for odd numbers.
static unsigned even_bits(const number *a) {
    if (a->limbs[0] == 0) return 63;
    unsigned bits = (unsigned)__builtin_ctzll(a->limbs[0]);
    return bits < 63 ? bits : 63;
}

unsigned order_almost_inverse(uint64_t result[ORDER_LIMBS], const uint64_t value[ORDER_LIMBS]) {
    number u = order, v = {{0}}, r = {{0}}, s = {{1}};
    memcpy(v.limbs, value, sizeof v.limbs);
    unsigned k = 0;
    // n is odd; v is made odd, and then both are whenever one is subtracted from the other.
    for (unsigned bits; (bits = even_bits(&v)) > 0; k += bits) {
        shift_right(&v, bits);
        shift_left(&r, bits);
    }
    for (;;) {
        if (is_less(&v, &u)) {
            subtract(&u, &v);
            add(&r, &s);
            for (unsigned bits; (bits = even_bits(&u)) > 0; k += bits) {
                shift_right(&u, bits);
                shift_left(&s, bits);
            }
        } else {
            subtract(&v, &u);
            add(&s, &r);
            if (is_zero(&v)) break;
            for (unsigned bits; (bits = even_bits(&v)) > 0; k += bits) {
                shift_right(&v, bits);
                shift_left(&r, bits);
            }
        }
    }
    number inverse = order;
    subtract(&inverse, &r);
    memcpy(result, inverse.limbs, sizeof inverse.limbs);
    return k;
}
