/* How the load generator introduces itself and what it asks: the request that is sent again and again, and
 * the reply that must come back. */
#pragma once

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "load_options.h"

enum { LOOP_BYTES = 256 * 1024 };

static uint8_t loop_in[LOOP_BYTES];
static struct bytes request, expected_reply;

/* Opens a connection and waits for it; the descriptor still blocks. */
static int open_socket(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
  if (inet_pton(AF_INET, options.host, &address.sin_addr) != 1) fail("--host takes an IPv4 address");
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) fail("cannot connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

static void write_all(int fd, const uint8_t *bytes, size_t count) {
  while (count > 0) {
    ssize_t written = send(fd, bytes, count, MSG_NOSIGNAL);
    if (written <= 0) fail("cannot write");
    bytes += written;
    count -= (size_t)written;
  }
}

static void read_all(int fd, void *bytes, size_t count) {
  for (uint8_t *at = bytes; count > 0;) {
    ssize_t got = recv(fd, at, count, 0);
    if (got <= 0) fail("the server closed the connection");
    at += got;
    count -= (size_t)got;
  }
}

/* Reads one frame during the introduction; returns its header, the payload in `loop_in`. */
static struct header read_frame(int fd) {
  struct header header;
  read_all(fd, &header, sizeof header);
  if (header.length > sizeof loop_in) fail("a frame of the introduction is too large");
  read_all(fd, loop_in, header.length);
  if (header.kind == FRAME_ERROR) {
    errno = 0;
    fprintf(stderr, "load: the server answered: %.*s\n", (int)header.length, (const char *)loop_in);
    fail("refused");
  }
  return header;
}

/* HELLO, and the id of the procedure. */
static uint32_t introduce(int fd) {
  uint8_t bytes[512], *p = bytes + PREFACE_BYTES + HEADER_BYTES;
  memcpy(bytes, PREFACE, PREFACE_BYTES);
  *p++ = options.identity ? 0x83 : 0x82;
  p = put_string(p, "version");
  *p++ = 1;
  p = put_string(p, "agent");
  p = put_string(p, "load");
  if (options.identity) {
    p = put_string(p, "identity");
    p = put_string(p, options.identity);
  }
  put_header(bytes + PREFACE_BYTES, (uint32_t)(p - bytes - PREFACE_BYTES - HEADER_BYTES), FRAME_HELLO, 0);
  bool add = strcmp(options.call, "add") == 0;
  uint8_t *frame = p;
  p += HEADER_BYTES;
  *p++ = 0x94;
  p = put_string(p, options.service);
  p = put_string(p, options.procedure);
  *p++ = add ? 0x92 : 0x91;
  for (int i = 0; i < (add ? 2 : 1); i++) p = put_string(p, add ? "int" : "bytes");
  *p++ = 0xc0;
  put_header(frame, (uint32_t)(p - frame - HEADER_BYTES), FRAME_BIND, 1);
  write_all(fd, bytes, (size_t)(p - bytes));
  for (;;) {
    struct header header = read_frame(fd);
    if (header.kind != FRAME_BOUND) continue;
    int64_t id;
    if (loop_in[0] != 0x94 || get_int(loop_in + 1, header.length - 1, &id) == 0) fail("malformed BOUND");
    return (uint32_t)id;
  }
}

static void make_rpc_request(uint32_t procedure_id) {
  reserve(&request, HEADER_BYTES + CALL_FIXED_BYTES + options.payload + 16);
  reserve(&expected_reply, options.payload + 16);
  uint8_t *p = request.base + HEADER_BYTES;
  uint32_t fixed[2] = {procedure_id, 0};
  memcpy(p, fixed, sizeof fixed);
  p += sizeof fixed;
  if (strcmp(options.call, "add") == 0) {
    *p++ = 0x92;
    p += put_int(p, 1);
    p += put_int(p, 2);
    expected_reply.base[0] = 0x91;
    expected_reply.end = 1 + put_int(expected_reply.base + 1, 3);
  } else {
    size_t size = put_bytes_list(p, options.payload);
    memcpy(expected_reply.base, p, size);
    expected_reply.end = size;
    p += size;
  }
  request.end = (size_t)(p - request.base);
  put_header(request.base, (uint32_t)(request.end - HEADER_BYTES), FRAME_CALL, 0);
}

static void append_bulk(struct bytes *b, const char *text, size_t count) {
  char head[32];
  append(b, head, (size_t)snprintf(head, sizeof head, "$%zu\r\n", count));
  append(b, text, count);
  append(b, "\r\n", 2);
}

static void append_command(struct bytes *b, const char *const *words, const char *payload) {
  int count = payload ? 1 : 0;
  for (const char *const *word = words; *word; word++) count++;
  char head[32];
  append(b, head, (size_t)snprintf(head, sizeof head, "*%d\r\n", count));
  for (const char *const *word = words; *word; word++) append_bulk(b, *word, strlen(*word));
  if (payload) append_bulk(b, payload, options.payload);
}

/* Loads what the measured command needs into redis and prepares that command. */
static void prepare_redis(int fd) {
  static const char *const library =
      "#!lua name=bench\n"
      "redis.register_function('add', function(keys, args)\n"
      "  return tonumber(args[1]) + tonumber(args[2])\n"
      "end)\n"
      "redis.register_function('echo', function(keys, args) return args[1] end)\n";
  char *payload = must(malloc(options.payload + 1));
  memset(payload, 'a', options.payload);
  payload[options.payload] = 0;
  struct bytes setup = {0};
  append_command(&setup, (const char *const[]){"FUNCTION", "LOAD", "REPLACE", library, NULL}, NULL);
  append_command(&setup, (const char *const[]){"SET", "bench", NULL}, payload);
  write_all(fd, setup.base, setup.end);
  const char *answer = "$5\r\nbench\r\n+OK\r\n";
  read_all(fd, loop_in, strlen(answer));
  if (memcmp(loop_in, answer, strlen(answer)) != 0) {
    errno = 0;
    fail("redis did not take the function");
  }
  if (strcmp(options.redis, "ping") == 0) {
    append_command(&request, (const char *const[]){"PING", NULL}, NULL);
  } else if (strcmp(options.redis, "get") == 0) {
    append_command(&request, (const char *const[]){"GET", "bench", NULL}, NULL);
  } else if (strcmp(options.redis, "add") == 0) {
    append_command(&request, (const char *const[]){"FCALL", "add", "0", "1", "2", NULL}, NULL);
  } else {
    append_command(&request, (const char *const[]){"FCALL", "echo", "0", NULL}, payload);
  }
  free(payload);
  free(setup.base);
}

/* One whole redis reply at `bytes`: its length, 0 when it is cut short. */
static size_t redis_reply(const uint8_t *bytes, size_t length) {
  const uint8_t *end = memchr(bytes, '\n', length);
  if (end == NULL) return 0;
  size_t line = (size_t)(end - bytes) + 1;
  errno = 0;
  if (bytes[0] == '-') fail((const char *)bytes);
  if (bytes[0] != '$') return line;
  size_t total = line + (size_t)strtoull((const char *)bytes + 1, NULL, 10) + 2;
  return total <= length ? total : 0;
}
