// Rows times a packed matrix: the one product behind linear layers, convolutions and attention.
//
// A matrix (K inputs, N outputs) is packed in panels of 32 outputs, so that it is read from front to back once for up to
// kRows rows. A tile is some rows times one panel, summed in registers over all of K, each row by itself in the same order
// whatever its company is: a row's result does not depend on how many others there are.
//
//   float32   panel: K x 32 weights.
//   int8      panel: a 64-input block after another: 32 bfloat16 scales, then 16 x 32 x 4 weights + 128 (four inputs side
//             by side, as `dot4` reads them). Rows are brought to int8 with a scale for each block of 64 too.
#pragma once

#include "kernel.h"
#include "pool.h"
#include "vector.h"

namespace sparktts {

constexpr int kPanel = 2 * kLanes;
constexpr int kBlock = 64;
constexpr int64_t kBlockBytes = kPanel * 2 + kPanel * kBlock;
constexpr int64_t kTaskBytes = 128 << 10;     // of weights: some microseconds, longer than handing out a task takes
#if defined(__AVX512F__)
constexpr int kRows = 10, kRows8 = 6;       // as many as have their sums in registers
#else
constexpr int kRows = 3, kRows8 = 2;
#endif

inline int64_t panels(int64_t outputs) { return (outputs + kPanel - 1) / kPanel; }
inline int64_t blocks(int64_t inputs) { return (inputs + kBlock - 1) / kBlock; }

// The rows of a product: row r begins at x + r * stride; for a convolution `taps` stretches of `width` follow each other
// at a distance of `tap_stride`.
struct Rows {
  const float* x;
  int64_t stride, width, taps = 1, tap_stride = 0;

  static constexpr int kMost = kRows;
  Rows from(int64_t row) const { return {x + row * stride, stride, width, taps, tap_stride}; }

  // Rows 0 .. R - 1 times one panel whose row k begins at w + k * w_stride -> out [R, 32]
  template <int R>
  void tile(const void* panel, float* out, int64_t w_stride = kPanel) const {
    const float* w = static_cast<const float*>(panel);
    f32x16 sums[R][2] = {};
    for (int64_t tap = 0; tap < taps; ++tap) {
      const float* row = x + tap * tap_stride;
#pragma GCC unroll 2
      for (int64_t k = 0; k < width; ++k, w += w_stride) {
        if (R <= 4) __builtin_prefetch(w + 32 * kPanel), __builtin_prefetch(w + 32 * kPanel + kLanes);
        const f32x16 w0 = load<f32x16>(w), w1 = load<f32x16>(w + kLanes);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
          const f32x16 v = broadcast(row[r * stride + k]);
          sums[r][0] += v * w0;
          sums[r][1] += v * w1;
        }
      }
    }
    for (int r = 0; r < R; ++r) {
      store(out + r * kPanel, sums[r][0]);
      store(out + r * kPanel + kLanes, sums[r][1]);
    }
  }
};

// Rows brought to int8: values [rows, blocks * 64], for each block a scale and what a sum starts from, -128 times the sum
// of the block's values, because the packed weights are 128 too large.
struct Rows8 {
  const int8_t* x;
  const float* scales;
  const int32_t* starts;
  int64_t count;            // blocks a row

  static constexpr int kMost = kRows8;
  static int64_t bytes(int64_t rows, int64_t inputs) { return rows * blocks(inputs) * (kBlock + 8); }
  Rows8 from(int64_t row) const { return {x + row * count * kBlock, scales + row * count, starts + row * count, count}; }

  // Lay out in `memory` (of `bytes`) for rows that `fill` writes.
  Rows8(void* memory, int64_t rows, int64_t inputs) : count(blocks(inputs)) {
    x = static_cast<int8_t*>(memory);
    scales = reinterpret_cast<const float*>(x + rows * count * kBlock);
    starts = reinterpret_cast<const int32_t*>(scales + rows * count);
  }
  Rows8(const int8_t* x, const float* scales, const int32_t* starts, int64_t count)
      : x(x), scales(scales), starts(starts), count(count) {}

