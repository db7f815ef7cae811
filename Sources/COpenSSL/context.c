#include "COpenSSL.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <string.h>

SSL_CTX *rpc_tls_context(int is_server) {
  SSL_CTX *context = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
  if (context == NULL) return NULL;
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(
      context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  // Without the finite fields, whose largest costs many times what a handshake does.
  if (!SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384:P-521:X448")) {
    SSL_CTX_free(context);
    return NULL;
  }
  // A client's sessions are kept by the one who made the context, as its callback for new ones gets them.
  SSL_CTX_set_session_cache_mode(
      context, is_server ? SSL_SESS_CACHE_OFF : SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
  SSL_CTX_set_max_early_data(context, 0);
  SSL_CTX_set_num_tickets(context, 1);
  return context;
}

static BIO *text(const void *pem, size_t count) {
  return count > INT32_MAX ? NULL : BIO_new_mem_buf(pem, (int)count);
}

// A file of keys is never asked for its password: there is nobody to type it.
static int no_password(char *buffer, int size, int writing, void *user) {
  (void)buffer;
  (void)size;
  (void)writing;
  (void)user;
  return -1;
}

// Whether what made reading stop is the end of the text.
static int is_end_of_text(void) {
  unsigned long error = ERR_peek_last_error();
  if (ERR_GET_LIB(error) != ERR_LIB_PEM || ERR_GET_REASON(error) != PEM_R_NO_START_LINE) return 0;
  ERR_clear_error();
  return 1;
}

int rpc_tls_use_chain(SSL_CTX *context, const void *pem, size_t count) {
  BIO *bio = text(pem, count);
  if (bio == NULL) return 0;
  int found = 0, is_right = 1;
  X509 *certificate;
  while (is_right && (certificate = PEM_read_bio_X509_AUX(bio, NULL, no_password, NULL)) != NULL) {
    if (found++ == 0) {
      is_right = SSL_CTX_use_certificate(context, certificate);
      X509_free(certificate);
    } else if (!SSL_CTX_add0_chain_cert(context, certificate)) {
      X509_free(certificate);
      is_right = 0;
    }
  }
  BIO_free(bio);
  // The queue tells why there was none.
  return is_right && found > 0 && is_end_of_text();
}

int rpc_tls_use_key(SSL_CTX *context, const void *pem, size_t count) {
  BIO *bio = text(pem, count);
  if (bio == NULL) return 0;
  EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
  BIO_free(bio);
  if (key == NULL) return 0;
  int is_right = SSL_CTX_use_PrivateKey(context, key) && SSL_CTX_check_private_key(context);
  EVP_PKEY_free(key);
  return is_right;
}

int rpc_tls_trust(SSL_CTX *context, const void *pem, size_t count, int tell_clients) {
  BIO *bio = text(pem, count);
  if (bio == NULL) return 0;
  int found = 0, is_right = 1;
  X509 *certificate;
  while (is_right && (certificate = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL) {
    found++;
    is_right = X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate)
               && (!tell_clients || SSL_CTX_add_client_CA(context, certificate));
    X509_free(certificate);
  }
  BIO_free(bio);
  return is_right && found > 0 && is_end_of_text();
}

void rpc_tls_set_server_name_callback(SSL_CTX *context, int (*callback)(SSL *, int *, void *), void *argument) {
  SSL_CTX_set_tlsext_servername_callback(context, callback);
  SSL_CTX_set_tlsext_servername_arg(context, argument);
}

int rpc_tls_set_server_name(SSL *ssl, const char *name) { return (int)SSL_set_tlsext_host_name(ssl, name); }

// MARK: Tickets

struct ticket_keys {
  void *keys;
  rpc_ticket_lookup lookup;
};

static int ticket_index;

static void free_ticket_keys(void *parent, void *pointer, CRYPTO_EX_DATA *data, int index, long number, void *more) {
  (void)parent;
  (void)data;
  (void)index;
  (void)number;
  (void)more;
  OPENSSL_free(pointer);
}

static CRYPTO_ONCE ticket_once = CRYPTO_ONCE_STATIC_INIT;
static void make_ticket_index(void) { ticket_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, free_ticket_keys); }

static int set_mac(EVP_MAC_CTX *mac, const struct rpc_ticket_key *key) {
  OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key->mac, sizeof key->mac),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, "sha256", 0),
      OSSL_PARAM_construct_end(),
  };
  return EVP_MAC_CTX_set_params(mac, parameters);
}

// 0 has a full handshake made, 1 takes the ticket, 2 takes it and sends a new one.
static int ticket(SSL *ssl, uint8_t *name, uint8_t *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int is_sealing) {
  struct ticket_keys *entry = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), ticket_index);
  if (entry == NULL) return -1;
  struct rpc_ticket_key key;
  int found = entry->lookup(entry->keys, is_sealing ? NULL : name, &key);
  if (found == 0) return 0;
  int is_right;
  if (is_sealing) {
    memcpy(name, key.name, sizeof key.name);
    is_right = RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) > 0
               && EVP_EncryptInit_ex2(cipher, EVP_aes_256_cbc(), key.cipher, iv, NULL) && set_mac(mac, &key);
    // Where nothing is sealed no ticket is sent; 1 says that this one is whole.
    found = 1;
  } else {
    is_right = set_mac(mac, &key) && EVP_DecryptInit_ex2(cipher, EVP_aes_256_cbc(), key.cipher, iv, NULL);
  }
  OPENSSL_cleanse(&key, sizeof key);
  return is_right ? found : -1;
}

int rpc_tls_set_ticket_keys(SSL_CTX *context, void *keys, rpc_ticket_lookup lookup) {
  if (!CRYPTO_THREAD_run_once(&ticket_once, make_ticket_index)) return 0;
  struct ticket_keys *entry = OPENSSL_malloc(sizeof *entry);
  if (entry == NULL) return 0;
  entry->keys = keys;
  entry->lookup = lookup;
  if (!SSL_CTX_set_ex_data(context, ticket_index, entry)) {
    OPENSSL_free(entry);
    return 0;
  }
  return (int)SSL_CTX_set_tlsext_ticket_key_evp_cb(context, ticket);
}

int rpc_tls_take_error(char *reason, size_t room) {
  unsigned long error = ERR_peek_error();
  if (error == 0 || room == 0) return 0;
  const char *found = ERR_reason_error_string(error);
  reason[0] = 0;
  if (found != NULL) {
    strncpy(reason, found, room - 1);
    reason[room - 1] = 0;
  } else {
    ERR_error_string_n(error, reason, room);
  }
  ERR_clear_error();
  return 1;
}
