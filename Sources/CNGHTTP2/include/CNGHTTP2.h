#ifndef RPC_CNGHTTP2_H
#define RPC_CNGHTTP2_H

// HTTP/2 of the operating system: frames, streams, flow control and HPACK, without sockets.
#include <nghttp2/nghttp2.h>

// What a reply says of its body.
enum rpc_h2_content {
  RPC_H2_GRPC = 0,
  RPC_H2_GRPC_WEB = 1,
  RPC_H2_GRPC_WEB_TEXT = 2,
};

// Sends ":status: 200" and the content type, then what `read` gives for `source`. The names and values are constants,
// which nothing copies.
int rpc_h2_submit_reply(nghttp2_session *session, int32_t stream, enum rpc_h2_content content, void *source,
                        nghttp2_data_source_read_callback read);

// Sends "grpc-status: 0" behind the body, the end of the stream.
int rpc_h2_submit_ok(nghttp2_session *session, int32_t stream);

#endif
