// Rows times a packed matrix: the one product behind linear layers, convolutions and attention.
//
// A matrix (K inputs, N outputs) is packed in panels of 32 outputs, so that it is read from front
// to back once for up to kRows rows. A tile is some rows times one panel, summed in registers over
// all of K, each row in the same order for any number of rows: results are batch-invariant.
//
// Here the float32 product: a panel is K x 32 weights. quantized.h has weights of 8 and 4 bits.
#pragma once

#include "kernel.h"
#include "pool.h"
#include "vector.h"

namespace sparktts {

constexpr int kPanel = 2 * kLanes;
constexpr int64_t kTaskBytes = 128 << 10;   // of weights: microseconds, more than a task's overhead
#if defined(__AVX512F__)
constexpr int kRows = 10;                   // as many as have their sums in registers
#else
constexpr int kRows = 3;
#endif

inline int64_t panels(int64_t outputs) { return (outputs + kPanel - 1) / kPanel; }

// The rows of a product: row r begins at x + r * stride and has `taps` segments of `width`, at a
// distance of `tap_stride` (more than one for convolutions).
struct Rows {
  const float* x;
  int64_t stride, width, taps = 1, tap_stride = 0;

  static constexpr int kMaxRows = kRows;
  Rows from(int64_t row) const { return {x + row * stride, stride, width, taps, tap_stride}; }

  // Rows 0 .. R - 1 times one panel -> out [R, 32]
  template <int R>
  void tile(const void* panel, float* out) const {
    const float* w = static_cast<const float*>(panel);
    f32x16 sums[R][2] = {};
    for (int64_t tap = 0; tap < taps; ++tap) {
      const float* row = x + tap * tap_stride;
#pragma GCC unroll 2
      for (int64_t k = 0; k < width; ++k, w += kPanel) {
        if (R <= 4) {
          __builtin_prefetch(w + 32 * kPanel);
          __builtin_prefetch(w + 32 * kPanel + kLanes);
        }
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

// The tile of `rows` rows, at most R; the number becomes a template argument.
template <int R, typename Operand, typename... Settings>
inline void run_tile(const Operand& x, int64_t rows, const void* panel, float* out,
                     Settings... settings) {
  if constexpr (R > 0) {
    if (rows == R) return x.template tile<R>(panel, out, settings...);
    run_tile<R - 1>(x, rows, panel, out, settings...);
  }
}

// Every tile of `rows` rows of x times the panels first .. last - 1 of a packed matrix, on all
// threads: epilogue(sums [n, 32], row, n, panel) stores each.
template <typename Operand, typename Epilogue>
void multiply(const Operand& x, int64_t rows, const char* packed, int64_t panel_bytes,
              int64_t first, int64_t last, const Epilogue& epilogue) {
  constexpr int64_t max_rows = Operand::kMaxRows;
  const int64_t count = last - first;
  const int64_t wanted = 8 * Pool::shared().size();     // tasks, to balance the threads
  // a task is several panels, or if there are few, one panel and some of the rows
  const int64_t task_panels =
      std::max<int64_t>(1, std::min(kTaskBytes / panel_bytes, count / wanted));
  const int64_t groups = (count + task_panels - 1) / task_panels;
  const int64_t splits = (wanted + groups - 1) / groups;
  const int64_t split_rows = (rows + splits * max_rows - 1) / (splits * max_rows) * max_rows;
  const int64_t task_rows = std::max(max_rows, split_rows);
  const int64_t row_blocks = (rows + task_rows - 1) / task_rows;
  parallel(groups * row_blocks, [&](int64_t i) {
    const int64_t begin = i % row_blocks * task_rows, end = std::min(rows, begin + task_rows);
    const int64_t first_panel = first + i / row_blocks * task_panels;
    const int64_t last_panel = std::min(last, first_panel + task_panels);
    alignas(64) float sums[max_rows * kPanel];
    for (int64_t panel = first_panel; panel < last_panel; ++panel)
      for (int64_t row = begin; row < end; row += max_rows) {
        const int64_t n = std::min(max_rows, end - row);
        run_tile<max_rows>(x.from(row), n, packed + panel * panel_bytes, sums);
        epilogue(sums, row, n, panel);
      }
  });
}

// An epilogue: y [rows, outputs] = output(sum, column, index in y)
template <typename Output>
auto store_outputs(float* y, int64_t outputs, const Output& output) {
  return [=](const float* sums, int64_t row, int64_t n, int64_t panel) {
    const int64_t first = panel * kPanel, width = std::min<int64_t>(kPanel, outputs - first);
    for (int64_t r = 0; r < n; ++r) {
      const int64_t start = (row + r) * outputs + first;
      for (int64_t i = 0; i < width; ++i)
        y[start + i] = output(sums[r * kPanel + i], first + i, start + i);
    }
  };
}

}  // namespace sparktts
