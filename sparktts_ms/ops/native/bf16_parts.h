// Products of float32 numbers on AMX, whose tiles multiply bfloat16 and add up float32.
//
// A number is split into parts x0 + x1 (+ x2), each what the former leave of it, rounded to
// bfloat16. Of the products of two such sums those are added up that matter:
//
//   2 parts   x0 y0 + x0 y1 + x1 y0: numbers keep 16 bits, the error of a product is 4e-6
//   3 parts   those and x1 y1 + x0 y2 + x2 y0: 2e-7, as that of float32
//
// The parts of frames [T, C] are stored in slices of 32 columns, each [T][part][32], so that 16
// frames of a part are a tile. Weights are split from their packed panels by the task that uses
// them. Each row is summed in the same order for any number of rows: results are batch-invariant.
#pragma once

#include "amx.h"
#include "gemm.h"

#if SPARKTTS_AMX

namespace sparktts {

constexpr int kSlice = kTileBytes / 2;              // columns of a tile of frames
constexpr int kBlockRows = 2 * kTileRows;
constexpr int kWeightTile = kTileRows * kSlice;     // numbers

// The parts of sixteen numbers, each in the upper halves of the lanes.
template <int Parts>
inline void split(f32x16 x, u32x16* parts) {
  for (int p = 0; p < Parts; ++p) {
    u32x16 bits;
    std::memcpy(&bits, &x, sizeof x);
    bits = (bits + 0x8000u) & 0xffff0000u;
    parts[p] = bits;
    f32x16 part;
    std::memcpy(&part, &bits, sizeof bits);
    x -= part;
  }
}

// 32 numbers -> a row of a slice
template <int Parts>
inline void split_row(const float* x, uint16_t* out) {
  u32x16 low[Parts], high[Parts];
  split<Parts>(load<f32x16>(x), low);
  split<Parts>(load<f32x16>(x + kLanes), high);
  for (int p = 0; p < Parts; ++p) {
    store(out + p * kSlice, __builtin_convertvector(low[p] >> 16, u16x16));
    store(out + p * kSlice + kLanes, __builtin_convertvector(high[p] >> 16, u16x16));
  }
}

// `inputs` rows of a panel, at most 32, zeros after them -> for each part the tiles of its two
// halves of 16 outputs
template <int Parts>
inline void split_weights(const float* w, int64_t inputs, uint16_t* out) {
  for (int k = 0; k < kTileRows; ++k, w += 2 * kPanel)
    for (int half = 0; half < 2; ++half) {
      u32x16 even[Parts] = {}, odd[Parts] = {};
      if (2 * k < inputs) split<Parts>(load<f32x16>(w + half * kLanes), even);
      if (2 * k + 1 < inputs) split<Parts>(load<f32x16>(w + kPanel + half * kLanes), odd);
      for (int p = 0; p < Parts; ++p)
        store(out + (2 * p + half) * kWeightTile + k * kSlice, (even[p] >> 16) | odd[p]);
    }
}

// sums [32, 32], or [16, 32] unless `both`, plus those of some slices of frames times slices of
// weights. The frames of slice s begin at x + offsets[s] and are `stride` bytes apart; its weights
// begin at w + s * 2 * Parts * kWeightTile.
template <int Parts, bool both>
inline void add_products(const uint16_t* x, const int64_t* offsets, int64_t slices, int64_t stride,
                         const uint16_t* w, bool first, float* sums) {
  constexpr int kStride = kPanel * 4;
  float* second = sums + kTileRows * kPanel;
  if (first) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  } else {
    _tile_loadd(0, sums, kStride);
    _tile_loadd(1, sums + kLanes, kStride);
    if (both) {
      _tile_loadd(2, second, kStride);
      _tile_loadd(3, second + kLanes, kStride);
    }
  }
  const int64_t second_rows = kTileRows * stride / 2;
  for (int64_t s = 0; s < slices; ++s, w += 2 * Parts * kWeightTile) {
    const uint16_t* frames = x + offsets[s];
    auto load_frames = [&](int part) __attribute__((always_inline)) {
      _tile_loadd(4, frames + part * kSlice, stride);
      if (both) _tile_loadd(5, frames + second_rows + part * kSlice, stride);
    };
    auto load_weights = [&](int part) __attribute__((always_inline)) {
      _tile_loadd(6, w + 2 * part * kWeightTile, kTileBytes);
      _tile_loadd(7, w + (2 * part + 1) * kWeightTile, kTileBytes);
    };
    auto multiply = []() __attribute__((always_inline)) {
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      if (both) {
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      }
    };
    load_weights(0);
    if constexpr (Parts == 3) {
      load_frames(2);
      multiply();
      load_frames(1);
      multiply();
      load_weights(1);
      multiply();
      load_frames(0);
      multiply();
      load_weights(2);
      multiply();
      load_weights(0);
    } else {
      load_frames(1);
      multiply();
      load_frames(0);
      multiply();
      load_weights(1);
    }
    multiply();
  }
  _tile_stored(0, sums, kStride);
  _tile_stored(1, sums + kLanes, kStride);
  if (both) {
    _tile_stored(2, second, kStride);
    _tile_stored(3, second + kLanes, kStride);
  }
}