  void fill(int64_t row, const float* values, int64_t inputs) const {
    int8_t* out = const_cast<int8_t*>(x) + row * count * kBlock;
    for (int64_t b = 0; b < count; ++b, out += kBlock) {
      alignas(64) float block[kBlock] = {};
      std::memcpy(block, values + b * kBlock, std::min<int64_t>(kBlock, inputs - b * kBlock) * sizeof(float));
      float top = 0.0f;
#pragma omp simd reduction(max : top)
      for (int i = 0; i < kBlock; ++i) top = std::max(top, std::fabs(block[i]));
      const float to_steps = top > 0.0f ? 127.0f / top : 0.0f;
      int32_t sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int i = 0; i < kBlock; ++i) {
        const auto step = static_cast<int32_t>(std::nearbyint(block[i] * to_steps));
        out[i] = static_cast<int8_t>(step);
        sum += step;
      }
      const_cast<float*>(scales)[row * count + b] = top / 127.0f;
      const_cast<int32_t*>(starts)[row * count + b] = -128 * sum;
    }
  }

  template <int R>
  void tile(const void* panel, float* out) const {
    const auto* w = static_cast<const uint8_t*>(panel);
    f32x16 sums[R][2] = {};
    for (int64_t b = 0; b < count; ++b) {
      const f32x16 scale0 = widen_bf16(reinterpret_cast<const uint16_t*>(w));
      const f32x16 scale1 = widen_bf16(reinterpret_cast<const uint16_t*>(w) + kLanes);
      w += 2 * kPanel;
      i32x16 dots[R][2];
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) dots[r][0] = dots[r][1] = broadcast(starts[r * count + b]);
      const int8_t* four = x + b * kBlock;
#pragma GCC unroll 4
      for (int q = 0; q < kBlock / 4; ++q, w += 4 * kPanel, four += 4) {
        if (R <= 4) __builtin_prefetch(w + 4096), __builtin_prefetch(w + 4160);
        const u8x64 w0 = load<u8x64>(w), w1 = load<u8x64>(w + 64);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
          dots[r][0] = dot4(dots[r][0], w0, four + r * count * kBlock);
          dots[r][1] = dot4(dots[r][1], w1, four + r * count * kBlock);
        }
      }
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const f32x16 scale = broadcast(scales[r * count + b]);
        sums[r][0] += to_float(dots[r][0]) * (scale0 * scale);
        sums[r][1] += to_float(dots[r][1]) * (scale1 * scale);
      }
    }
    for (int r = 0; r < R; ++r) {
      store(out + r * kPanel, sums[r][0]);
      store(out + r * kPanel + kLanes, sums[r][1]);
    }
  }
};

// A tile of `rows` rows, at most kMost.
template <int R, typename Operand, typename... Stride>
inline void tile_of(const Operand& x, int64_t rows, const void* panel, float* out, Stride... w_stride) {
  if constexpr (R > 0) {
    if (rows == R) return x.template tile<R>(panel, out, w_stride...);
    tile_of<R - 1>(x, rows, panel, out, w_stride...);
  }
}

// Every tile of `rows` rows of x times the panels first .. last - 1 of a packed matrix, on all threads:
// finish(sums [n, 32], row, n, panel) takes each away.
template <typename Operand, typename Finish>
void multiply(const Operand& x, int64_t rows, const char* packed, int64_t panel_bytes, int64_t first, int64_t last,
              const Finish& finish) {
  constexpr int64_t most = Operand::kMost;
  const int64_t count = last - first, wanted = 8 * Pool::shared().size();     // tasks enough to share evenly
  // a task is several panels, or when there are few, one panel and a stretch of the rows
  const int64_t group = std::max<int64_t>(1, std::min(kTaskBytes / panel_bytes, count / wanted));
  const int64_t groups = (count + group - 1) / group, pieces = (wanted + groups - 1) / groups;
  const int64_t stretch = std::max(most, (rows + pieces * most - 1) / (pieces * most) * most);
  const int64_t stretches = (rows + stretch - 1) / stretch;
  parallel(groups * stretches, [&](int64_t i) {
    const int64_t begin = i % stretches * stretch, end = std::min(rows, begin + stretch);
    const int64_t first_panel = first + i / stretches * group, last_panel = std::min(last, first_panel + group);
    alignas(64) float sums[most * kPanel];
    for (int64_t panel = first_panel; panel < last_panel; ++panel)
      for (int64_t row = begin; row < end; row += most) {
        const int64_t n = std::min(most, end - row);
        tile_of<most>(x.from(row), n, packed + panel * panel_bytes, sums);
        finish(sums, row, n, panel);
      }
  });
}

}  // namespace sparktts
