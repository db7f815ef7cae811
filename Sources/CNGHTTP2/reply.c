#include "CNGHTTP2.h"

#define CONSTANT(name, value)                                                                                     \
  {                                                                                                               \
    (uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, sizeof(value) - 1,                                   \
        NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE                                              \
  }

static const nghttp2_nv grpc_head[] = {CONSTANT(":status", "200"), CONSTANT("content-type", "application/grpc")};
static const nghttp2_nv web_head[] = {CONSTANT(":status", "200"),
                                      CONSTANT("content-type", "application/grpc-web+proto")};
static const nghttp2_nv text_head[] = {CONSTANT(":status", "200"),
                                       CONSTANT("content-type", "application/grpc-web-text+proto")};
static const nghttp2_nv ok[] = {CONSTANT("grpc-status", "0")};

int rpc_h2_submit_reply(nghttp2_session *session, int32_t stream, enum rpc_h2_content content, void *source,
                        nghttp2_data_source_read_callback read) {
  nghttp2_data_provider provider = {.source = {.ptr = source}, .read_callback = read};
  const nghttp2_nv *head = content == RPC_H2_GRPC ? grpc_head : content == RPC_H2_GRPC_WEB ? web_head : text_head;
  return nghttp2_submit_response(session, stream, head, 2, &provider);
}

int rpc_h2_submit_ok(nghttp2_session *session, int32_t stream) { return nghttp2_submit_trailer(session, stream, ok, 1); }
