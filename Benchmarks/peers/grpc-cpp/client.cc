// One thread, one completion queue, N channels with M calls outstanding each.
#include <grpcpp/grpcpp.h>

#include <memory>
#include <vector>

#include "../common/measure.h"
#include "peer.grpc.pb.h"

struct Call {
  peer::Math::Stub *stub;
  std::unique_ptr<grpc::ClientContext> context;
  std::unique_ptr<grpc::ClientAsyncResponseReader<peer::Sum>> sum_reader;
  std::unique_ptr<grpc::ClientAsyncResponseReader<peer::Blob>> blob_reader;
  peer::Sum sum;
  peer::Blob blob;
  grpc::Status status;
  uint64_t sent;
};

int main(int argc, char **argv) {
  Options options(argc, argv);
  peer::Pair pair;
  pair.set_a(1);
  pair.set_b(2);
  peer::Blob blob;
  blob.set_data(std::string(options.payload, 'a'));
  grpc::CompletionQueue queue;
  std::vector<std::unique_ptr<peer::Math::Stub>> stubs;
  std::vector<std::unique_ptr<Call>> calls;

  auto send = [&](Call *call) {
    call->context = std::make_unique<grpc::ClientContext>();
    call->sent = Measurement::now();
    if (options.echo) {
      call->blob_reader = call->stub->AsyncEcho(call->context.get(), blob, &queue);
      call->blob_reader->Finish(&call->blob, &call->status, call);
    } else {
      call->sum_reader = call->stub->AsyncAdd(call->context.get(), pair, &queue);
      call->sum_reader->Finish(&call->sum, &call->status, call);
    }
  };

  Measurement measurement(options);
  for (int i = 0; i < options.connections; i++) {
    grpc::ChannelArguments arguments;
    // Otherwise channels to one address share a connection.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    std::string address = "127.0.0.1:" + std::to_string(options.port);
    stubs.push_back(peer::Math::NewStub(
        grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments)));
    for (int j = 0; j < options.outstanding; j++) {
      calls.push_back(std::make_unique<Call>());
      calls.back()->stub = stubs.back().get();
    }
  }
  for (auto &call : calls) send(call.get());
  size_t in_flight = calls.size();
  void *tag;
  for (bool ok; in_flight > 0 && queue.Next(&tag, &ok);) {
    Call *call = static_cast<Call *>(tag);
    if (!call->status.ok() || (!options.echo && call->sum.sum() != 3)) {
      fprintf(stderr, "a call failed: %s\n", call->status.error_message().c_str());
      return 1;
    }
    if (measurement.answered(call->sent)) {
      send(call);
    } else {
      in_flight--;
    }
  }
  measurement.report();
}
