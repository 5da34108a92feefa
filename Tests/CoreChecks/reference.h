/* Slow references that follow the definitions letter by letter and share no code with the core. */
#ifndef SOLIDUS_REFERENCE_H
#define SOLIDUS_REFERENCE_H

#include <stddef.h>
#include <stdint.h>

/* An element of K = GF(2)[z]/(z^128 + z^7 + z^2 + z + 1): bit i is the coefficient of z^i. */
typedef unsigned __int128 element;

element element_of_halves(uint64_t high, uint64_t low);
element element_of_bytes(const uint8_t *bytes);
void bytes_of_element(element value, uint8_t *bytes);

element reference_theta(void);
element reference_multiply(element a, element b);
element reference_power(element base, element exponent);
/* E(byte): the sum of theta^j over the bits j of the byte. */
element reference_embed(uint8_t byte);
/* Horner's rule in byte order. */
element reference_fingerprint(element r, const uint8_t *data, size_t length);

/* A product in GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1. */
uint8_t reference_byte_product(uint8_t a, uint8_t b);
/* outputs[row][i] = sum over columns of coefficients[row * column_count + column] * inputs[column][i]. */
void reference_matrix_apply(const uint8_t *coefficients, size_t row_count, size_t column_count,
                            const uint8_t *const *inputs, uint8_t *const *outputs, size_t length);

/* Through libcrypto. */
void reference_sha256(const uint8_t *data, size_t length, uint8_t *digest);
void reference_shake256(const uint8_t *data, size_t length, uint8_t *output, size_t output_length);
/* The tree definition on top of reference_sha256. */
void reference_tree_hash(const uint8_t *fragment, size_t length, uint8_t *digest);

#endif
