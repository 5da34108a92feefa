/* Folding with 128- or 256-bit registers: bit planes by unpacking and delta swaps, products by PCLMULQDQ.
 *
 * Included by fold_sse42.c, fold_avx2.c and fold_vpclmul.c, which first define
 *   SFC_INLINE                    the prefix of an inline function, with the level's target attribute
 *   lanes, LANE_COUNT, load_lanes as lanes_*.h do: a register of one or two words, each lane working on its own chunk
 *   load_bytes                    16 bytes of each of two chunks, those of the later one in lane 0; or of `later` only
 *   unpack_low, unpack_high       bytes of a and b in turn, from the lower or the upper half of each lane
 *   unpack_low_halves, ...        in each lane the named halves of a and, above it, of b
 *   shift_left, shift_right       within 64-bit parts; every_byte: the same byte everywhere
 *   products, no_products, total  a sum of products (perhaps one per lane), the empty one, the sum over the lanes
 *   multiply_low_low, ...         products of the named halves
 *
 * Splitting. Plane j's word of a chunk of 128 bytes has bit 127 - k = bit j of byte k. The chunk lies in eight
 * registers: of the seven bits of a byte's index k, k6 k5 k4 number the register and k3 k2 k1 k0 give the place in it.
 * Unpacking two registers whose numbers differ in one bit makes the complement of this bit the lowest of the place,
 * and moves the highest bit of the place into the number. Four such rounds leave each place with the complement of
 * k6 k5 k4 k3 and each register with one value of k2 k1 k0. Then, at each of the 16 places, the eight registers hold
 * the rows of an 8 x 8 bit matrix; three rounds of delta swaps transpose it, and register j is plane j.
 *
 * Folding. For each plane the terms (the state's two halves, one word per chunk) are multiplied by the residues in
 * sfc_fold_terms and summed without reduction. Karatsuba: (v1 z + v0)(c1 z + c0) with z = t^64 takes the products
 * v0 c0, v1 c1 and (v0 + v1)(c0 + c1), each summed over all terms before they are put together once. The 24 sums do
 * not fit in the registers; yet updating them in memory at each step is faster than splitting a whole block first and
 * then multiplying plane by plane, because shuffles and multiplications overlap.
 */
#ifndef SOLIDUS_FOLD_KERNEL_X86_H
#define SOLIDUS_FOLD_KERNEL_X86_H

typedef struct {
    products low[SFC_PLANES], high[SFC_PLANES], cross[SFC_PLANES];
} plane_sums;

/* Unpacks the registers whose numbers differ in the bit `distance`. */
SFC_INLINE void unpack_round(lanes rows[8], int distance) {
    for (int r = 0; r < 8; r++) {
        if (r & distance) continue;
        const lanes clear = rows[r], set = rows[r + distance];
        rows[r] = unpack_low(set, clear);
        rows[r + distance] = unpack_high(set, clear);
    }
}

/* Exchanges, in each byte, the bits of rows[r] selected by mask << shift with those of rows[r + distance] selected by
 * mask, for the registers whose numbers differ in the bit `distance`. */
SFC_INLINE void swap_round(lanes rows[8], int distance, int shift, lanes mask) {
    for (int r = 0; r < 8; r++) {
        if (r & distance) continue;
        const lanes difference = (shift_right(rows[r], shift) ^ rows[r + distance]) & mask;
        rows[r + distance] ^= difference;
        rows[r] ^= shift_left(difference, shift);
    }
}

/* planes[j] = plane j's words of two chunks, of the later one in lane 0; or of `later` alone. */
SFC_INLINE void split_into_planes(const uint8_t *earlier, const uint8_t *later, lanes planes[8]) {
    lanes rows[8];
    for (int r = 0; r < 8; r++) rows[r] = load_bytes(earlier + 16 * r, later + 16 * r);
    unpack_round(rows, 4);
    unpack_round(rows, 2);
    unpack_round(rows, 1);
    unpack_round(rows, 4);
    /* The numbers' bits are now k0 k2 k1. The byte with the highest index is to have its bits lowest in the planes. */
    for (int r = 0; r < 8; r++) planes[7 - (2 * (r & 3) + (r >> 2))] = rows[r];
    swap_round(planes, 4, 4, every_byte(0x0f));
    swap_round(planes, 2, 2, every_byte(0x33));
    swap_round(planes, 1, 1, every_byte(0x55));
}

