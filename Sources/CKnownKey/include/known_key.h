// Checks ECDSA signatures over P-256 with SHA-256 by one key, again and again: what can be computed from the key alone
// is computed once. For verification only: nothing here is secret, and times depend on the values.
#ifndef SOLIDUS_KNOWN_KEY_H
#define SOLIDUS_KNOWN_KEY_H

#include <stdint.h>

// A public key with its tables, about 160 KiB. Immutable: threads may share it.
typedef struct solidus_known_key solidus_known_key;

// Makes the tables, which takes as long as a thousand checks with them, from the key's point as 0x04, x and y,
// big-endian. Null if that is no point of the curve, if memory or libcrypto has failed, or on processors for which
// libcrypto has no fast multiplication by a generator, where tables would make checks slower.
solidus_known_key *solidus_known_key_create(const uint8_t point[65]);

// Null is allowed.
void solidus_known_key_destroy(solidus_known_key *key);

typedef enum {
    SOLIDUS_SIGNATURE_VALID,
    SOLIDUS_SIGNATURE_INVALID,
    // Memory or libcrypto has failed: nothing is known of the signature.
    SOLIDUS_SIGNATURE_UNCHECKED,
} solidus_signature_verdict;

// Whether `signature`, r and s of 32 bytes each, big-endian, is the key's over a message with this SHA-256.
solidus_signature_verdict solidus_known_key_check(const solidus_known_key *key, const uint8_t digest[32],
                                                  const uint8_t signature[64]);

#endif
