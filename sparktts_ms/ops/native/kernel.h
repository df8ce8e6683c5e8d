// How MindSpore's ops.Custom ("aot") calls a kernel, and memory for what a kernel needs meanwhile.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <vector>

// Inputs and then the output stand in `tensors`; the result is 0 or MindSpore raises an error.
#define KERNEL(name)                                                                                             \
  extern "C" int name([[maybe_unused]] int count, void** tensors, [[maybe_unused]] int* ranks, int64_t** shapes, \
                      [[maybe_unused]] const char** dtypes, void*, void*)

namespace sparktts {

template <typename T>
T* at(void** tensors, int index) {
  return static_cast<T*>(tensors[index]);
}

inline int64_t elements(const int64_t* shape, int rank) {
  int64_t n = 1;
  for (int i = 0; i < rank; ++i) n *= shape[i];
  return n;
}

// Memory that lasts for one kernel and is then kept for the next: fresh pages cost more than most kernels.
class Scratch {
 public:
  explicit Scratch(int64_t bytes) : size_(bytes + 63) {
    std::lock_guard<std::mutex> lock(mutex());
    auto& spare = spares();
    for (size_t i = 0; i < spare.size(); ++i)
      if (spare[i].size >= size_) {
        block_ = std::move(spare[i]);
        spare.erase(spare.begin() + i);
        return;
      }
    if (!spare.empty()) spare.pop_back();           // too small: replaced, so that at most one a caller is kept
    size_ = (size_ + kPage - 1) / kPage * kPage;
    block_ = {std::unique_ptr<char, decltype(&std::free)>(static_cast<char*>(std::aligned_alloc(kPage, size_)), &std::free), size_};
    if (!block_.memory) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
    if (size_ > 2 * kPage) madvise(block_.memory.get(), size_, MADV_HUGEPAGE);
#endif
  }
  ~Scratch() {
    std::lock_guard<std::mutex> lock(mutex());
    spares().push_back(std::move(block_));
  }
  Scratch(const Scratch&) = delete;

  template <typename T>
  T* as(int64_t offset_bytes = 0) {
    const auto address = (reinterpret_cast<uintptr_t>(block_.memory.get()) + 63) & ~uintptr_t{63};
    return reinterpret_cast<T*>(address + offset_bytes);
  }

 private:
  static constexpr int64_t kPage = 2 << 20;
  struct Block {
    std::unique_ptr<char, decltype(&std::free)> memory{nullptr, &std::free};
    int64_t size = 0;
  };
  static std::mutex& mutex() {
    static std::mutex* m = new std::mutex;
    return *m;
  }
  static std::vector<Block>& spares() {
    static auto* s = new std::vector<Block>;
    return *s;
  }
  int64_t size_;
  Block block_;
};

}  // namespace sparktts
