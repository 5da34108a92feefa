/* The portable level: bit planes by delta swaps in 64-bit registers, folding by table look-up.
 *
 * Sixty-four bytes become one 64-bit word of each plane, first byte in the highest bit. A plane's state S of degree
 * below 128 advances by S := S t^64 + word mod mu. Writing S = H t^64 + G, the part H t^128 leaves the range; H has
 * eight bytes, and a table per byte position gives byte * t^(8 k + 128) mod mu. That is one look-up per data byte.
 */
#include "fingerprint/field.h"

/* Exchanges the bits of rows[r] selected by mask << shift with those of rows[r + distance] selected by mask, for each
 * pair of rows `distance` apart. */
static inline void swap_blocks(uint64_t rows[8], int distance, int shift, uint64_t mask) {
    for (int r = 0; r < 8; r++) {
        if (r & distance) continue;
        const uint64_t difference = ((rows[r] >> shift) ^ rows[r + distance]) & mask;
        rows[r + distance] ^= difference;
        rows[r] ^= difference << shift;
    }
}

/* words[j] = plane j of 64 bytes, first byte in bit 63. */
static inline void split_into_planes(const uint8_t *bytes, uint64_t words[8]) {
    /* Row 7 - o holds octet o with its first byte highest. */
    for (int octet = 0; octet < 8; octet++) {
        uint64_t row = 0;
        for (int i = 0; i < 8; i++) row |= (uint64_t)bytes[8 * octet + i] << (56 - 8 * i);
        words[7 - octet] = row;
    }
    /* Transpose the 8 x 8 matrix of bytes, */
    swap_blocks(words, 4, 32, 0x00000000ffffffff);
    swap_blocks(words, 2, 16, 0x0000ffff0000ffff);
    swap_blocks(words, 1, 8, 0x00ff00ff00ff00ff);
    /* then, in each byte column, the 8 x 8 matrix of bits. */
    swap_blocks(words, 4, 4, 0x0f0f0f0f0f0f0f0f);
    swap_blocks(words, 2, 2, 0x3333333333333333);
    swap_blocks(words, 1, 1, 0x5555555555555555);
}

void sfc_fold_portable(const sfc_fingerprint_key *key, sfc_planes *planes, const uint8_t *chunks,
                       size_t chunk_count) {
    for (size_t half = 0; half < 2 * chunk_count; half++) {
        uint64_t words[8];
        split_into_planes(chunks + 64 * half, words);
        for (int j = 0; j < SFC_PLANES; j++) {
            const uint64_t leaving = (uint64_t)(planes->lower[j] >> 64);
            sfc_word state = (planes->lower[j] << 64) | words[j];
            for (int k = 0; k < 8; k++) state ^= key->fold.reduction[k][(leaving >> (8 * k)) & 255];
            planes->lower[j] = state;
        }
    }
}
