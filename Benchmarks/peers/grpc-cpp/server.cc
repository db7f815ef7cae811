// gRPC C++ as its documentation recommends: the callback API, answers given at once.
#include <grpcpp/grpcpp.h>

#include "peer.grpc.pb.h"

class Math final : public peer::Math::CallbackService {
  grpc::ServerUnaryReactor *Add(grpc::CallbackServerContext *context, const peer::Pair *request,
                                peer::Sum *reply) override {
    reply->set_sum(request->a() + request->b());
    return finish(context);
  }

  grpc::ServerUnaryReactor *Echo(grpc::CallbackServerContext *context, const peer::Blob *request,
                                 peer::Blob *reply) override {
    reply->set_data(request->data());
    return finish(context);
  }

  static grpc::ServerUnaryReactor *finish(grpc::CallbackServerContext *context) {
    grpc::ServerUnaryReactor *reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

int main() {
  Math service;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  printf("listening on 127.0.0.1:%d\n", port);
  fflush(stdout);
  server->Wait();
}
