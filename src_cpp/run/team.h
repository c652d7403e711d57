// The threads of one stream, which work in step: they meet at barriers a few times per sample.
#pragma once

#include <atomic>
#include <stdint.h>

#if defined(_WIN32)
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#elif !defined(__wasm__)
#include <pthread.h>
#endif

namespace linnet {

constexpr uint32_t kMaxThreads = 16;

constexpr bool threads_in_range(uint32_t n_threads) { return n_threads >= 1 && n_threads <= kMaxThreads; }

struct Nothing {};

// The caller is thread 0; the others are the team's own. A thread that waits first spins, then yields, then sleeps, so
// that nobody sleeps within a sample and everybody soon after the last one.
class Team {
 public:
  using Work = void (*)(void* context, uint32_t thread);

  // Start n_threads - 1 threads. False where the system refuses one; errno says why, and none is left.
  bool start(uint32_t n_threads, Work work, void* context);

  // Run work(context, thread) on every thread, thread 0 being the caller; returns when all have returned. What the
  // caller wrote before, every thread sees.
  void run();

  // Within work: wait until every thread has come here as often as this one. What they wrote before, this one sees.
  void barrier(uint32_t thread);

  // End the threads. Not while `run` runs.
  void stop();

 private:
  // One writer each; far enough apart that no cache line, nor a prefetched pair of them, has two.
  struct alignas(64) Arrivals {
    std::atomic<uint32_t> count{0};
    char apart[124];
  };

#if defined(_WIN32)
  using Thread = HANDLE;
  using Mutex = SRWLOCK;
  using Condition = CONDITION_VARIABLE;
  static DWORD WINAPI entry(void* member);
#elif defined(__wasm__)  // which has one thread: nobody ever waits
  using Thread = Nothing;
  using Mutex = Nothing;
  using Condition = Nothing;
#else
  using Thread = pthread_t;
  using Mutex = pthread_mutex_t;
  using Condition = pthread_cond_t;
  static void* entry(void* member);
#endif

  struct Member {
    Team* team;
    uint32_t number;
    Thread handle;
  };

  int start_thread(Member* member);  // 0 or an errno
  void work_until_stopped(uint32_t thread);
  bool arrived(uint32_t thread, uint32_t count) const;
  void wait_for(uint32_t thread, uint32_t count);
  void sleep_until_arrived(uint32_t thread, uint32_t count);
  void wake_sleepers();

  Arrivals arrivals_[kMaxThreads];
  std::atomic<uint32_t> sleepers_{0};
  uint32_t n_threads_ = 0;
  bool stopping_ = false;
  Work work_ = nullptr;
  void* context_ = nullptr;
  Member members_[kMaxThreads];
  Mutex mutex_;
  Condition condition_;
};

}  // namespace linnet
