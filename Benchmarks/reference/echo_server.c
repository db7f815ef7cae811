/* The limit our server is measured against: one thread, one level-triggered epoll, one read and one write
 * per readiness, frames answered in place. It speaks just enough of the native protocol to be loaded by the
 * same generators (HELLO, BIND, CALL of `add(int, int)` and `echo(bytes)` of any service, PING) and checks
 * lengths, nothing else: no identities, deadlines, metrics or log.
 *
 *   echo_server [--host IP] [--port N] [--cpu N] [--busy-poll MICROSECONDS] [--tls-certificate FILE --tls-key FILE]
 *
 * Prints `listening on IP:PORT` once it does. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"
#include "wire.h"

enum {
  LOOP_BYTES = 256 * 1024,
  EVENTS = 256,
  PROCEDURE_ADD = 1,
  PROCEDURE_ECHO = 2,
  /* Replies waiting for a peer that does not read: above this it is not read from either. */
  HIGH_WATER_BYTES = 1024 * 1024,
};

struct connection {
  int fd;
  bool introduced, writing;
  struct bytes in, out;
  SSL *tls; /* NULL where the connection is plain */
};

static int epoll_fd;
static uint8_t loop_in[LOOP_BYTES];
static struct bytes loop_out;

static void close_connection(struct connection *c) {
  if (c->tls != NULL) SSL_free(c->tls);
  close(c->fd);
  free(c->in.base);
  free(c->out.base);
  free(c);
}

static void watch(struct connection *c, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = c};
  epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
}

static void answer_error(uint64_t call_id, const char *exception, const char *message) {
  reserve(&loop_out, 256);
  uint8_t *frame = loop_out.base + loop_out.end, *p = frame + HEADER_BYTES;
  *p++ = 0x82;
  p = put_string(p, "exception");
  p = put_string(p, exception);
  p = put_string(p, "message");
  p = put_string(p, message);
  put_header(frame, (uint32_t)(p - frame - HEADER_BYTES), FRAME_ERROR, call_id);
  loop_out.end += (size_t)(p - frame);
}

static void answer_hello(void) {
  reserve(&loop_out, 128);
  uint8_t *frame = loop_out.base + loop_out.end, *p = frame + HEADER_BYTES;
  *p++ = 0x82;
  p = put_string(p, "version");
  *p++ = 1;
  p = put_string(p, "agent");
  p = put_string(p, "epoll reference");
  put_header(frame, (uint32_t)(p - frame - HEADER_BYTES), FRAME_HELLO, 0);
  loop_out.end += (size_t)(p - frame);
}

static void answer_bind(const uint8_t *payload, size_t length, uint64_t call_id) {
  const char *name;
  size_t count, at = 1;
  size_t service = length > at ? get_string(payload + at, length - at, &name, &count) : 0;
  at += service;
  size_t procedure = service ? get_string(payload + at, length - at, &name, &count) : 0;
  bool add = procedure && count == 3 && memcmp(name, "add", 3) == 0;
  bool echo = procedure && count == 4 && memcmp(name, "echo", 4) == 0;
  if (!add && !echo) {
    answer_error(call_id, "RPCNotFound", "only add and echo are here");
    return;
  }
  reserve(&loop_out, 64);
  uint8_t *frame = loop_out.base + loop_out.end, *p = frame + HEADER_BYTES;
  *p++ = 0x94;
  *p++ = add ? PROCEDURE_ADD : PROCEDURE_ECHO;
  *p++ = add ? 0x92 : 0x91;
  for (int i = 0; i < (add ? 2 : 1); i++) p = put_string(p, add ? "int" : "bytes");
  *p++ = 0x91;
  p = put_string(p, add ? "int" : "bytes");
  *p++ = 0xc2;
  put_header(frame, (uint32_t)(p - frame - HEADER_BYTES), FRAME_BOUND, call_id);
  loop_out.end += (size_t)(p - frame);
}

