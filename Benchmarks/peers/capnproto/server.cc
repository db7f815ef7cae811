// Cap'n Proto's own event loop and two-party RPC.
#include <capnp/ez-rpc.h>
#include <capnp/message.h>

#include <cstdio>

#include "peer.capnp.h"

class MathImpl final : public Math::Server {
  kj::Promise<void> add(AddContext context) override {
    auto parameters = context.getParams();
    context.getResults().setSum(parameters.getA() + parameters.getB());
    return kj::READY_NOW;
  }

  kj::Promise<void> echo(EchoContext context) override {
    context.getResults().setData(context.getParams().getData());
    return kj::READY_NOW;
  }
};

int main() {
  capnp::EzRpcServer server(kj::heap<MathImpl>(), "127.0.0.1", 0);
  auto &scope = server.getWaitScope();
  printf("listening on 127.0.0.1:%u\n", server.getPort().wait(scope));
  fflush(stdout);
  kj::NEVER_DONE.wait(scope);
}
