// Frames [T, C] as the left side of products with packed float32 matrices (gemm.h): a row of the
// product is a window of one frame, or for a convolution of several.
#pragma once

#include "gemm.h"

namespace sparktts {

// Row r of a product: `columns` columns from `first_column` of the frames
// first + r * step + tap * dilation for each tap.
struct Window {
  int64_t first, step, taps, dilation, first_column, columns;
};

struct WindowMatrix {
  Window window;
  const float* packed;      // (taps columns, outputs)
};

class Frames {
 public:
  // Frames that are rows of x already.
  Frames(const float* x, int64_t columns) : columns_(columns), scratch_(0), x_(x) {}

  // Frames to be written.
  Frames(int64_t count, int64_t columns)
      : columns_(columns), scratch_(count * columns * 4), x_(scratch_.as<float>()) {}

  // make(row, out [columns]) writes each.
  template <typename Make>
  Frames(int64_t count, int64_t columns, const Make& make) : Frames(count, columns) {
    const int64_t step = std::max<int64_t>(1, 16384 / columns);
    parallel_ranges(count, step, [&](int64_t first, int64_t last) {
      for (int64_t row = first; row < last; ++row) make(row, this->row(row));
    });
  }

  float* row(int64_t row) { return scratch_.as<float>() + row * columns_; }

  // `rows` rows of windows times each of several matrices with this many outputs:
  // locate(matrix) is a WindowMatrix, epilogue(sums [n, 32], row, n, panel, matrix)
  template <typename Locate, typename Epilogue>
  void multiply(int64_t rows, int64_t matrices, int64_t outputs, const Locate& locate,
                const Epilogue& epilogue) const {
    const int64_t count = panels(outputs), all_panels = matrices * count;
    const int64_t wanted = 8 * Pool::shared().size();       // tasks, to balance the threads
    const int64_t splits = (wanted + all_panels - 1) / all_panels;
    const int64_t task_rows = (rows + splits * kRows - 1) / (splits * kRows) * kRows;
    const int64_t row_blocks = (rows + task_rows - 1) / task_rows;
    parallel(all_panels * row_blocks, [&](int64_t i) {
      const int64_t begin = i % row_blocks * task_rows, end = std::min(rows, begin + task_rows);
      const int64_t panel = i / row_blocks % count, index = i / row_blocks / count;
      const WindowMatrix matrix = locate(index);
      const Rows x = rows_of(matrix.window);
      const float* packed = matrix.packed + panel * x.taps * x.width * kPanel;
      alignas(64) float sums[kRows * kPanel];
      for (int64_t row = begin; row < end; row += kRows) {
        const int64_t n = std::min<int64_t>(kRows, end - row);
        run_tile<kRows>(x.from(row), n, packed, sums);
        epilogue(sums, row, n, panel, index);
      }
    });
  }

  template <typename Epilogue>
  void multiply(const Window& window, int64_t rows, const float* packed, int64_t outputs,
                const Epilogue& epilogue) const {
    multiply(rows, 1, outputs, [&](int64_t) { return WindowMatrix{window, packed}; },
             [&](const float* sums, int64_t row, int64_t n, int64_t panel, int64_t) {
               epilogue(sums, row, n, panel);
             });
  }

 private:
  Rows rows_of(const Window& w) const {
    const float* first = x_ + w.first * columns_ + w.first_column;
    if (w.dilation == 1 && w.columns == columns_)       // taps lie one behind another
      return {first, w.step * columns_, w.taps * columns_};
    return {first, w.step * columns_, w.columns, w.taps, w.dilation * columns_};
  }

  int64_t columns_;
  Scratch scratch_;
  const float* x_;
};

}  // namespace sparktts
