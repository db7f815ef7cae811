#include "COpenSSL.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <string.h>

int rpc_tls_key_digest(X509 *certificate, uint8_t digest[32]) {
  unsigned char *der = NULL;
  int count = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  if (count <= 0) return 0;
  SHA256(der, (size_t)count, digest);
  OPENSSL_free(der);
  return 1;
}

int rpc_tls_ed25519_key(X509 *certificate, uint8_t key[32]) {
  EVP_PKEY *found = X509_get0_pubkey(certificate);
  size_t count = 32;
  return found != NULL && EVP_PKEY_get_id(found) == EVP_PKEY_ED25519
         && EVP_PKEY_get_raw_public_key(found, key, &count) && count == 32;
}

void rpc_tls_names(X509 *certificate, void *to, void (*take)(void *to, const char *name, size_t count)) {
  GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
  if (names != NULL) {
    for (int index = 0; index < sk_GENERAL_NAME_num(names); index++) {
      const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, index);
      if (name->type != GEN_DNS && name->type != GEN_EMAIL && name->type != GEN_URI) continue;
      const ASN1_IA5STRING *string = name->d.ia5;
      take(to, (const char *)ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string));
    }
    GENERAL_NAMES_free(names);
    return;
  }
  X509_NAME *subject = X509_get_subject_name(certificate);
  int position = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (position < 0) return;
  unsigned char *text = NULL;
  int count = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, position)));
  if (count >= 0) take(to, (const char *)text, (size_t)count);
  if (count >= 0) OPENSSL_free(text);
}

int rpc_tls_is_expired(X509 *certificate) { return X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0; }

X509 *rpc_tls_read_certificate(const void *pem, size_t count) {
  if (count > INT32_MAX) return NULL;
  BIO *bio = BIO_new_mem_buf(pem, (int)count);
  if (bio == NULL) return NULL;
  X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, "");
  BIO_free(bio);
  return certificate;
}

// Moves what a memory BIO holds; 0 where it is more than there is room for.
static size_t take_text(BIO *bio, char *to, size_t room) {
  char *bytes = NULL;
  long count = BIO_get_mem_data(bio, &bytes);
  if (count <= 0 || (size_t)count > room) return 0;
  memcpy(to, bytes, (size_t)count);
  return (size_t)count;
}

size_t rpc_tls_make_key(char *pem, size_t room) {
  EVP_PKEY *key = EVP_EC_gen("P-256");
  BIO *bio = BIO_new(BIO_s_secmem());
  size_t count = 0;
  if (key != NULL && bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)) {
    count = take_text(bio, pem, room);
  }
  BIO_free(bio);
  EVP_PKEY_free(key);
  return count;
}

static int add_extension(X509 *certificate, int kind, const char *value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
  X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
  if (extension == NULL) return 0;
  int is_added = X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
  return is_added;
}

static int fill(X509 *certificate, EVP_PKEY *key, const char *common_name, const char *names) {
  uint8_t serial[16];
  if (RAND_bytes(serial, sizeof serial) <= 0) return 0;
  serial[0] = (serial[0] & 0x7f) | 0x40;
  BIGNUM *number = BN_bin2bn(serial, sizeof serial, NULL);
  int is_set = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
  BN_free(number);
  X509_NAME *subject = X509_get_subject_name(certificate);
  return is_set && X509_set_version(certificate, X509_VERSION_3)
         && ASN1_TIME_set_string_X509(X509_getm_notBefore(certificate), "20200101000000Z")
         // No end that is known (RFC 5280, section 4.1.2.5): the pin is what counts.
         && ASN1_TIME_set_string_X509(X509_getm_notAfter(certificate), "99991231235959Z")
         && X509_NAME_add_entry_by_txt(
             subject, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1, 0)
         && X509_set_issuer_name(certificate, subject) && X509_set_pubkey(certificate, key)
         && add_extension(certificate, NID_subject_alt_name, names)
         && add_extension(certificate, NID_key_usage, "critical,digitalSignature")
         && add_extension(certificate, NID_ext_key_usage, "serverAuth")
         && add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE")
         && add_extension(certificate, NID_subject_key_identifier, "hash")
         && X509_sign(certificate, key, EVP_sha256()) > 0;
}

size_t rpc_tls_make_certificate(
    const char *key_pem, size_t key_count, const char *common_name, const char *names, char *pem, size_t room) {
  if (key_count > INT32_MAX) return 0;
  BIO *text = BIO_new_mem_buf(key_pem, (int)key_count);
  if (text == NULL) return 0;
  EVP_PKEY *key = PEM_read_bio_PrivateKey(text, NULL, NULL, "");
  BIO_free(text);
  X509 *certificate = key != NULL ? X509_new() : NULL;
  BIO *bio = BIO_new(BIO_s_mem());
  size_t count = 0;
  if (certificate != NULL && bio != NULL && fill(certificate, key, common_name, names)
      && PEM_write_bio_X509(bio, certificate)) {
    count = take_text(bio, pem, room);
  }
  BIO_free(bio);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return count;
}
