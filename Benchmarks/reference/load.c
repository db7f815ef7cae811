/* A single-threaded load generator: N connections with M calls outstanding each, or an open loop at a rate.
 * It loads the reference server, rpc-server (same wire) and redis, and reads the server's CPU time from the
 * operating system around the measured stretch.
 *
 *   load --port N [--host IP] [--call add|echo] [--procedure SERVICE.RPC] [--redis ping|get|add|echo]
 *        [--connections N] [--outstanding M] [--payload BYTES] [--duration SECONDS | --count CALLS]
 *        [--warmup SECONDS] [--rate CALLS_PER_SECOND] [--idle CONNECTIONS] [--identity NAME]
 *        [--server-pid PID] [--cpu N] [--busy-poll MICROSECONDS] [--label TEXT] [--json]
 *        [--allocations FILE] [--hold SECONDS]
 *
 * FILE is what Benchmarks/allocations counts into. With --hold the idle connections are all there is: it opens
 * them, says so and waits. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "histogram.h"
#include "load_requests.h"

enum { EVENTS = 256 };

struct connection {
  int fd;
  bool writing;
  struct bytes in, out;
  uint64_t next_id, answered;
  uint64_t *sent_ns; /* by call id modulo `ring`; 0 is free */
  uint64_t in_flight;
};

static int epoll_fd;
static struct connection *connections;
static struct histogram latencies;
static uint64_t ring, issued, completed, issue_limit = UINT64_MAX;
static bool measuring, stopping;

static void issue(struct connection *c, uint64_t now) {
  if (issued >= issue_limit) return;
  uint64_t id = ++c->next_id;
  c->sent_ns[id & (ring - 1)] = now;
  c->in_flight++;
  issued++;
  append(&c->out, request.base, request.end);
  if (!options.redis) memcpy(c->out.base + c->out.end - request.end + 8, &id, sizeof id);
}