static void answer_call(const uint8_t *payload, size_t length, const struct header *header) {
  uint32_t procedure;
  if (length < CALL_FIXED_BYTES || header->flags != 0) goto malformed;
  memcpy(&procedure, payload, sizeof procedure);
  const uint8_t *arguments = payload + CALL_FIXED_BYTES;
  length -= CALL_FIXED_BYTES;
  if (procedure == PROCEDURE_ADD) {
    int64_t left, right, sum;
    if (length < 3 || arguments[0] != 0x92) goto malformed;
    size_t used = get_int(arguments + 1, length - 1, &left);
    if (used == 0 || get_int(arguments + 1 + used, length - 1 - used, &right) == 0) goto malformed;
    if (__builtin_add_overflow(left, right, &sum)) goto malformed;
    reserve(&loop_out, HEADER_BYTES + 10);
    uint8_t *frame = loop_out.base + loop_out.end;
    frame[HEADER_BYTES] = 0x91;
    size_t size = 1 + put_int(frame + HEADER_BYTES + 1, sum);
    put_header(frame, (uint32_t)size, FRAME_REPLY, header->call_id);
    loop_out.end += HEADER_BYTES + size;
    return;
  }
  if (procedure == PROCEDURE_ECHO) {
    /* The reply's list of one value is the arguments' list of one value. */
    reserve(&loop_out, HEADER_BYTES + length);
    put_header(loop_out.base + loop_out.end, (uint32_t)length, FRAME_REPLY, header->call_id);
    memcpy(loop_out.base + loop_out.end + HEADER_BYTES, arguments, length);
    loop_out.end += HEADER_BYTES + length;
    return;
  }
malformed:
  answer_error(header->call_id, "InvalidArguments", "malformed call");
}

/* Answers every whole frame; returns the bytes consumed, or -1 when the peer breaks the protocol. */
static ssize_t answer(struct connection *c, const uint8_t *bytes, size_t length) {
  size_t at = 0;
  if (!c->introduced) {
    if (length < PREFACE_BYTES) return 0;
    if (memcmp(bytes, PREFACE, PREFACE_BYTES) != 0) return -1;
    c->introduced = true;
    at = PREFACE_BYTES;
  }
  while (length - at >= HEADER_BYTES) {
    struct header header;
    memcpy(&header, bytes + at, sizeof header);
    if (header.length > FRAME_BYTES_MAX) return -1;
    if (length - at - HEADER_BYTES < header.length) break;
    const uint8_t *payload = bytes + at + HEADER_BYTES;
    switch (header.kind) {
    case FRAME_CALL: answer_call(payload, header.length, &header); break;
    case FRAME_HELLO: answer_hello(); break;
    case FRAME_BIND: answer_bind(payload, header.length, header.call_id); break;
    case FRAME_PING:
      reserve(&loop_out, HEADER_BYTES);
      put_header(loop_out.base + loop_out.end, 0, FRAME_PONG, header.call_id);
      loop_out.end += HEADER_BYTES;
      break;
    default: return -1;
    }
    at += HEADER_BYTES + header.length;
  }
  return (ssize_t)at;
}

static SSL_CTX *tls_context;

/* As recv, of what is inside TLS: all that there is, since epoll does not tell of what OpenSSL holds. */
static ssize_t take(struct connection *c, void *to, size_t room) {
  if (c->tls == NULL) return recv(c->fd, to, room, 0);
  size_t got = 0;
  while (got < room) {
    ERR_clear_error();
    int count = SSL_read(c->tls, (uint8_t *)to + got, (int)(room - got));
    if (count > 0) {
      got += (size_t)count;
      continue;
    }
    int reason = SSL_get_error(c->tls, count);
    if (got > 0) break;
    if (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE) return 0;
    errno = EAGAIN;
    return -1;
  }
  return (ssize_t)got;
}

static ssize_t give(struct connection *c, const void *from, size_t count) {
  if (c->tls == NULL) return send(c->fd, from, count, MSG_NOSIGNAL);
  ERR_clear_error();
  int written = SSL_write(c->tls, from, (int)count);
  if (written > 0) return written;
  int reason = SSL_get_error(c->tls, written);
  errno = reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE ? EAGAIN : EPROTO;
  return -1;
}

