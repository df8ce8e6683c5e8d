// Frames [T, C] as the left side of products with packed float32 matrices (gemm.h): a row of the
// product is a window of one frame, or for a convolution of several.
//
// Where the processor has AMX, frames are stored in parts for its tiles (bf16_parts.h); `Parts`
// says how many, and so how exact products are there.
#pragma once

#include "bf16_parts.h"
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

template <int Parts>
class Frames {
 public:
  // Frames to be written. step: the largest of the windows. tiles: whether AMX may be used, whose
  // windows begin at a multiple of 32 columns.
  Frames(int64_t count, int64_t columns, int64_t step = 1, bool tiles = true)
      : Frames(nullptr, count, columns, step, tiles && tiles_pay(columns)) {}

  // make(row, out [columns]) returns where the frame is: it may write it to `out`.
  template <typename Make>
  Frames(int64_t count, int64_t columns, int64_t step, const Make& make, bool tiles = true)
      : Frames(count, columns, step, tiles) {
    fill(count, make);
  }

  // Frames that are rows of x already.
  Frames(const float* x, int64_t count, int64_t columns, int64_t step)
      : Frames(x, count, columns, step, tiles_pay(columns)) {
    if (tiles_) fill(count, [=](int64_t row, float*) { return x + row * columns; });
  }

  // Up to 32 columns of a frame, from a multiple of 32 on
  void write(int64_t row, int64_t column, int64_t columns, const float* values) {
#if SPARKTTS_AMX
    if (tiles_) {
      alignas(64) float padded[kPanel] = {};
      if (columns < kPanel) {
        std::memcpy(padded, values, columns * sizeof(float));
        values = padded;
      }
      split_row<Parts>(values, parts() + (column / kPanel * slice_ + row) * kFrameUnits);
      return;
    }
#endif
    std::memcpy(this->row(row) + column, values, columns * sizeof(float));
  }

  // `rows` rows of windows times each of several matrices with this many outputs:
  // locate(matrix) is a WindowMatrix, epilogue(sums [n, 32], row, n, panel, matrix)
  template <typename Locate, typename Epilogue>
  void multiply(int64_t rows, int64_t matrices, int64_t outputs, const Locate& locate,
                const Epilogue& epilogue) const {
#if SPARKTTS_AMX
    if (tiles_) return multiply_tiles(rows, matrices, outputs, locate, epilogue);
#endif
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
  static constexpr int64_t kFrameUnits = Parts * kPanel, kFrameBytes = 2 * kFrameUnits;

  // x: where frames are that need not be written, or null
  Frames(const float* x, int64_t count, int64_t columns, int64_t step, bool tiles)
      : columns_(columns), tiles_(tiles),
        // of a slice: its last tile has rows beyond the last frame, and slices should not compete
        // for the same lines of a cache
        slice_((count + kPanel * step + 63) / 64 * 64 + 32),
        scratch_(tiles ? panels(columns) * slice_ * kFrameBytes : x ? 0 : count * columns * 4),
        x_(x && !tiles ? x : scratch_.template as<float>()) {}

  template <typename Make>
  void fill(int64_t count, const Make& make) {
    const int64_t columns = columns_, range = std::max<int64_t>(1, 16384 / columns);
    parallel_ranges(count, range, [&](int64_t first, int64_t last) {
      Scratch buffer(tiles_ ? columns * 4 : 0);
      for (int64_t row = first; row < last; ++row) {
        float* out = tiles_ ? buffer.template as<float>() : this->row(row);
        const float* frame = make(row, out);
        if (tiles_)
          for (int64_t c = 0; c < columns; c += kPanel)
            write(row, c, std::min<int64_t>(kPanel, columns - c), frame + c);
        else if (frame != out)
          std::memcpy(out, frame, columns * sizeof(float));
      }
    });
  }

  // Tiles take 32 columns; those that are missing are zeros.
  static bool tiles_pay(int64_t columns) { return columns >= kLanes && amx_permitted(); }

  float* row(int64_t row) { return scratch_.template as<float>() + row * columns_; }

  Rows rows_of(const Window& w) const {
    const float* first = x_ + w.first * columns_ + w.first_column;
    if (w.dilation == 1 && w.columns == columns_)       // taps lie one behind another
      return {first, w.step * columns_, w.taps * columns_};
    return {first, w.step * columns_, w.columns, w.taps, w.dilation * columns_};
  }

#if SPARKTTS_AMX
  uint16_t* parts() { return scratch_.template as<uint16_t>(); }

  template <typename Locate, typename Epilogue>
  void multiply_tiles(int64_t rows, int64_t matrices, int64_t outputs, const Locate& locate,
                      const Epilogue& epilogue) const {
    // A task splits its weights for many rows, and reads frames for several panels from beyond the
    // L2 cache; its sums fit there.
    constexpr int64_t kTaskRows = 1024, kTaskPanels = 4;
    const int64_t count = panels(outputs), wanted = 4 * Pool::shared().size();
    const int64_t row_blocks = (rows + kTaskRows - 1) / kTaskRows;
    const int64_t block_rows = (rows + row_blocks - 1) / row_blocks;
    const int64_t task_rows = (block_rows + kBlockRows - 1) / kBlockRows * kBlockRows;
    const int64_t task_panels =
        std::clamp<int64_t>(matrices * count * row_blocks / wanted, 1, kTaskPanels);
    const int64_t groups = (count + task_panels - 1) / task_panels;
    parallel(matrices * groups * row_blocks, [&](int64_t i) {
      const int64_t row = i % row_blocks * task_rows, group = i / row_blocks % groups;
      const int64_t index = i / row_blocks / groups;
      if (row >= rows) return;
      const WindowMatrix matrix = locate(index);
      const Window& window = matrix.window;
      const Slices slices{window.taps, window.columns};
      const auto* x = reinterpret_cast<const uint16_t*>(x_) +
                      (window.first + row * window.step) * kFrameUnits;
      auto offset = [&](int64_t slice) {
        return ((window.first_column + slices.column(slice)) / kSlice * slice_ +
                slices.tap(slice) * window.dilation) * kFrameUnits;
      };
      Scratch sums(task_panels * task_rows * kPanel * 4);
      multiply_parts<Parts>(x, window.step * kFrameBytes, offset, slices, matrix.packed,
                            std::min(task_rows, rows - row), group * task_panels,
                            std::min(count, (group + 1) * task_panels), sums.as<float>(),
                            [&](const float* block, int64_t first, int64_t n, int64_t panel) {
                              epilogue(block, row + first, n, panel, index);
                            });
    });
  }
#endif

  int64_t columns_;
  bool tiles_;
  int64_t slice_;           // rows of a slice
  Scratch scratch_;
  const float* x_;
};

}  // namespace sparktts