/* Adds the products of one term of every plane (of LANE_COUNT, lowest power of t first). */
SFC_INLINE void add_terms(plane_sums *sums, const lanes terms[8], const sfc_word *residues,
                          const sfc_word *half_sums) {
    const lanes residue = load_lanes(residues), half_sum = load_lanes(half_sums);
    for (int j = 0; j < SFC_PLANES; j += 2) {
        const lanes a = terms[j], b = terms[j + 1];
        /* Low half: a's halves added; high half: b's. */
        const lanes added = unpack_low_halves(a, b) ^ unpack_high_halves(a, b);
        sums->low[j] ^= multiply_low_low(a, residue);
        sums->high[j] ^= multiply_high_high(a, residue);
        sums->cross[j] ^= multiply_low_low(added, half_sum);
        sums->low[j + 1] ^= multiply_low_low(b, residue);
        sums->high[j + 1] ^= multiply_high_high(b, residue);
        sums->cross[j + 1] ^= multiply_high_low(added, half_sum);
    }
}

/* One block of 1 ... SFC_BLOCK_CHUNKS chunks. */
SFC_INLINE void fold_block(const sfc_fold_terms *constants, sfc_planes *planes, const uint8_t *chunks,
                           size_t chunk_count) {
    const sfc_word *residues = constants->residue + SFC_FOLD_PADDING;
    const sfc_word *half_sums = constants->half_sum + SFC_FOLD_PADDING;
    plane_sums sums;
    for (int j = 0; j < SFC_PLANES; j++) sums.low[j] = sums.high[j] = sums.cross[j] = no_products();

    lanes terms[8];
    for (int half = 0; half < 2; half += LANE_COUNT) {
        for (int j = 0; j < SFC_PLANES; j++) {
            const sfc_word state[2] = {planes->lower[j], planes->upper[j]};
            terms[j] = load_lanes(&state[half]);
        }
        add_terms(&sums, terms, residues + chunk_count + half, half_sums + chunk_count + half);
    }
    for (size_t left = chunk_count; left > 0;) {
        /* With two lanes, an odd last chunk is split together with itself, and its double multiplied by zero. */
        const size_t step = left < LANE_COUNT ? left : LANE_COUNT;
        split_into_planes(chunks, chunks + SFC_CHUNK_BYTES * (step - 1), terms);
        const ptrdiff_t power = (ptrdiff_t)left - LANE_COUNT;
        add_terms(&sums, terms, residues + power, half_sums + power);
        chunks += SFC_CHUNK_BYTES * step;
        left -= step;
    }
    for (int j = 0; j < SFC_PLANES; j++) {
        const __m128i low = total(sums.low[j]), high = total(sums.high[j]);
        const __m128i middle = total(sums.cross[j]) ^ low ^ high;
        _mm_storeu_si128((__m128i *)&planes->lower[j], low ^ _mm_slli_si128(middle, 8));
        _mm_storeu_si128((__m128i *)&planes->upper[j], high ^ _mm_srli_si128(middle, 8));
    }
}

SFC_INLINE void fold(const sfc_fingerprint_key *key, sfc_planes *planes, const uint8_t *chunks, size_t chunk_count) {
    while (chunk_count > 0) {
        const size_t count = chunk_count < SFC_BLOCK_CHUNKS ? chunk_count : SFC_BLOCK_CHUNKS;
        fold_block(&key->fold.terms, planes, chunks, count);
        chunks += SFC_CHUNK_BYTES * count;
        chunk_count -= count;
    }
}

#endif