static void speak_tls(const char *certificate, const char *key) {
  tls_context = must(SSL_CTX_new(TLS_server_method()));
  SSL_CTX_set_min_proto_version(tls_context, TLS1_3_VERSION);
  SSL_CTX_set_mode(
      tls_context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_session_cache_mode(tls_context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(tls_context, 1);
  /* One recv for a record instead of one for its header and one for the rest. */
  SSL_CTX_set_read_ahead(tls_context, 1);
  if (SSL_CTX_use_certificate_chain_file(tls_context, certificate) != 1 ||
      SSL_CTX_use_PrivateKey_file(tls_context, key, SSL_FILETYPE_PEM) != 1) {
    ERR_print_errors_fp(stderr);
    exit(1);
  }
}

/* Writes what this turn answered, or queues what the socket did not take. */
static bool flush(struct connection *c) {
  struct bytes *out = &loop_out;
  if (c->out.end > c->out.start) {
    append(&c->out, loop_out.base, loop_out.end);
    out = &c->out;
  }
  if (out->end > out->start) {
    ssize_t written = give(c, out->base + out->start, out->end - out->start);
    if (written < 0 && errno != EAGAIN) return false;
    if (written > 0) out->start += (size_t)written;
    if (out == &loop_out) append(&c->out, out->base + out->start, out->end - out->start);
  }
  loop_out.start = loop_out.end = 0;
  if (c->out.start == c->out.end) c->out.start = c->out.end = 0;
  size_t waiting = c->out.end - c->out.start;
  if (c->writing || waiting > 0) {
    c->writing = waiting > 0;
    watch(c, waiting == 0 ? EPOLLIN : waiting > HIGH_WATER_BYTES ? EPOLLOUT : EPOLLIN | EPOLLOUT);
  }
  return true;
}

static bool readable(struct connection *c) {
  size_t held = c->in.end - c->in.start;
  if (held == 0) {
    ssize_t got = take(c, loop_in, sizeof loop_in);
    if (got <= 0) return got < 0 && errno == EAGAIN;
    ssize_t used = answer(c, loop_in, (size_t)got);
    if (used < 0) return false;
    if (used < got) append(&c->in, loop_in + used, (size_t)(got - used));
  } else {
    /* The rest of a frame goes where its beginning is; the header says how much that is. */
    struct header header = {.length = 0};
    if (c->introduced && held >= HEADER_BYTES) memcpy(&header, c->in.base + c->in.start, sizeof header);
    size_t needed = HEADER_BYTES + header.length;
    reserve(&c->in, (needed > held ? needed - held : 0) + LOOP_BYTES / 4);
    ssize_t got = take(c, c->in.base + c->in.end, c->in.capacity - c->in.end);
    if (got <= 0) return got < 0 && errno == EAGAIN;
    c->in.end += (size_t)got;
    ssize_t used = answer(c, c->in.base + c->in.start, c->in.end - c->in.start);
    if (used < 0) return false;
    c->in.start += (size_t)used;
    if (c->in.start == c->in.end) c->in.start = c->in.end = 0;
  }
  return flush(c);
}

static void accept_all(int listener) {
  for (;;) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct connection *c = must(calloc(1, sizeof *c));
    c->fd = fd;
    if (tls_context != NULL) {
      c->tls = must(SSL_new(tls_context));
      SSL_set_fd(c->tls, fd);
      SSL_set_accept_state(c->tls);
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
  }
}

static int listen_on(const char *host, int port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
  socklen_t size = sizeof address;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1 || bind(fd, (struct sockaddr *)&address, size) != 0 ||
      listen(fd, 4096) != 0 || getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
    perror("cannot listen");
    exit(1);
  }
  printf("listening on %s:%d\n", host, ntohs(address.sin_port));
  fflush(stdout);
  return fd;
}

int main(int argc, char **argv) {
  static const struct option options[] = {{"host", required_argument, NULL, 'h'},
                                          {"port", required_argument, NULL, 'p'},
                                          {"cpu", required_argument, NULL, 'c'},
                                          {"busy-poll", required_argument, NULL, 'b'},
                                          {"tls-certificate", required_argument, NULL, 't'},
                                          {"tls-key", required_argument, NULL, 'k'},
                                          {NULL, 0, NULL, 0}};
  const char *host = "127.0.0.1", *certificate = NULL, *key = NULL;
  int port = 0, option;
  uint64_t spin_ns = 0;
  while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
    switch (option) {
    case 'h': host = optarg; break;
    case 'p': port = atoi(optarg); break;
    case 'b': spin_ns = strtoull(optarg, NULL, 10) * 1000; break;
    case 't': certificate = optarg; break;
    case 'k': key = optarg; break;
    case 'c': pin(atoi(optarg)); break;
    default: return 64;
    }
  }
  if (certificate != NULL && key != NULL) speak_tls(certificate, key);
  raise_file_limit();
  signal(SIGPIPE, SIG_IGN);

  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  int listener = listen_on(host, port);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS];
  epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
  reserve(&loop_out, LOOP_BYTES);

  uint64_t quiet_since = now_ns();
  for (;;) {
    bool spinning = spin_ns > 0 && now_ns() - quiet_since < spin_ns;
    int count = epoll_wait(epoll_fd, events, EVENTS, spinning ? 0 : -1);
    if (count > 0 && spin_ns > 0) quiet_since = now_ns();
    for (int i = 0; i < count; i++) {
      struct connection *c = events[i].data.ptr;
      if (c == NULL) {
        accept_all(listener);
        continue;
      }
      bool keep = true;
      if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) keep = readable(c);
      if (keep && events[i].events & EPOLLOUT) keep = flush(c);
      if (!keep) {
        loop_out.start = loop_out.end = 0;
        close_connection(c);
      }
    }
  }
}
