#include "run/team.h"

#include <errno.h>

#if !defined(_WIN32) && !defined(__wasm__)
#include <sched.h>
#include <signal.h>
#endif

#include "cpu/float_mode.h"
#include "cpu/pause.h"

namespace linnet {
namespace {

// About 50 us of pauses, far more than a barrier takes while every thread has a core; then, where they have not, the
// core is offered to whoever else waits for it; then sleep, from which to wake takes as long again.
constexpr int kPauses = 2000;
constexpr int kYields = 20;

#if defined(_WIN32)

void init(SRWLOCK* mutex, CONDITION_VARIABLE* condition) {
  InitializeSRWLock(mutex);
  InitializeConditionVariable(condition);
}
void destroy(SRWLOCK*, CONDITION_VARIABLE*) {}
void lock(SRWLOCK* mutex) { AcquireSRWLockExclusive(mutex); }
void unlock(SRWLOCK* mutex) { ReleaseSRWLockExclusive(mutex); }
void wait(CONDITION_VARIABLE* condition, SRWLOCK* mutex) { SleepConditionVariableSRW(condition, mutex, INFINITE, 0); }
void wake_all(CONDITION_VARIABLE* condition) { WakeAllConditionVariable(condition); }
void yield() { SwitchToThread(); }
void join(HANDLE thread) {
  WaitForSingleObject(thread, INFINITE);
  CloseHandle(thread);
}

#elif defined(__wasm__)

void init(Nothing*, Nothing*) {}
void destroy(Nothing*, Nothing*) {}
void lock(Nothing*) {}
void unlock(Nothing*) {}
void wait(Nothing*, Nothing*) {}
void wake_all(Nothing*) {}
void yield() {}
void join(Nothing) {}

#else

void init(pthread_mutex_t* mutex, pthread_cond_t* condition) {
  pthread_mutex_init(mutex, nullptr);
  pthread_cond_init(condition, nullptr);
}
void destroy(pthread_mutex_t* mutex, pthread_cond_t* condition) {
  pthread_cond_destroy(condition);
  pthread_mutex_destroy(mutex);
}
void lock(pthread_mutex_t* mutex) { pthread_mutex_lock(mutex); }
void unlock(pthread_mutex_t* mutex) { pthread_mutex_unlock(mutex); }
void wait(pthread_cond_t* condition, pthread_mutex_t* mutex) { pthread_cond_wait(condition, mutex); }
void wake_all(pthread_cond_t* condition) { pthread_cond_broadcast(condition); }
void yield() { sched_yield(); }
void join(pthread_t thread) { pthread_join(thread, nullptr); }

#endif

}  // namespace

#if defined(_WIN32)

DWORD WINAPI Team::entry(void* member) {
  static_cast<Member*>(member)->team->work_until_stopped(static_cast<Member*>(member)->number);
  return 0;
}

int Team::start_thread(Member* member) {
  member->handle = CreateThread(nullptr, 0, entry, member, 0, nullptr);
  return member->handle == nullptr ? EAGAIN : 0;
}

#elif defined(__wasm__)

int Team::start_thread(Member*) { return ENOTSUP; }

#else

void* Team::entry(void* member) {
  static_cast<Member*>(member)->team->work_until_stopped(static_cast<Member*>(member)->number);
  return nullptr;
}

// The program's signals are for its own threads.
int Team::start_thread(Member* member) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int error = pthread_create(&member->handle, nullptr, entry, member);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return error;
}

#endif

bool Team::start(uint32_t n_threads, Work work, void* context) {
  init(&mutex_, &condition_);
  work_ = work;
  context_ = context;
  n_threads_ = n_threads;
  for (uint32_t t = 1; t < n_threads; ++t) {
    members_[t].team = this;
    members_[t].number = t;
    const int error = start_thread(&members_[t]);
    if (error == 0) continue;
    // Those that run wait for all: the rest arrive by proxy.
    for (uint32_t missing = t; missing < n_threads; ++missing) arrivals_[missing].count.store(1);
    stopping_ = true;
    barrier(0);
    for (uint32_t s = 1; s < t; ++s) join(members_[s].handle);
    destroy(&mutex_, &condition_);
    errno = error;
    return false;
  }
  return true;
}

void Team::run() {
  barrier(0);
  work_(context_, 0);
  barrier(0);
}

void Team::stop() {
  stopping_ = true;
  barrier(0);
  for (uint32_t t = 1; t < n_threads_; ++t) join(members_[t].handle);
  destroy(&mutex_, &condition_);
}

void Team::work_until_stopped(uint32_t thread) {
  const IeeeFloatMode mode;
  for (;;) {
    barrier(thread);
    if (stopping_) return;
    work_(context_, thread);
    barrier(thread);
  }
}

// A sleeper counts itself before it looks a last time, and who arrives looks for sleepers afterwards: in the one order
// of these four steps (seq_cst), one of the two sees the other.
void Team::barrier(uint32_t thread) {
  const uint32_t count = arrivals_[thread].count.load(std::memory_order_relaxed) + 1;
  arrivals_[thread].count.store(count);
  if (sleepers_.load() != 0) wake_sleepers();
  for (uint32_t t = 0; t < n_threads_; ++t) wait_for(t, count);
}

// Counts wrap around, but no two threads are ever more than two arrivals apart.
bool Team::arrived(uint32_t thread, uint32_t count) const {
  return static_cast<int32_t>(arrivals_[thread].count.load() - count) >= 0;
}

void Team::wait_for(uint32_t thread, uint32_t count) {
  for (int n = 0; n < kPauses; ++n) {
    if (arrived(thread, count)) return;
    pause_briefly();
  }
  for (int n = 0; n < kYields; ++n) {
    if (arrived(thread, count)) return;
    yield();
  }
  sleep_until_arrived(thread, count);
}

void Team::sleep_until_arrived(uint32_t thread, uint32_t count) {
  lock(&mutex_);
  sleepers_.fetch_add(1);
  while (!arrived(thread, count)) wait(&condition_, &mutex_);
  sleepers_.fetch_sub(1);
  unlock(&mutex_);
}

void Team::wake_sleepers() {
  lock(&mutex_);
  wake_all(&condition_);
  unlock(&mutex_);
}

}  // namespace linnet
