#define _GNU_SOURCE
#include "ticker.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// A slice of time ends by a signal to the thread that runs it: only where a slice really lasts that long, so
// that short calls pay two stores and long ones nothing per instruction. SIGURG is the signal, since it is
// ignored unless somebody handles it, and nothing else in the program uses it.

enum {
  kThreadsMax = 256,
  kTickNanoseconds = 1000000,
  // The ticker sleeps for good after so many ticks without a slice.
  kQuietTicks = 50,
};

struct thread {
  /// Odd while a slice runs; each slice has numbers of its own.
  _Atomic uint32_t epoch;
  uint32_t seen;
  pid_t id;
  bool is_used;
};

static struct thread threads[kThreadsMax];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static _Atomic uint32_t asleep;
static bool is_running;

static _Thread_local struct thread *mine;
static void (*volatile handler)(void);

static void on_signal(int number) {
  (void)number;
  int saved = errno;
  if (handler) handler();
  errno = saved;
}

static void leave(void *thread) {
  pthread_mutex_lock(&lock);
  ((struct thread *)thread)->is_used = false;
  pthread_mutex_unlock(&lock);
}

static void *run(void *unused) {
  (void)unused;
  pthread_setname_np(pthread_self(), "rpc-lua-ticker");
  pid_t process = getpid();
  int quiet = 0;
  for (;;) {
    struct timespec tick = {0, kTickNanoseconds};
    nanosleep(&tick, NULL);
    bool any = false;
    pthread_mutex_lock(&lock);
    for (int index = 0; index < kThreadsMax; index++) {
      struct thread *thread = &threads[index];
      if (!thread->is_used) continue;
      uint32_t epoch = atomic_load(&thread->epoch);
      if (epoch != thread->seen) {
        any = true;
        thread->seen = epoch;
      } else if (epoch & 1) {
        any = true;
        // The thread unregisters under the lock before it ends, so that its id is still its own.
        syscall(SYS_tgkill, process, thread->id, SIGURG);
      }
    }
    quiet = any ? 0 : quiet + 1;
    bool sleeps = quiet >= kQuietTicks;
    if (sleeps) {
      // A thread that begins a slice from here on sees this and wakes us; who began before is seen below.
      atomic_store(&asleep, 1);
      for (int index = 0; index < kThreadsMax && sleeps; index++)
        if (threads[index].is_used && atomic_load(&threads[index].epoch) != threads[index].seen) sleeps = false;
    }
    pthread_mutex_unlock(&lock);
    if (sleeps) syscall(SYS_futex, &asleep, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
    if (quiet >= kQuietTicks) {
      atomic_store(&asleep, 0);
      quiet = 0;
    }
  }
  return NULL;
}

static void start(void) {
  pthread_key_create(&key, leave);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGURG, &action, NULL);
  pthread_t thread;
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  is_running = pthread_create(&thread, NULL, run, NULL) == 0;
  if (is_running) pthread_detach(thread);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void ticker_unblock(void) {
  sigset_t urgent;
  sigemptyset(&urgent);
  sigaddset(&urgent, SIGURG);
  pthread_sigmask(SIG_UNBLOCK, &urgent, NULL);
}

static struct thread *join(void) {
  pthread_once(&once, start);
  pthread_mutex_lock(&lock);
  struct thread *found = NULL;
  for (int index = 0; index < kThreadsMax && is_running && !found; index++)
    if (!threads[index].is_used) found = &threads[index];
  if (found) {
    found->id = (pid_t)syscall(SYS_gettid);
    found->is_used = true;
  }
  pthread_mutex_unlock(&lock);
  if (!found) return NULL;
  pthread_setspecific(key, found);
  ticker_unblock();
  mine = found;
  return found;
}

bool ticker_begin(void (*on_tick)(void)) {
  struct thread *thread = mine;
  if (!thread) {
    handler = on_tick;
    thread = join();
    if (!thread) return false;
  }
  atomic_fetch_add(&thread->epoch, 1);
  if (atomic_load(&asleep)) {
    atomic_store(&asleep, 0);
    syscall(SYS_futex, &asleep, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
  }
  return true;
}

void ticker_end(void) {
  if (mine) atomic_fetch_add_explicit(&mine->epoch, 1, memory_order_release);
}
