// How MindSpore's ops.Custom ("aot") calls a kernel, and memory for a kernel's intermediate values.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

// `tensors` holds the inputs, then the output; MindSpore raises an error unless the result is 0.
#define KERNEL(name)                                                      \
  extern "C" int name([[maybe_unused]] int count, void** tensors,         \
                      [[maybe_unused]] int* ranks, int64_t** shapes,      \
                      [[maybe_unused]] const char** dtypes, void*, void*)

namespace sparktts {

template <typename T>
T* at(void** tensors, int index) {
  return static_cast<T*>(tensors[index]);
}

// Memory for one kernel call, reused by later calls: fresh pages cost more than most kernels.
class Scratch {
 public:
  explicit Scratch(int64_t bytes) : size_(bytes + 63) {
    std::lock_guard<std::mutex> lock(mutex());
    auto& free = free_blocks();
    for (size_t i = 0; i < free.size(); ++i)
      if (free[i].size >= size_) {
        block_ = std::move(free[i]);
        free.erase(free.begin() + i);
        return;
      }
    if (!free.empty()) free.pop_back();     // too small: replaced, so that they do not accumulate
    size_ = (size_ + kPage - 1) / kPage * kPage;
    block_ = {Memory(static_cast<char*>(std::aligned_alloc(kPage, size_)), &std::free), size_};
    if (!block_.memory) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
    if (size_ > 2 * kPage) madvise(block_.memory.get(), size_, MADV_HUGEPAGE);
#endif
  }
  ~Scratch() {
    std::lock_guard<std::mutex> lock(mutex());
    free_blocks().push_back(std::move(block_));
  }
  Scratch(const Scratch&) = delete;

  template <typename T>
  T* as(int64_t offset_bytes = 0) {
    const auto address = reinterpret_cast<uintptr_t>(block_.memory.get());
    return reinterpret_cast<T*>(((address + 63) & ~uintptr_t{63}) + offset_bytes);
  }

 private:
  static constexpr int64_t kPage = 2 << 20;
  using Memory = std::unique_ptr<char, decltype(&std::free)>;
  struct Block {
    Memory memory{nullptr, &std::free};
    int64_t size = 0;
  };
  static std::mutex& mutex() {
    static std::mutex* m = new std::mutex;
    return *m;
  }
  static std::vector<Block>& free_blocks() {
    static auto* blocks = new std::vector<Block>;
    return *blocks;
  }
  int64_t size_;
  Block block_;
};

}  // namespace sparktts
