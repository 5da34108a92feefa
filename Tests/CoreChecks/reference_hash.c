/* SHA-256 and SHAKE256 by libcrypto, and fragment hashes by their definition. */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "checks.h"
#include "reference.h"

static void require(int succeeded) {
    if (!succeeded) abort();
}

void reference_sha256(const uint8_t *data, size_t length, uint8_t *digest) {
    require(EVP_Digest(data, length, digest, NULL, EVP_sha256(), NULL));
}

void reference_shake256(const uint8_t *data, size_t length, uint8_t *output, size_t output_length) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    require(context != NULL && EVP_DigestInit_ex(context, EVP_shake256(), NULL));
    require(EVP_DigestUpdate(context, data, length) && EVP_DigestFinalXOF(context, output, output_length));
    EVP_MD_CTX_free(context);
}

void reference_tree_hash(const uint8_t *fragment, size_t length, uint8_t *digest) {
    uint8_t *root = allocate(9 + length / 2048 * 32 + 32);
    size_t root_length = 0;
    root[root_length++] = 0x01;
    for (int i = 0; i < 8; i++) root[root_length++] = (uint8_t)((uint64_t)length >> (8 * i));
    for (size_t start = 0; start < length; start += 2048) {
        uint8_t leaf[1 + 2048];
        const size_t leaf_length = length - start < 2048 ? length - start : 2048;
        leaf[0] = 0x00;
        memcpy(leaf + 1, fragment + start, leaf_length);
        reference_sha256(leaf, 1 + leaf_length, root + root_length);
        root_length += 32;
    }
    reference_sha256(root, root_length, digest);
    free(root);
}