// The slices of a product's rows and weights: of each 32 columns those of all taps.
struct Slices {
  int64_t taps, columns;
  int64_t count() const { return taps * ((columns + kSlice - 1) / kSlice); }
  int64_t tap(int64_t slice) const { return slice % taps; }
  int64_t column(int64_t slice) const { return slice / taps * kSlice; }
};

// Rows of frames times some panels of a matrix, in one task. Of a slice of columns all taps are
// added before those of the next, since they read the same frames. `offset(slice)` is where a slice
// of row 0 begins in `x`, whose rows are `stride` bytes apart. The sums are in `sums`
// [panels, rows rounded up to kBlockRows, 32] when epilogue(sums [n, 32], row, n, panel) is called
// for each block.
template <int Parts, typename Offset, typename Epilogue>
void multiply_parts(const uint16_t* x, int64_t stride, const Offset& offset, const Slices& slices,
                    const float* packed, int64_t rows, int64_t first, int64_t last, float* sums,
                    const Epilogue& epilogue) {
  constexpr int64_t kSlices = Parts == 2 ? 8 : 4;   // whose weights fit a part of the L1 cache
  constexpr int64_t kUnits = 2 * Parts * kWeightTile;
  alignas(64) uint16_t weights[kSlices * kUnits];
  const int64_t blocks = (rows + kBlockRows - 1) / kBlockRows, count = slices.count();
  const int64_t block_units = kBlockRows * stride / 2;
  const int64_t ahead_floats = (kSlice * kPanel / blocks + kPanel - 1) / kPanel * kPanel;
  auto slice_weights = [&](int64_t panel, int64_t slice) {
    const int64_t row = slices.tap(slice) * slices.columns + slices.column(slice);
    return packed + (panel * slices.taps * slices.columns + row) * kPanel;
  };
  const Tiles tiles;
  for (int64_t begin = 0; begin < count; begin += kSlices) {
    const int64_t n = std::min(kSlices, count - begin);
    int64_t offsets[kSlices];
    for (int64_t i = 0; i < n; ++i) offsets[i] = offset(begin + i);
    for (int64_t panel = first; panel < last; ++panel) {
      for (int64_t i = 0; i < n; ++i)
        split_weights<Parts>(slice_weights(panel, begin + i),
                             slices.columns - slices.column(begin + i), weights + i * kUnits);
      // The weights that are split next are fetched meanwhile, some with each block.
      const bool is_last = panel + 1 == last;
      const int64_t next = is_last ? begin + n : begin;
      const int64_t next_count = std::min(kSlices, count - next);
      const float* ahead[kSlices];
      for (int64_t i = 0; i < next_count; ++i)
        ahead[i] = slice_weights(is_last ? first : panel + 1, next + i);
      // GCC 12 does not know that tiles are loaded from memory
      asm volatile("" ::: "memory");
      for (int64_t block = 0; block < blocks; ++block) {
        for (int64_t i = 0; i < next_count; ++i) {
          for (int64_t k = 0; k < ahead_floats; k += kLanes) __builtin_prefetch(ahead[i] + k, 0, 2);
          ahead[i] += ahead_floats;
        }
        float* out = sums + ((panel - first) * blocks + block) * kBlockRows * kPanel;
        const int64_t row = block * kBlockRows;
        const uint16_t* frames = x + block * block_units;
        if (rows - row > kTileRows)
          add_products<Parts, true>(frames, offsets, n, stride, weights, begin == 0, out);
        else
          add_products<Parts, false>(frames, offsets, n, stride, weights, begin == 0, out);
        asm volatile("" ::: "memory");
        if (begin + n == count)
          epilogue(out, row, std::min<int64_t>(kBlockRows, rows - row), panel);
      }
    }
  }
}

}  // namespace sparktts

#endif
