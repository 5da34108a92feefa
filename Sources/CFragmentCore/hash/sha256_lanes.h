/* SHA-256 of as many messages side by side as a register has 32-bit words, each of which belongs to another message.
 *
 * Blocks are read a register's width per message and transposed, so that register t holds word W[t] of all messages.
 * The working variables a ... h keep their registers and change their names from round to round instead.
 *
 * Included by each such sha256_*.c, which first defines
 *   SFC_TARGET, SFC_INLINE        prefixes of a function and of an inline function, with the level's target attribute
 *   LANE_COUNT                    words, and so messages, in a register: 8 or 16
 *   lanes                         the register, a vector type of the compiler with elements uint32_t, so that +, ^ and
 *                                 the shifts work on words
 *   load_row                      a register's width of bytes; no alignment
 *   load_state, store_state       the eight words of a state, in the lowest lanes; no alignment
 *   swap_bytes                    the bytes of each word reversed
 *   unpack_low_words, ...         words of a and b in turn, from the lower or the upper half of each 128-bit part
 *   unpack_low_pairs, ...         the same with pairs of words
 *   transpose_parts               transposes, for each k < 4, the square of 128-bit parts in rows k, k + 4, k + 8, ...
 *   xor3, choice, majority        x ^ y ^ z; y where x is set and z elsewhere; what two of x, y and z agree on
 */
#ifndef SOLIDUS_SHA256_LANES_H
#define SOLIDUS_SHA256_LANES_H

enum { BLOCK_WORDS = SFC_SHA256_BLOCK_BYTES / 4, STATE_WORDS = 8, ROUNDS = 64 };

/* One instruction where there is one: compilers know the form. */
SFC_INLINE lanes rotate_right(lanes words, const int bits) {
    return (words >> bits) | (words << (32 - bits));
}

/* Transposes the 4 x 4 squares of words that four rows form in each 128-bit part. */
SFC_INLINE void transpose_squares(lanes rows[LANE_COUNT]) {
#pragma GCC unroll 4
    for (int i = 0; i < LANE_COUNT; i += 4) {
        const lanes low01 = unpack_low_words(rows[i], rows[i + 1]);
        const lanes high01 = unpack_high_words(rows[i], rows[i + 1]);
        const lanes low23 = unpack_low_words(rows[i + 2], rows[i + 3]);
        const lanes high23 = unpack_high_words(rows[i + 2], rows[i + 3]);
        rows[i] = unpack_low_pairs(low01, low23);
        rows[i + 1] = unpack_high_pairs(low01, low23);
        rows[i + 2] = unpack_low_pairs(high01, high23);
        rows[i + 3] = unpack_high_pairs(high01, high23);
    }
}

/* Rows of as many words as there are rows become columns. */
SFC_INLINE void transpose(lanes rows[LANE_COUNT]) {
    transpose_squares(rows);
    transpose_parts(rows);
}

/* state[i] = word i of every lane's state. */
SFC_INLINE void gather_states(lanes state[STATE_WORDS], uint32_t *const states[LANE_COUNT]) {
    lanes rows[LANE_COUNT];
#pragma GCC unroll 16
    for (int lane = 0; lane < LANE_COUNT; lane++) rows[lane] = load_state(states[lane]);
    transpose(rows);
    for (int i = 0; i < STATE_WORDS; i++) state[i] = rows[i];
}

SFC_INLINE void scatter_states(uint32_t *const states[LANE_COUNT], const lanes state[STATE_WORDS]) {
    lanes rows[LANE_COUNT] = {{0}};
    for (int i = 0; i < STATE_WORDS; i++) rows[i] = state[i];
    transpose(rows);
#pragma GCC unroll 16
    for (int lane = 0; lane < LANE_COUNT; lane++) store_state(states[lane], rows[lane]);
}