static void flush(struct connection *c) {
  if (c->out.end > c->out.start) {
    ssize_t written = send(c->fd, c->out.base + c->out.start, c->out.end - c->out.start, MSG_NOSIGNAL);
    if (written < 0 && errno != EAGAIN) fail("cannot write");
    if (written > 0) c->out.start += (size_t)written;
    if (c->out.start == c->out.end) c->out.start = c->out.end = 0;
  }
  bool waiting = c->out.end > 0;
  if (waiting != c->writing) {
    c->writing = waiting;
    struct epoll_event event = {.events = EPOLLIN | (waiting ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
  }
}

static void answered(struct connection *c, uint64_t id, uint64_t now) {
  uint64_t *sent = &c->sent_ns[id & (ring - 1)];
  errno = 0;
  if (*sent == 0) fail("an answer to no call");
  if (measuring) record(&latencies, now - *sent);
  *sent = 0;
  c->in_flight--;
  completed++;
}

/* Takes every whole reply; returns the bytes consumed. */
static size_t take_replies(struct connection *c, const uint8_t *bytes, size_t length, uint64_t now) {
  size_t at = 0;
  if (options.redis) {
    for (size_t used; at < length && (used = redis_reply(bytes + at, length - at)) > 0; at += used) {
      answered(c, ++c->answered, now);
    }
    return at;
  }
  while (length - at >= HEADER_BYTES) {
    struct header header;
    memcpy(&header, bytes + at, sizeof header);
    if (length - at - HEADER_BYTES < header.length) break;
    const uint8_t *payload = bytes + at + HEADER_BYTES;
    if (header.kind == FRAME_REPLY) {
      errno = 0;
      if (header.length != expected_reply.end || memcmp(payload, expected_reply.base, 2) != 0 ||
          (!measuring && memcmp(payload, expected_reply.base, header.length) != 0)) {
        fail("a wrong answer");
      }
      answered(c, header.call_id, now);
    } else if (header.kind == FRAME_ERROR) {
      errno = 0;
      fprintf(stderr, "load: %.*s\n", (int)header.length, (const char *)payload);
      fail("a call failed");
    }
    at += HEADER_BYTES + header.length;
  }
  return at;
}

static void readable(struct connection *c) {
  size_t held = c->in.end - c->in.start;
  ssize_t got;
  uint64_t now;
  if (held == 0) {
    got = recv(c->fd, loop_in, sizeof loop_in, 0);
    now = now_ns();
    if (got > 0) {
      size_t used = take_replies(c, loop_in, (size_t)got, now);
      if (used < (size_t)got) append(&c->in, loop_in + used, (size_t)got - used);
    }
  } else {
    reserve(&c->in, options.payload + LOOP_BYTES / 4);
    got = recv(c->fd, c->in.base + c->in.end, c->in.capacity - c->in.end, 0);
    now = now_ns();
    if (got > 0) {
      c->in.end += (size_t)got;
      c->in.start += take_replies(c, c->in.base + c->in.start, c->in.end - c->in.start, now);
      if (c->in.start == c->in.end) c->in.start = c->in.end = 0;
    }
  }
  if (got == 0) errno = 0;
  if (got == 0 || (got < 0 && errno != EAGAIN)) fail("the server closed the connection");
  if (options.rate == 0 && !stopping) {
    while (c->in_flight < (uint64_t)options.outstanding && issued < issue_limit &&
           c->sent_ns[(c->next_id + 1) & (ring - 1)] == 0) {
      issue(c, now);
    }
  }
  flush(c);
}

/* In the open loop each call has a time at which it is due, and is late by what it waited before being sent. */
static void issue_due(uint64_t start, uint64_t now) {
  static uint64_t sequence;
  double interval = 1e9 / options.rate;
  for (; !stopping; sequence++) {
    uint64_t due = start + (uint64_t)((double)sequence * interval);
    if (due > now) return;
    struct connection *c = &connections[sequence % (uint64_t)options.connections];
    if (c->sent_ns[(c->next_id + 1) & (ring - 1)] != 0) return;
    issue(c, due);
    flush(c);
  }
}

struct usage {
  uint64_t wall, client, server, completed, allocations;
};

static struct usage usage_now(void) {
  struct usage usage = {.wall = now_ns(), .completed = completed};
  clockid_t clock;
  usage.client = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
  if (options.server_pid > 0 && clock_getcpuclockid(options.server_pid, &clock) == 0) {
    usage.server = clock_ns(clock);
  }
  if (options.counter) {
    int fd = open(options.counter, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, &usage.allocations, sizeof usage.allocations) != sizeof usage.allocations) {
      fail(options.counter);
    }
    close(fd);
  }
  return usage;
}

static double us(double fraction) { return (double)percentile(&latencies, fraction) / 1e3; }

static void report(struct usage before, struct usage after) {
  double calls = (double)(after.completed - before.completed);
  double seconds = (double)(after.wall - before.wall) / 1e9;
  double client = (double)(after.client - before.client) / 1e3 / calls;
  double server = (double)(after.server - before.server) / 1e3 / calls;
  const char *format =
      options.json
          ? "{\"label\":\"%s\",\"connections\":%d,\"outstanding\":%d,\"calls\":%.0f,"
            "\"calls_per_second\":%.0f,\"client_cpu_us\":%.3f,\"server_cpu_us\":%.3f,"
            "\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f"
          : "%-24s %5dx%-4d %9.0f calls  %9.0f calls/s  client %7.2f us/call  server %7.2f us/call  "
            "p50 %.1f p90 %.1f p99 %.1f p99.9 %.1f max %.1f us";
  printf(format, options.label, options.connections, options.outstanding, calls, calls / seconds, client,
         server, us(0.5), us(0.9), us(0.99), us(0.999), us(1));
  if (options.counter) {
    const char *field = options.json ? ",\"allocations\":%lu" : "  allocations %lu";
    printf(field, after.allocations - before.allocations);
  }
  puts(options.json ? "}" : "");
}

int main(int argc, char **argv) {
  parse_options(argc, argv);
  if (options.cpu >= 0) pin(options.cpu);
  raise_file_limit();
  signal(SIGPIPE, SIG_IGN);
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);

  for (int i = 0; i < options.idle; i++) {
    int fd = open_socket();
    if (!options.redis) introduce(fd);
  }
  if (options.hold > 0) {
    printf("holding %d connections\n", options.idle);
    fflush(stdout);
    sleep((unsigned)options.hold);
    return 0;
  }
  for (ring = 4; ring < 4 * (uint64_t)options.outstanding; ring *= 2) {}
  if (options.rate > 0 && ring < 4096) ring = 4096;
  connections = must(calloc((size_t)options.connections, sizeof *connections));
  for (int i = 0; i < options.connections; i++) {
    struct connection *c = &connections[i];
    c->fd = open_socket();
    c->sent_ns = must(calloc(ring, sizeof *c->sent_ns));
    if (!options.redis) {
      uint32_t id = introduce(c->fd);
      /* The introduction's BIND had id 1; calls go on behind it. */
      c->next_id = 1;
      if (i == 0) make_rpc_request(id);
    } else if (i == 0) {
      prepare_redis(c->fd);
    }
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) != 0) fail("epoll");
  }

  uint64_t start = now_ns(), quiet_since = start, deadline = 0;
  uint64_t warm = start + (uint64_t)(options.warmup * 1e9);
  struct usage before = {0}, after = {0};
  struct epoll_event events[EVENTS];
  if (options.rate == 0) {
    for (int i = 0; i < options.connections; i++) {
      for (int j = 0; j < options.outstanding; j++) issue(&connections[i], start);
      flush(&connections[i]);
    }
  }
  for (;;) {
    uint64_t now = now_ns();
    if (!measuring && !stopping && now >= warm) {
      measuring = true;
      before = usage_now();
      deadline = now + (uint64_t)(options.duration * 1e9);
      if (options.count > 0) issue_limit = issued + options.count;
    }
    bool all_answered = issued == completed;
    if (measuring && (options.count > 0 ? issued >= issue_limit && all_answered : now >= deadline)) {
      after = usage_now();
      measuring = false;
      stopping = true;
    }
    if (stopping && all_answered) break;
    if (options.rate > 0) issue_due(start, now);
    bool spinning = options.rate > 0 || (options.spin_ns > 0 && now - quiet_since < options.spin_ns);
    int count = epoll_wait(epoll_fd, events, EVENTS, spinning ? 0 : 100);
    if (count > 0) quiet_since = now;
    for (int i = 0; i < count; i++) {
      struct connection *c = events[i].data.ptr;
      if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(c);
      if (events[i].events & EPOLLOUT) flush(c);
    }
  }
  report(before, after);
  return 0;
}
