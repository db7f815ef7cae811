/* The load generator's command line. */
#pragma once

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <sys/types.h>

#include "support.h"
#include "wire.h"

enum { OUTSTANDING_MAX = 1 << 16 };

static struct {
  const char *host, *call, *service, *procedure, *redis, *label, *identity, *counter;
  int port, connections, outstanding, idle, hold, cpu;
  size_t payload;
  double duration, warmup, rate;
  uint64_t count, spin_ns;
  pid_t server_pid;
  bool json;
} options = {.host = "127.0.0.1", .call = "add", .connections = 1, .outstanding = 1, .cpu = -1,
             .payload = 64, .duration = 2, .warmup = 0.5, .label = ""};

static void __attribute__((noreturn)) fail(const char *what) {
  fprintf(stderr, "load: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
  exit(1);
}

static void parse_options(int argc, char **argv) {
  static const struct option names[] = {
      {"host", 1, NULL, 'h'},        {"port", 1, NULL, 'p'},        {"call", 1, NULL, 'c'},
      {"procedure", 1, NULL, 'P'},   {"redis", 1, NULL, 'r'},       {"connections", 1, NULL, 'n'},
      {"outstanding", 1, NULL, 'm'}, {"payload", 1, NULL, 'b'},     {"duration", 1, NULL, 'd'},
      {"count", 1, NULL, 'C'},       {"warmup", 1, NULL, 'w'},      {"rate", 1, NULL, 'R'},
      {"idle", 1, NULL, 'i'},        {"identity", 1, NULL, 'I'},    {"server-pid", 1, NULL, 's'},
      {"cpu", 1, NULL, 'u'},         {"busy-poll", 1, NULL, 'B'},   {"label", 1, NULL, 'l'},
      {"json", 0, NULL, 'j'},        {"allocations", 1, NULL, 'a'}, {"hold", 1, NULL, 'H'},
      {NULL, 0, NULL, 0}};
  char *procedure = NULL;
  int option;
  while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
    switch (option) {
    case 'h': options.host = optarg; break;
    case 'p': options.port = atoi(optarg); break;
    case 'c': options.call = optarg; break;
    case 'P': procedure = optarg; break;
    case 'r': options.redis = optarg; break;
    case 'n': options.connections = atoi(optarg); break;
    case 'm': options.outstanding = atoi(optarg); break;
    case 'b': options.payload = strtoull(optarg, NULL, 10); break;
    case 'd': options.duration = atof(optarg); break;
    case 'C': options.count = strtoull(optarg, NULL, 10); break;
    case 'w': options.warmup = atof(optarg); break;
    case 'R': options.rate = atof(optarg); break;
    case 'i': options.idle = atoi(optarg); break;
    case 'I': options.identity = optarg; break;
    case 's': options.server_pid = atoi(optarg); break;
    case 'u': options.cpu = atoi(optarg); break;
    case 'B': options.spin_ns = strtoull(optarg, NULL, 10) * 1000; break;
    case 'l': options.label = optarg; break;
    case 'j': options.json = true; break;
    case 'a': options.counter = optarg; break;
    case 'H': options.hold = atoi(optarg); break;
    default: exit(64);
    }
  }
  char *dot = procedure ? strchr(procedure, '.') : NULL;
  if (dot) *dot = 0;
  options.service = dot ? procedure : "bench";
  options.procedure = dot ? dot + 1 : options.call;
  errno = 0;
  if (options.port == 0) fail("--port is missing");
  if (options.connections < 1 || options.outstanding < 1 || options.outstanding > OUTSTANDING_MAX)
    fail("--connections and --outstanding are at least 1, the latter at most 65536");
  if (options.payload > FRAME_BYTES_MAX - 64) fail("--payload is at most 16 MiB");
}
