/* The fields' arithmetic bit by bit. */
#include "reference.h"

element element_of_halves(uint64_t high, uint64_t low) {
    return ((element)high << 64) | low;
}

element element_of_bytes(const uint8_t *bytes) {
    element value = 0;
    for (int i = 15; i >= 0; i--) value = (value << 8) | bytes[i];
    return value;
}

void bytes_of_element(element value, uint8_t *bytes) {
    for (int i = 0; i < 16; i++) bytes[i] = (uint8_t)(value >> (8 * i));
}

element reference_theta(void) {
    return element_of_halves(0x053d8555a9979a1c, 0xa13fe8ac5560ce0c);
}

element reference_multiply(element a, element b) {
    element product = 0;
    for (int i = 127; i >= 0; i--) {
        const int overflows = (int)(product >> 127);
        product <<= 1;
        if (overflows) product ^= 0x87;
        if ((b >> i) & 1) product ^= a;
    }
    return product;
}

element reference_power(element base, element exponent) {
    element result = 1;
    for (int i = 127; i >= 0; i--) {
        result = reference_multiply(result, result);
        if ((exponent >> i) & 1) result = reference_multiply(result, base);
    }
    return result;
}

element reference_embed(uint8_t byte) {
    element value = 0, power = 1;
    for (int j = 0; j < 8; j++) {
        if ((byte >> j) & 1) value ^= power;
        power = reference_multiply(power, reference_theta());
    }
    return value;
}

element reference_fingerprint(element r, const uint8_t *data, size_t length) {
    /* Filled at the first call; E(255) is not 0. Called from one thread only. */
    static element embedded[256];
    for (int byte = 0; embedded[255] == 0 && byte < 256; byte++) embedded[byte] = reference_embed((uint8_t)byte);
    element sum = 0;
    for (size_t i = 0; i < length; i++) sum = reference_multiply(sum, r) ^ embedded[data[i]];
    return sum;
}

uint8_t reference_byte_product(uint8_t a, uint8_t b) {
    unsigned product = 0;
    for (int i = 7; i >= 0; i--) {
        product <<= 1;
        if (product & 0x100) product ^= 0x11d;
        if ((b >> i) & 1) product ^= a;
    }
    return (uint8_t)product;
}

void reference_matrix_apply(const uint8_t *coefficients, size_t row_count, size_t column_count,
                            const uint8_t *const *inputs, uint8_t *const *outputs, size_t length) {
    for (size_t row = 0; row < row_count; row++) {
        for (size_t i = 0; i < length; i++) outputs[row][i] = 0;
        for (size_t column = 0; column < column_count; column++) {
            uint8_t products[256];
            for (int byte = 0; byte < 256; byte++) {
                products[byte] = reference_byte_product(coefficients[row * column_count + column], (uint8_t)byte);
            }
            for (size_t i = 0; i < length; i++) outputs[row][i] ^= products[inputs[column][i]];
        }
    }
}
