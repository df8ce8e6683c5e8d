// What this machine can do at most, on all its cores at once: bytes read from memory, and
// multiplications with an addition (MAC) of float32, 8-bit integers and bfloat16, a second.
//
// Each figure is the best of some trials; a trial is the sum of what the threads do each second
// while all of them run.

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

#include "vector.h"

#if defined(__AMX_INT8__) && defined(__AMX_BF16__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#define SPARKTTS_AMX 1
#endif

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kTrials = 5;
constexpr double kSeconds = 0.15;       // of a trial
constexpr int kSums = 12;               // independent: more than a core has in flight

#if defined(__AVX512F__)
typedef float Floats __attribute__((vector_size(64)));
#elif defined(__AVX2__)
typedef float Floats __attribute__((vector_size(32)));
#else
typedef float Floats __attribute__((vector_size(16)));
#endif
constexpr int kFloats = sizeof(Floats) / sizeof(float);

// The compiler may not know what `value` is any more, nor leave it out.
template <typename T>
inline void keep(T& value) {
  asm volatile("" : : "r"(&value) : "memory");
}

// The best of some trials of the sum over `threads` of what work(thread) does in a second. A call
// of `work` returns how much it did, in some milliseconds at most.
template <typename Work>
double best_rate(int threads, Work work) {
  double best = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::vector<double> rates(threads);
    std::vector<std::thread> workers;
    std::atomic<int> waiting{threads};
    for (int t = 0; t < threads; ++t) {
      workers.emplace_back([&, t] {
        work(t);                        // its memory is in place, its clock up
        --waiting;
        while (waiting) std::this_thread::yield();
        double done = 0, elapsed = 0;
        const auto began = Clock::now();
        while (elapsed < kSeconds) {
          done += work(t);
          elapsed = std::chrono::duration<double>(Clock::now() - began).count();
        }
        rates[t] = done / elapsed;
      });
    }
    for (auto& worker : workers) worker.join();
    double sum = 0;
    for (double rate : rates) sum += rate;
    best = std::max(best, sum);
  }
  return best;
}

double read_part(const uint8_t* data, int64_t bytes) {
  typedef uint64_t Words __attribute__((vector_size(64)));
  constexpr int kStreams = 4;
  Words sums[kStreams] = {};
  const int64_t stride = bytes / kStreams;
  for (int64_t i = 0; i < stride; i += sizeof(Words))
    for (int s = 0; s < kStreams; ++s) sums[s] ^= *(const Words*)(data + s * stride + i);
  for (auto& sum : sums) keep(sum);
  return double(stride) * kStreams;
}

double multiply_floats() {
  constexpr int kSteps = 20000;
  Floats sums[kSums], factor = Floats{} + 0.999f, term = Floats{} + 0.001f;
  for (int s = 0; s < kSums; ++s) sums[s] = Floats{} + float(s);
  keep(factor);
  keep(term);
  for (int n = 0; n < kSteps; ++n)
    for (auto& sum : sums) sum = sum * factor + term;
  for (auto& sum : sums) keep(sum);
  return double(kSteps) * kSums * kFloats;
}

double multiply_bytes() {
  constexpr int kSteps = 20000;
  uint8_t bytes[8][64] = {};            // not the same in each step, else it is computed once
  const int8_t x[4] = {1, -2, 3, -4};
  keep(bytes);
  sparktts::i32x16 sums[kSums];
  for (int s = 0; s < kSums; ++s) sums[s] = sparktts::broadcast(s);     // equal ones are merged
  for (int n = 0; n < kSteps; ++n) {
    const auto weights = sparktts::load<sparktts::u8x64>(bytes[n % 8]);
    for (auto& sum : sums) sum = sparktts::dot4(sum, weights, x);
  }
  sparktts::i32x16 total = {};
  for (auto& sum : sums) total += sum;
  keep(total);
  return double(kSteps) * kSums * 64;
}

#if SPARKTTS_AMX
struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

template <bool bf16>
double multiply_tiles() {
  constexpr int kSteps = 5000;
  alignas(64) static const int8_t ones[1024] = {1};
  TileConfig config;
  for (int t = 0; t < 8; ++t) {
    config.row_bytes[t] = 64;
    config.rows[t] = 16;
  }
  asm volatile("" : : "r"(&config) : "memory");     // GCC 12 thinks that not all of it is read
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, ones, 64);
  _tile_loadd(5, ones, 64);
  _tile_loadd(6, ones, 64);
  _tile_loadd(7, ones, 64);
  for (int n = 0; n < kSteps; ++n) {
    if (bf16) {
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    } else {
      _tile_dpbssd(0, 4, 6);
      _tile_dpbssd(1, 4, 7);
      _tile_dpbssd(2, 5, 6);
      _tile_dpbssd(3, 5, 7);
    }
  }
  alignas(64) int32_t sums[256];
  _tile_stored(0, sums, 64);
  keep(sums);
  _tile_release();
  return double(kSteps) * 4 * 16 * 16 * (bf16 ? 32 : 64);
}

bool tiles_permitted() {
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#endif

}  // namespace

extern "C" {

// Bytes a second that all threads together read from `bytes` of memory, far more than the caches
// hold, in huge pages where the system has them; 0 where there is not so much memory.
double read_bandwidth(int threads, int64_t bytes) {
  void* memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 0;
#if defined(MADV_HUGEPAGE)
  madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  std::memset(memory, 1, bytes);
  const int64_t part = bytes / threads / 4096 * 4096;
  const double best = best_rate(
      threads, [&](int t) { return read_part((const uint8_t*)memory + t * part, part); });
  munmap(memory, bytes);
  return best;
}

double float_macs(int threads) {
  return best_rate(threads, [](int) { return multiply_floats(); });
}

// With the vector instruction that the kernels use (`dot4`).
double int8_macs(int threads) {
  return best_rate(threads, [](int) { return multiply_bytes(); });
}

// With AMX tiles; 0 where the processor has none, or the system does not allow them.
double int8_tile_macs(int threads) {
#if SPARKTTS_AMX
  if (tiles_permitted()) return best_rate(threads, [](int) { return multiply_tiles<false>(); });
#endif
  (void)threads;
  return 0;
}

double bf16_tile_macs(int threads) {
#if SPARKTTS_AMX
  if (tiles_permitted()) return best_rate(threads, [](int) { return multiply_tiles<true>(); });
#endif
  (void)threads;
  return 0;
}
}
