/* SHA-256 by libcrypto: the stand-in at levels without kernels of their own, since it may know the processor's. */
#ifndef SOLIDUS_SHA256_LIBCRYPTO_H
#define SOLIDUS_SHA256_LIBCRYPTO_H

#include "hash/sha256.h"

/* As sfc_sha256_messages and sfc_sha256_pieces do. */
void sfc_sha256_messages_libcrypto(const uint8_t *prefix, size_t prefix_length, const sfc_sha256_message *messages,
                                   size_t count);
void sfc_sha256_pieces_libcrypto(const uint8_t *const *pieces, const size_t *lengths, size_t count, uint8_t *digest);

#endif
