// One thread, N connections with M calls outstanding each.
#include <capnp/ez-rpc.h>
#include <capnp/message.h>

#include <memory>
#include <vector>

#include "../common/measure.h"
#include "peer.capnp.h"

struct Load {
  const Options &options;
  std::vector<uint8_t> payload;
  Measurement measurement;

  kj::Promise<void> next(Math::Client &math) {
    uint64_t sent = Measurement::now();
    if (options.echo) {
      auto request = math.echoRequest();
      request.setData(kj::arrayPtr(payload.data(), payload.size()));
      return request.send().then([this, &math, sent](auto &&) { return goOn(math, sent); });
    }
    auto request = math.addRequest();
    request.setA(1);
    request.setB(2);
    return request.send().then([this, &math, sent](auto &&reply) {
      KJ_REQUIRE(reply.getSum() == 3);
      return goOn(math, sent);
    });
  }

  kj::Promise<void> goOn(Math::Client &math, uint64_t sent) {
    return measurement.answered(sent) ? next(math) : kj::Promise<void>(kj::READY_NOW);
  }
};

int main(int argc, char **argv) {
  Options options(argc, argv);
  std::vector<std::unique_ptr<capnp::EzRpcClient>> connections;
  std::vector<std::unique_ptr<Math::Client>> clients;
  for (int i = 0; i < options.connections; i++) {
    connections.push_back(std::make_unique<capnp::EzRpcClient>("127.0.0.1", options.port));
    clients.push_back(std::make_unique<Math::Client>(connections.back()->getMain<Math>()));
  }
  Load load{options, std::vector<uint8_t>(options.payload, 'a'), Measurement(options)};
  auto lanes = kj::heapArrayBuilder<kj::Promise<void>>(clients.size() * options.outstanding);
  for (auto &client : clients) {
    for (int j = 0; j < options.outstanding; j++) lanes.add(load.next(*client));
  }
  kj::joinPromises(lanes.finish()).wait(connections[0]->getWaitScope());
  load.measurement.report();
}
