// What the rounding of 4-bit weights has to know of the inputs x of a product (pack_int4 in
// packing.cc): U and D of the mean M of x x^T, M = U D U^T.

#include "gemm.h"

using namespace sparktts;

namespace {

#if defined(__AVX512F__)
constexpr int kProductRows = 8;        // as many as have their sums in registers
#else
constexpr int kProductRows = 2;
#endif
constexpr int64_t kSlab = 256;      // inputs x whose panels fit an L2 cache
constexpr int64_t kChunk = 128;     // of which two panels fit an L1 cache

// A square matrix of which the upper triangle counts; a block of one that has longer rows.
struct Square {
  float* values;
  int64_t size, stride;

  float* row(int64_t i) const { return values + i * stride; }
};

// The panel p of a square's columns
int64_t panel_width(const Square& square, int64_t p) {
  return std::min<int64_t>(kPanel, square.size - p * kPanel);
}

// sums += left^T right, of panels [inputs][32] q <= p
void add_products(const float* left, const float* right, int64_t inputs, int64_t q, int64_t p,
                  const Square& sums) {
  const int64_t height = panel_width(sums, q), width = panel_width(sums, p);
  for (int64_t first = 0; first < inputs; first += kChunk)
    for (int64_t i = 0; i < height; i += kProductRows) {
      f32x16 tile[kProductRows][2] = {};
      for (int64_t k = first; k < std::min(inputs, first + kChunk); ++k) {
        const f32x16 right0 = load<f32x16>(right + k * kPanel);
        const f32x16 right1 = load<f32x16>(right + k * kPanel + kLanes);
#pragma GCC unroll 8
        for (int r = 0; r < kProductRows; ++r) {
          const f32x16 value = broadcast(left[k * kPanel + i + r]);
          tile[r][0] += value * right0;
          tile[r][1] += value * right1;
        }
      }
      for (int64_t r = 0; r < std::min<int64_t>(kProductRows, height - i); ++r) {
        alignas(64) float row[kPanel];
        std::memcpy(row, tile[r], sizeof row);
        float* out = sums.row(q * kPanel + i + r) + p * kPanel;
        for (int64_t j = 0; j < width; ++j) out[j] += row[j];
      }
    }
}

// sums += x^T x, of columns of x [inputs, stride]
void add_products(const float* x, int64_t inputs, int64_t stride, const Square& sums) {
  const int64_t count = panels(sums.size);
  Scratch scratch(count * kSlab * kPanel * sizeof(float));
  float* slab = scratch.as<float>();
  for (int64_t first = 0; first < inputs; first += kSlab) {
    const int64_t n = std::min(kSlab, inputs - first);
    parallel(n, [&](int64_t k) {
      const float* row = x + (first + k) * stride;
      for (int64_t p = 0; p < count; ++p) {
        float* out = slab + (p * n + k) * kPanel;
        std::memset(out, 0, kPanel * sizeof(float));
        std::memcpy(out, row + p * kPanel, panel_width(sums, p) * sizeof(float));
      }
    });
    parallel(count * count, [&](int64_t task) {
      const int64_t p = count - 1 - task / count, q = task % count;
      if (q <= p) add_products(slab + q * n * kPanel, slab + p * n * kPanel, n, q, p, sums);
    });
  }
}

// A block on the diagonal of M, up to 32 columns, less what later columns of U account for.
// Row k of `scaled` is row k of D U^T, and `inverse` that matrix's inverse.
struct DiagonalBlock {
  alignas(64) float scaled[kPanel][kPanel] = {}, inverse[kPanel][kPanel] = {};

  explicit DiagonalBlock(const Square& left) {
    for (int64_t k = left.size - 1; k >= 0; --k) {
      for (int64_t i = 0; i <= k; ++i) scaled[k][i] = left.row(i)[k];
      for (int64_t i = 0; i < k; ++i) {
        const float unit = scaled[k][i] / scaled[k][k];
        for (int64_t j = i; j < k; ++j) left.row(i)[j] -= unit * scaled[k][j];
      }
    }
    for (int64_t i = 0; i < left.size; ++i) {
      float sums[kPanel] = {};
      for (int64_t k = i; k >= 0; --k) {
        inverse[i][k] = ((k == i ? 1.0f : 0.0f) - sums[k]) / scaled[k][k];
        for (int64_t j = 0; j < k; ++j) sums[j] += inverse[i][k] * scaled[k][j];
      }
    }
  }
};

// m = U D U^T -> U, with D on its diagonal
void factorize(const Square& m) {
  Scratch scratch((m.size * kPanel + m.size) * sizeof(float));
  float* panel = scratch.as<float>();
  float* diagonal = panel + m.size * kPanel;
  for (int64_t p = panels(m.size) - 1; p >= 0; --p) {
    const int64_t begin = p * kPanel, width = panel_width(m, p), end = begin + width;
    const int64_t later = m.size - end;
    // these rows of D U^T, which later columns account for
    for (int64_t k = 0; k < later; ++k)
      for (int64_t j = 0; j < width; ++j)
        panel[k * kPanel + j] = m.row(begin + j)[end + k] * diagonal[end + k];
    const auto subtract = [&](int64_t first, int64_t rows, const auto& epilogue) {
      const Rows known{m.row(first) + end, m.stride, later};
      multiply(known, rows, reinterpret_cast<const char*>(panel), kTaskBytes, 0, 1,
               [&](const float* sums, int64_t row, int64_t n, int64_t) {
                 for (int64_t r = 0; r < n; ++r) {
                   float* out = m.row(first + row + r) + begin;
                   for (int64_t j = 0; j < width; ++j) out[j] -= sums[r * kPanel + j];
                 }
                 epilogue(row, n);
               });
    };
    subtract(begin, width, [](int64_t, int64_t) {});
    const DiagonalBlock block({m.row(begin) + begin, width, m.stride});
    for (int64_t i = 0; i < width; ++i) {
      float* row = m.row(begin + i) + begin;
      for (int64_t k = 0; k < width; ++k)
        row[k] = k <= i ? 0.0f : block.scaled[k][i] / block.scaled[k][k];
      row[i] = diagonal[begin + i] = block.scaled[i][i];
    }
    subtract(0, begin, [&](int64_t row, int64_t n) {
      alignas(64) float units[kRows * kPanel];
      run_tile<kRows>(Rows{m.row(row) + begin, m.stride, width}, n, block.inverse, units);
      for (int64_t r = 0; r < n; ++r)
        std::memcpy(m.row(row + r) + begin, units + r * kPanel, width * sizeof(float));
    });
  }
}

}  // namespace

// The factor [inputs, block], zeros before, that pack_int4 takes, of x [rows, inputs]; `damping` is
// added to the mean square of each input.
extern "C" void sparktts_error_factor(const float* x, int64_t rows, int64_t inputs, int64_t block,
                                      float damping, float* factor) {
  const float scale = 1.0f / static_cast<float>(rows);
  for (int64_t first = 0; first < inputs; first += block) {
    const Square m{factor + first * block, std::min(block, inputs - first), block};
    add_products(x + first, rows, inputs, m);
    for (int64_t i = 0; i < m.size; ++i) m.row(i)[i] += damping * static_cast<float>(rows);
    factorize(m);
    for (int64_t i = 0; i < m.size; ++i) m.row(i)[i] *= scale;
  }
}
