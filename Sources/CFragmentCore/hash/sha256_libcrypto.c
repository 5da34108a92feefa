/* SHA-256 by libcrypto, one message after another. Its contexts live on the heap: one per call. */
#include "hash/sha256_libcrypto.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

static EVP_MD *sha256_method;
static pthread_once_t sha256_method_once = PTHREAD_ONCE_INIT;

/* Fetching a method by name costs more than hashing a short message, so it is done once per process. */
static void fetch_sha256_method(void) {
    sha256_method = EVP_MD_fetch(NULL, "SHA256", NULL);
}

/* libcrypto fails here only when memory is exhausted or SHA-256 is not installed; neither leaves a way to go on. */
static void require(int succeeded) {
    if (!succeeded) abort();
}

static EVP_MD_CTX *new_context(void) {
    require(pthread_once(&sha256_method_once, fetch_sha256_method) == 0 && sha256_method != NULL);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    require(context != NULL);
    return context;
}

static void hash_pieces(EVP_MD_CTX *context, const uint8_t *const *pieces, const size_t *lengths, size_t count,
                        uint8_t *digest) {
    require(EVP_DigestInit_ex2(context, sha256_method, NULL));
    for (size_t i = 0; i < count; i++) {
        if (lengths[i] > 0) require(EVP_DigestUpdate(context, pieces[i], lengths[i]));
    }
    require(EVP_DigestFinal_ex(context, digest, NULL));
}

void sfc_sha256_messages_libcrypto(const uint8_t *prefix, size_t prefix_length, const sfc_sha256_message *messages,
                                   size_t count) {
    EVP_MD_CTX *context = new_context();
    for (size_t i = 0; i < count; i++) {
        const uint8_t *pieces[2] = {prefix, messages[i].bytes};
        const size_t lengths[2] = {prefix_length, messages[i].length};
        hash_pieces(context, pieces, lengths, 2, messages[i].digest);
    }
    EVP_MD_CTX_free(context);
}

void sfc_sha256_pieces_libcrypto(const uint8_t *const *pieces, const size_t *lengths, size_t count, uint8_t *digest) {
    EVP_MD_CTX *context = new_context();
    hash_pieces(context, pieces, lengths, count, digest);
    EVP_MD_CTX_free(context);
}
