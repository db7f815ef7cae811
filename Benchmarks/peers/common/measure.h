// What the peers' load generators share: options, the measured stretch, the report. Same words and same JSON as
// Benchmarks/reference/load.c.
#pragma once

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <time.h>

#include <string>

#include "../../reference/histogram.h"

struct Options {
  int port = 0, connections = 1, outstanding = 1;
  bool echo = false;
  size_t payload = 64;
  double duration = 2, warmup = 0.5;
  pid_t server = 0;

  Options(int argc, char **argv) {
    static const option names[] = {{"port", 1, nullptr, 'p'},        {"call", 1, nullptr, 'c'},
                                   {"connections", 1, nullptr, 'n'}, {"outstanding", 1, nullptr, 'm'},
                                   {"payload", 1, nullptr, 'b'},     {"duration", 1, nullptr, 'd'},
                                   {"warmup", 1, nullptr, 'w'},      {"server-pid", 1, nullptr, 's'},
                                   {"json", 0, nullptr, 'j'},        {nullptr, 0, nullptr, 0}};
    for (int name; (name = getopt_long(argc, argv, "", names, nullptr)) != -1;) {
      switch (name) {
      case 'p': port = atoi(optarg); break;
      case 'c': echo = std::string(optarg) == "echo"; break;
      case 'n': connections = atoi(optarg); break;
      case 'm': outstanding = atoi(optarg); break;
      case 'b': payload = strtoull(optarg, nullptr, 10); break;
      case 'd': duration = atof(optarg); break;
      case 'w': warmup = atof(optarg); break;
      case 's': server = atoi(optarg); break;
      case 'j': break;
      default: exit(64);
      }
    }
  }
};

// Asked after each answer whether to go on; counts what lies between warm-up and end.
class Measurement {
 public:
  explicit Measurement(const Options &options) : options(options), began(now()) {}

  static uint64_t now() { return clock(CLOCK_MONOTONIC); }

  // Takes an answer to what was sent at `sent`; false when no more is to be sent.
  bool answered(uint64_t sent) {
    uint64_t time = now();
    if (!measuring && time - began >= options.warmup * 1e9) {
      measuring = true;
      before = usage(time);
    } else if (measuring && !ended) {
      record(&latencies, time - sent);
      if (time - before.wall >= options.duration * 1e9) {
        ended = true;
        after = usage(time);
      }
    }
    return !ended;
  }

  void report() {
    double calls = (double)latencies.total, seconds = (double)(after.wall - before.wall) / 1e9;
    auto us = [&](double fraction) { return (double)percentile(&latencies, fraction) / 1e3; };
    printf("{\"calls\":%.0f,\"calls_per_second\":%.0f,\"client_cpu_us\":%.3f,\"server_cpu_us\":%.3f,"
           "\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f}\n",
           calls, calls / seconds, (double)(after.client - before.client) / 1e3 / calls,
           (double)(after.server - before.server) / 1e3 / calls, us(0.5), us(0.9), us(0.99), us(0.999), us(1));
  }

 private:
  struct Usage {
    uint64_t wall, client, server;
  };

  static uint64_t clock(clockid_t which) {
    timespec time = {};
    clock_gettime(which, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
  }

  Usage usage(uint64_t wall) const {
    clockid_t which;
    bool known = options.server > 0 && clock_getcpuclockid(options.server, &which) == 0;
    return {wall, clock(CLOCK_PROCESS_CPUTIME_ID), known ? clock(which) : 0};
  }

  const Options &options;
  uint64_t began;
  bool measuring = false, ended = false;
  Usage before = {}, after = {};
  histogram latencies = {};
};
