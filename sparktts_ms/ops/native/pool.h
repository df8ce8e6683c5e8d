// Threads that share the work of one kernel. Between kernels they watch for the next one, first awake, then asleep: the
// decode step calls a kernel every hundred microseconds, and waking a sleeping thread takes about as long.
#pragma once

#include <sched.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace sparktts {

class Pool {
 public:
  // The one pool of the process. Its threads live as long as the process does, so it is never destroyed.
  static Pool& shared() {
    static Pool* pool = new Pool;
    return *pool;
  }

  // Threads that work at once, the caller's included.
  int size() const { return static_cast<int>(workers_.size()) + 1; }

  void resize(int threads) {
    std::lock_guard<std::mutex> one_caller(caller_);
    while (size() < threads) workers_.emplace_back([this] { serve(); });
  }

  // Nothing follows for a while: fall asleep now, so that whoever waits for the result finds a free core.
  void rest() { resting_.store(true); }

  // Call work(i) for every i in 0 .. tasks - 1, in any order, on any thread; return when all are done.
  template <typename Work>
  void run(int64_t tasks, const Work& work) {
    if (tasks <= 1 || workers_.empty()) {
      for (int64_t i = 0; i < tasks; ++i) work(i);
      return;
    }
    std::lock_guard<std::mutex> one_caller(caller_);
    call_ = [](const void* context, int64_t i) { (*static_cast<const Work*>(context))(i); };
    context_ = &work;
    resting_.store(false, std::memory_order_relaxed);
    open_.store(tasks, std::memory_order_relaxed);
    left_.store(tasks);
    if (asleep_.load()) {
      std::lock_guard<std::mutex> lock(sleep_);
      wake_.notify_all();
    }
    while (take_one()) {}
    while (open_.load(std::memory_order_acquire)) relax();
  }

 private:
  static constexpr int kPatience = 1000;    // times to look for work before falling asleep: half a millisecond or so

  static void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  // Claim a task and do it. Only a successful claim looks at the call, which lives until its last task is done.
  bool take_one() {
    int64_t left = left_.load();
    while (left > 0)
      if (left_.compare_exchange_weak(left, left - 1)) {
        call_(context_, left - 1);
        open_.fetch_sub(1, std::memory_order_release);
        return true;
      }
    return false;
  }

  void serve() {
    for (;;) {
      int idle = 0;
      while (idle < kPatience && !(idle && resting_.load(std::memory_order_relaxed)))
        if (take_one()) {
          idle = 0;
        } else {
          for (int i = 0; i < 20 && left_.load(std::memory_order_relaxed) <= 0; ++i) relax();
          if (++idle % 2 == 0) sched_yield();       // without it MindSpore's own threads wait for this core for 4 ms
        }
      std::unique_lock<std::mutex> lock(sleep_);
      asleep_.fetch_add(1);
      wake_.wait(lock, [this] { return left_.load() > 0; });
      asleep_.fetch_sub(1);
    }
  }

  std::vector<std::thread> workers_;
  std::mutex caller_, sleep_;
  std::condition_variable wake_;
  std::atomic<bool> resting_{false};
  std::atomic<int> asleep_{0};
  std::atomic<int64_t> left_{0}, open_{0};    // tasks not yet claimed, not yet done
  void (*call_)(const void*, int64_t) = nullptr;
  const void* context_ = nullptr;
};

template <typename Work>
void parallel(int64_t tasks, const Work& work) {
  Pool::shared().run(tasks, work);
}

// The same over 0 .. count - 1 in stretches of `step`: work(first, last).
template <typename Work>
void parallel_ranges(int64_t count, int64_t step, const Work& work) {
  parallel((count + step - 1) / step, [&](int64_t i) {
    const int64_t first = i * step;
    work(first, first + step < count ? first + step : count);
  });
}

}  // namespace sparktts
