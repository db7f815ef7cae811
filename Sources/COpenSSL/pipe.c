#include "COpenSSL.h"

#include <pthread.h>
#include <string.h>

static int pipe_read(BIO *bio, char *to, size_t count, size_t *moved) {
  struct rpc_tls_pipe *pipe = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  if (pipe->input_left == 0) {
    // The end of the input is told to the engine, never here.
    BIO_set_retry_read(bio);
    return 0;
  }
  if (count > pipe->input_left) count = pipe->input_left;
  memcpy(to, pipe->input, count);
  pipe->input += count;
  pipe->input_left -= count;
  *moved = count;
  return 1;
}

static int pipe_write(BIO *bio, const char *from, size_t count, size_t *moved) {
  struct rpc_tls_pipe *pipe = BIO_get_data(bio);
  BIO_clear_retry_flags(bio);
  if (pipe->output == NULL) {
    BIO_set_retry_write(bio);
    return 0;
  }
  pipe->write(pipe->output, (const uint8_t *)from, count);
  *moved = count;
  return 1;
}

static long pipe_control(BIO *bio, int command, long number, void *pointer) {
  (void)bio;
  (void)number;
  (void)pointer;
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *pipe_method;
static pthread_once_t pipe_once = PTHREAD_ONCE_INIT;

static void make_pipe_method(void) {
  BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "rpc pipe");
  if (method == NULL) return;
  BIO_meth_set_read_ex(method, pipe_read);
  BIO_meth_set_write_ex(method, pipe_write);
  BIO_meth_set_ctrl(method, pipe_control);
  pipe_method = method;
}

BIO *rpc_tls_bio(struct rpc_tls_pipe *pipe) {
  pthread_once(&pipe_once, make_pipe_method);
  if (pipe_method == NULL) return NULL;
  BIO *bio = BIO_new(pipe_method);
  if (bio == NULL) return NULL;
  BIO_set_data(bio, pipe);
  BIO_set_init(bio, 1);
  return bio;
}
