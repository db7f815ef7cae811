// The least that gRPC over nghttp2 costs: epoll, one thread, unary "add" of two int64, no lookup, no access check.
//
//   grpc_server              listens on a free port of 127.0.0.1 and prints it
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIXED(name, value)                                                                                        \
  {                                                                                                               \
    (uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, sizeof(value) - 1,                                   \
        NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE                                              \
  }

enum { message_bytes_max = 64, output_bytes = 1 << 20 };

struct call {
  uint8_t request[message_bytes_max], reply[16];
  size_t request_count, reply_count, sent;
  struct call *next;
};

struct peer {
  int socket;
  nghttp2_session *session;
  struct call *spare;
  uint8_t *output;
  size_t output_count;
};

static nghttp2_session_callbacks *callbacks;
static const nghttp2_nv head[] = {FIXED(":status", "200"), FIXED("content-type", "application/grpc")};
static const nghttp2_nv trailers[] = {FIXED("grpc-status", "0")};

static int begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
  struct peer *peer = user;
  struct call *call = peer->spare;
  if (call != NULL)
    peer->spare = call->next;
  else
    call = malloc(sizeof *call);
  call->request_count = call->reply_count = call->sent = 0;
  return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call);
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data, size_t count, void *user) {
  (void)flags;
  (void)user;
  struct call *call = nghttp2_session_get_stream_user_data(session, stream);
  if (call == NULL || call->request_count + count > message_bytes_max) return NGHTTP2_ERR_CALLBACK_FAILURE;
  memcpy(call->request + call->request_count, data, count);
  call->request_count += count;
  return 0;
}

static uint64_t varint(const uint8_t **at, const uint8_t *end) {
  uint64_t value = 0;
  for (int shift = 0; *at < end && shift < 64; shift += 7) {
    uint8_t byte = *(*at)++;
    value |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) break;
  }
  return value;
}

static void add(struct call *call) {
  const uint8_t *at = call->request + 5, *end = call->request + call->request_count;
  uint64_t sum = 0;
  while (at < end) {
    varint(&at, end);
    sum += varint(&at, end);
  }
  uint8_t *out = call->reply + 5;
  if (sum != 0) {
    *out++ = 0x08;
    for (; sum >= 0x80; sum >>= 7) *out++ = (uint8_t)sum | 0x80;
    *out++ = (uint8_t)sum;
  }
  memset(call->reply, 0, 4);
  call->reply[4] = (uint8_t)(out - call->reply - 5);
  call->reply_count = (size_t)(out - call->reply);
}

static ssize_t give(nghttp2_session *session, int32_t stream, uint8_t *buffer, size_t limit, uint32_t *flags,
                    nghttp2_data_source *source, void *user) {
  (void)buffer;
  (void)user;
  struct call *call = source->ptr;
  size_t count = call->reply_count - call->sent;
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (count > limit) return (ssize_t)limit;
  *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
  nghttp2_submit_trailer(session, stream, trailers, 1);
  return (ssize_t)count;
}

static int send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *frame_head, size_t count,
                     nghttp2_data_source *source, void *user) {
  (void)session;
  (void)frame;
  struct peer *peer = user;
  struct call *call = source->ptr;
  if (peer->output_count + 9 + count > output_bytes) return NGHTTP2_ERR_WOULDBLOCK;
  memcpy(peer->output + peer->output_count, frame_head, 9);
  memcpy(peer->output + peer->output_count + 9, call->reply + call->sent, count);
  peer->output_count += 9 + count;
  call->sent += count;
  return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user) {
  (void)user;
  if (frame->hd.type != NGHTTP2_DATA || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM)) return 0;
  struct call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
  if (call == NULL) return 0;
  add(call);
  nghttp2_data_provider body = {.source = {.ptr = call}, .read_callback = give};
  return nghttp2_submit_response(session, frame->hd.stream_id, head, 2, &body);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_count,
                     const uint8_t *value, size_t value_count, uint8_t flags, void *user) {
  (void)session, (void)frame, (void)name, (void)name_count, (void)value, (void)value_count, (void)flags, (void)user;
  return 0;
}

static int on_close(nghttp2_session *session, int32_t stream, uint32_t code, void *user) {
  (void)code;
  struct peer *peer = user;
  struct call *call = nghttp2_session_get_stream_user_data(session, stream);
  if (call != NULL) {
    call->next = peer->spare;
    peer->spare = call;
  }
  return 0;
}

static void flush(struct peer *peer) {
  for (;;) {
    const uint8_t *bytes;
    ssize_t count = nghttp2_session_mem_send(peer->session, &bytes);
    if (count <= 0 || peer->output_count + (size_t)count > output_bytes) break;
    memcpy(peer->output + peer->output_count, bytes, (size_t)count);
    peer->output_count += (size_t)count;
  }
  // The load reads what it asked for: what the socket does not take at once is no case here.
  for (size_t sent = 0; sent < peer->output_count;) {
    ssize_t count = send(peer->socket, peer->output + sent, peer->output_count - sent, MSG_NOSIGNAL);
    if (count < 0 && errno != EINTR) break;
    if (count > 0) sent += (size_t)count;
  }
  peer->output_count = 0;
}

static void accept_peer(int listener, int epoll) {
  int socket = accept(listener, NULL, NULL);
  if (socket < 0) return;
  int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct peer *peer = calloc(1, sizeof *peer);
  peer->socket = socket;
  peer->output = malloc(output_bytes);
  nghttp2_session_server_new(&peer->session, callbacks, peer);
  nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 256}};
  nghttp2_submit_settings(peer->session, NGHTTP2_FLAG_NONE, settings, 1);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
  epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event);
  flush(peer);
}

static void end(struct peer *peer) {
  close(peer->socket);
  nghttp2_session_del(peer->session);
  free(peer->output);
  free(peer);
}

int main(void) {
  int listener = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  if (bind(listener, (struct sockaddr *)&address, size) != 0 || listen(listener, 1024) != 0) return 1;
  getsockname(listener, (struct sockaddr *)&address, &size);
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, begin_headers);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
  nghttp2_session_callbacks_set_send_data_callback(callbacks, send_data);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
  fflush(stdout);
  static uint8_t input[256 * 1024];
  for (;;) {
    struct epoll_event events[256];
    int count = epoll_wait(epoll, events, 256, -1);
    for (int index = 0; index < count; index++) {
      struct peer *peer = events[index].data.ptr;
      if (peer == NULL) {
        accept_peer(listener, epoll);
        continue;
      }
      ssize_t got = recv(peer->socket, input, sizeof input, 0);
      if (got <= 0 || nghttp2_session_mem_recv(peer->session, input, (size_t)got) < 0) {
        end(peer);
        continue;
      }
      flush(peer);
    }
  }
}