/* Words W[0] ... W[15] of the messages' blocks at the byte offset. */
SFC_INLINE void load_schedule(lanes schedule[BLOCK_WORDS], const uint8_t *const messages[LANE_COUNT], size_t offset) {
    /* Not unrolled: words that wait in registers for their bytes to be swapped would displace the rounds' own. */
#pragma GCC unroll 1
    for (int first = 0; first < BLOCK_WORDS; first += LANE_COUNT) {
        lanes rows[LANE_COUNT];
#pragma GCC unroll 16
        for (int lane = 0; lane < LANE_COUNT; lane++) rows[lane] = load_row(messages[lane] + offset + 4 * first);
        transpose(rows);
#pragma GCC unroll 16
        for (int i = 0; i < LANE_COUNT; i++) schedule[first + i] = swap_bytes(rows[i]);
    }
}

/* Replaces W[t-16], kept at schedule[t mod 16], by W[t]. */
SFC_INLINE void extend(lanes schedule[BLOCK_WORDS], int t) {
    const lanes w15 = schedule[(t + 1) % 16], w7 = schedule[(t + 9) % 16], w2 = schedule[(t + 14) % 16];
    const lanes sigma0 = xor3(rotate_right(w15, 7), rotate_right(w15, 18), w15 >> 3);
    const lanes sigma1 = xor3(rotate_right(w2, 17), rotate_right(w2, 19), w2 >> 10);
    schedule[t % 16] = (schedule[t % 16] + sigma0) + (w7 + sigma1);
}

/* Round t, of which only t mod 8 matters: before it, a is variables[-t mod 8], b the next, and so on around. */
SFC_INLINE void one_round(lanes variables[STATE_WORDS], int t, lanes word, uint32_t constant) {
    const int shift = (16 - t) % 8;
    const lanes a = variables[shift], b = variables[(shift + 1) % 8], c = variables[(shift + 2) % 8];
    const lanes e = variables[(shift + 4) % 8], f = variables[(shift + 5) % 8], g = variables[(shift + 6) % 8];
    lanes *d = &variables[(shift + 3) % 8], *h = &variables[(shift + 7) % 8];

    const lanes sum1 = xor3(rotate_right(e, 6), rotate_right(e, 11), rotate_right(e, 25));
    const lanes sum0 = xor3(rotate_right(a, 2), rotate_right(a, 13), rotate_right(a, 22));
    const lanes first = (*h + (word + constant)) + (sum1 + choice(e, f, g));
    *d += first;
    *h = first + (sum0 + majority(a, b, c));
}

SFC_INLINE void compress_block(lanes state[STATE_WORDS], const uint8_t *const messages[LANE_COUNT], size_t offset) {
    lanes schedule[BLOCK_WORDS], variables[STATE_WORDS];
    load_schedule(schedule, messages, offset);
    for (int i = 0; i < STATE_WORDS; i++) variables[i] = state[i];
#pragma GCC unroll 16
    for (int t = 0; t < 16; t++) one_round(variables, t, schedule[t], sfc_sha256_round_constants[t]);
#pragma GCC unroll 1
    for (int done = 16; done < ROUNDS; done += 16) {
#pragma GCC unroll 16
        for (int t = 0; t < 16; t++) {
            extend(schedule, t);
            one_round(variables, t, schedule[t], sfc_sha256_round_constants[done + t]);
        }
    }
    for (int i = 0; i < STATE_WORDS; i++) state[i] += variables[i];
}

/* A kernel's compress. Lanes without a message of their own repeat the first one, and their result is dropped. */
SFC_TARGET static void compress(uint32_t (*states)[8], const uint8_t *const *blocks, size_t lane_count,
                                size_t block_count) {
    /* Its alignment makes the compiler align the stack, where it keeps the lanes it has no registers for. */
    _Alignas(lanes) uint32_t dropped[STATE_WORDS] = {0};
    uint32_t *lane_states[LANE_COUNT];
    const uint8_t *messages[LANE_COUNT];
    for (size_t lane = 0; lane < LANE_COUNT; lane++) {
        lane_states[lane] = lane < lane_count ? states[lane] : dropped;
        messages[lane] = blocks[lane < lane_count ? lane : 0];
    }
    lanes state[STATE_WORDS];
    gather_states(state, lane_states);
    for (size_t block = 0; block < block_count; block++) {
        compress_block(state, messages, SFC_SHA256_BLOCK_BYTES * block);
    }
    scatter_states(lane_states, state);
}

#endif
