/* Latencies in nanoseconds, log-linear as HdrHistogram's: 128 steps per power of two, so within 0.8 %. */
#pragma once

#include <stdint.h>

enum { STEP_BITS = 7, STEPS = 1 << STEP_BITS, POWERS = 64 - STEP_BITS };

struct histogram {
  uint64_t counts[POWERS * STEPS];
  uint64_t total, sum, max;
};

static inline void record(struct histogram *h, uint64_t value) {
  int power = value < STEPS ? 0 : 63 - __builtin_clzll(value) - STEP_BITS + 1;
  size_t index = power == 0 ? value : ((size_t)power << STEP_BITS) + (value >> (power - 1)) - STEPS;
  h->counts[index]++;
  h->total++;
  h->sum += value;
  if (value > h->max) h->max = value;
}

/* The value below which `fraction` of all lie. */
static inline uint64_t percentile(const struct histogram *h, double fraction) {
  uint64_t wanted = (uint64_t)(fraction * (double)h->total), seen = 0;
  for (size_t i = 0; i < POWERS * STEPS; i++) {
    seen += h->counts[i];
    if (seen > wanted) {
      size_t power = i >> STEP_BITS, step = i & (STEPS - 1);
      uint64_t value = power == 0 ? step : (uint64_t)(step + STEPS) << (power - 1);
      return value < h->max ? value : h->max;
    }
  }
  return h->max;
}
