// A thread pool for the tasks of one kernel. Between kernels its threads spin, then sleep: a decode
// step calls a kernel every hundred microseconds, and waking a thread takes about as long.
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
  // The pool of the process; never destroyed, since its threads live as long as the process.
  static Pool& shared() {
    static Pool* pool = new Pool;
    return *pool;
  }

  // Number of threads, the caller's included.
  int size() const { return static_cast<int>(workers_.size()) + 1; }

  void resize(int threads) {
    std::lock_guard<std::mutex> lock(caller_);
    while (size() < threads) workers_.emplace_back([this] { work_loop(); });
  }

  // Let the threads sleep without spinning: no kernel follows for a while, and the thread that
  // waits for the result needs a core.
  void suspend() { suspended_.store(true); }

  // Call work(i) for every i in 0 .. tasks - 1, on any thread; wait for the last.
  template <typename Work>
  void run(int64_t tasks, const Work& work) {
    if (tasks <= 1 || workers_.empty()) {
      for (int64_t i = 0; i < tasks; ++i) work(i);
      return;
    }
    std::lock_guard<std::mutex> lock(caller_);
    call_ = [](const void* work, int64_t i) { (*static_cast<const Work*>(work))(i); };
    work_ = &work;
    tasks_ = tasks;
    suspended_.store(false, std::memory_order_relaxed);
    unfinished_.store(tasks, std::memory_order_relaxed);
    unclaimed_.store(tasks);
    if (asleep_.load()) {
      std::lock_guard<std::mutex> sleep_lock(sleep_);
      wake_.notify_all();
    }
    while (run_one()) {}
    while (unfinished_.load(std::memory_order_acquire)) relax();
  }

 private:
  static constexpr int kMaxSpins = 1000;    // checks for work before sleeping, about half a ms

  static void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  // Claim a task and run it. `call_`, `work_` and `tasks_` are valid until the last claimed task is
  // finished.
  bool run_one() {
    int64_t unclaimed = unclaimed_.load();
    while (unclaimed > 0)
      if (unclaimed_.compare_exchange_weak(unclaimed, unclaimed - 1)) {
        call_(work_, tasks_ - unclaimed);     // ascending, as weights lie and are prefetched
        unfinished_.fetch_sub(1, std::memory_order_release);
        return true;
      }
    return false;
  }

  void work_loop() {
    for (;;) {
      int idle = 0;
      while (idle < kMaxSpins && !(idle && suspended_.load(std::memory_order_relaxed)))
        if (run_one()) {
          idle = 0;
        } else {
          for (int i = 0; i < 20 && unclaimed_.load(std::memory_order_relaxed) <= 0; ++i) relax();
          // without this MindSpore's threads wait 4 ms for the core
          if (++idle % 2 == 0) sched_yield();
        }
      std::unique_lock<std::mutex> lock(sleep_);
      asleep_.fetch_add(1);
      wake_.wait(lock, [this] { return unclaimed_.load() > 0; });
      asleep_.fetch_sub(1);
    }
  }

  std::vector<std::thread> workers_;
  std::mutex caller_, sleep_;
  std::condition_variable wake_;
  std::atomic<bool> suspended_{false};
  std::atomic<int> asleep_{0};
  std::atomic<int64_t> unclaimed_{0}, unfinished_{0};    // tasks
  void (*call_)(const void* work, int64_t task) = nullptr;
  const void* work_ = nullptr;
  int64_t tasks_ = 0;
};

template <typename Work>
void parallel(int64_t tasks, const Work& work) {
  Pool::shared().run(tasks, work);
}

// work(first, last) for consecutive ranges of `step` out of 0 .. count - 1.
template <typename Work>
void parallel_ranges(int64_t count, int64_t step, const Work& work) {
  parallel((count + step - 1) / step, [&](int64_t i) {
    const int64_t first = i * step;
    work(first, first + step < count ? first + step : count);
  });
}

}  // namespace sparktts
