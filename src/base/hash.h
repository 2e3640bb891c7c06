/* Hashes: SHA-256 (FIPS 180-4) for what is stored, XXH64-like speed is not needed; CRC-32C (Castagnoli) for event files. */
#ifndef EHM_BASE_HASH_H
#define EHM_BASE_HASH_H
#include <stddef.h>
#include <stdint.h>

typedef struct { uint32_t h[8]; uint64_t n_bytes; uint8_t buf[64]; } ehm_sha256;
void ehm_sha256_init(ehm_sha256 *s);
void ehm_sha256_add(ehm_sha256 *s, const void *data, size_t n);
void ehm_sha256_end(ehm_sha256 *s, uint8_t out[32]);
void ehm_sha256_hex(const uint8_t digest[32], char hex[65]);
void ehm_sha256_text(const void *data, size_t n, char hex[65]); /* all in one */

uint32_t ehm_crc32c(const void *data, size_t n);
uint64_t ehm_hash64(const void *data, size_t n, uint64_t seed); /* FNV-1a style mix for tables; not stored in files */
#endif
