#ifndef RPC_COPENSSL_H
#define RPC_COPENSSL_H

// OpenSSL 3 of the operating system: its macros as functions, and the pieces of it that are unsafe to call from Swift.
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stddef.h>
#include <stdint.h>

// Where a connection's records come from and go to. The one who calls OpenSSL sets it up for each call.
struct rpc_tls_pipe {
  const uint8_t *input;
  size_t input_left;
  void *output;
  // Takes all of the bytes.
  void (*write)(void *output, const uint8_t *bytes, size_t count);
};

// A BIO over a pipe, which stays the caller's; NULL where there is no memory.
BIO *rpc_tls_bio(struct rpc_tls_pipe *pipe);

// A context for TLS 1.3 alone: no renegotiation, no early data, no cache of sessions of its own, small idle connections.
SSL_CTX *rpc_tls_context(int is_server);

// These return 1, or 0 with the reason in OpenSSL's queue of errors.
int rpc_tls_use_chain(SSL_CTX *context, const void *pem, size_t count);
int rpc_tls_use_key(SSL_CTX *context, const void *pem, size_t count);
// Adds the certificates of a PEM text to those that are trusted; a server also tells clients their names.
int rpc_tls_trust(SSL_CTX *context, const void *pem, size_t count, int tell_clients);

void rpc_tls_set_server_name_callback(SSL_CTX *context, int (*callback)(SSL *, int *, void *), void *argument);
int rpc_tls_set_server_name(SSL *ssl, const char *name);

// One key of session tickets.
struct rpc_ticket_key {
  uint8_t name[16];
  uint8_t cipher[32];
  uint8_t mac[32];
};

// Gives the key to seal a ticket with, where `name` is NULL, or to open the one of that name with: 0 for none, 1, or 2
// where a new ticket is to be sealed with another key.
typedef int (*rpc_ticket_lookup)(void *keys, const uint8_t *name, struct rpc_ticket_key *key);

// Has session tickets sealed and opened by `lookup`; `keys` outlives the context.
int rpc_tls_set_ticket_keys(SSL_CTX *context, void *keys, rpc_ticket_lookup lookup);

// SHA-256 of a certificate's SubjectPublicKeyInfo; 32 bytes.
int rpc_tls_key_digest(X509 *certificate, uint8_t digest[32]);
// The 32 bytes of an Ed25519 key; 0 where the certificate has one of another kind.
int rpc_tls_ed25519_key(X509 *certificate, uint8_t key[32]);
// Calls `take` with each name that a certificate has: DNS, mail and URI of its alternative names, else its common name.
void rpc_tls_names(X509 *certificate, void *to, void (*take)(void *to, const char *name, size_t count));
// Whether the certificate's time is over.
int rpc_tls_is_expired(X509 *certificate);
// The first certificate of a PEM text; the caller frees it.
X509 *rpc_tls_read_certificate(const void *pem, size_t count);

// A private key on the curve P-256, as PEM into `pem`, which has room for `room` bytes; the length, or 0.
size_t rpc_tls_make_key(char *pem, size_t room);
// A certificate for the key, signed by itself, without an end. `names` is the text of an alternative name in OpenSSL's
// form, `DNS:localhost,IP:127.0.0.1`.
size_t rpc_tls_make_certificate(
    const char *key_pem, size_t key_count, const char *common_name, const char *names, char *pem, size_t room);

// The reason of the first error in the queue, which is emptied; false where there is none.
int rpc_tls_take_error(char *reason, size_t room);

#endif
