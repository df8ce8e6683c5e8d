// Rows times a packed matrix of 8-bit or 4-bit weights.
//
// A panel of 32 outputs is a sequence of groups of consecutive inputs, 64 or 32. A group is 32
// bfloat16 scales, one an output, then its weights, four inputs side by side as `dot4` reads them:
//
//   int8   groups of 64: 16 x 32 x 4 bytes, the weight + 128.
//   int4   groups of 32: 8 x 16 x 4 bytes: the lower half of a byte is the code of an output of the
//          first 16, the upper half that of the one 16 further on. kCodebook has what it stands
//          for.
//
// Rows are quantized to int8, with a scale for each group too.
#pragma once

#include "amx.h"
#include "gemm.h"

namespace sparktts {

// What the sixteen codes of 4-bit weights stand for, + 128: the values with the least mean square
// error for normally distributed groups with the best signed scale of each (Lloyd's algorithm,
// 60,000 groups). The error is 0.53 % of the weights' variance, and 0.66 % with values at equal
// distances. One end is further away than the other: the sign of the scale chooses.
alignas(16) constexpr uint8_t kCodebook[16] = {0,   27,  49,  66,  81,  94,  107, 119,
                                               130, 141, 152, 164, 178, 193, 211, 235};

struct Int8 {
  static constexpr int kGroup = 64;
  static constexpr int64_t kGroupBytes = kPanel * 2 + kPanel * kGroup;
  static constexpr int kQuadBytes = 4 * kPanel;     // of four inputs

  static void load_quad(const uint8_t* w, u8x64* outputs) {
    outputs[0] = load<u8x64>(w);
    outputs[1] = load<u8x64>(w + 64);
  }
  // The weights of a group, 8 bits each: where they are, or in `buffer`
  static const uint8_t* decode(const uint8_t* w, uint8_t*) { return w; }
};

struct Int4 {
  static constexpr int kGroup = 32;
  static constexpr int64_t kGroupBytes = kPanel * 2 + kPanel * kGroup / 2;
  static constexpr int kQuadBytes = 2 * kPanel;

  static void load_quad(const uint8_t* w, u8x64* outputs) {
    const u8x64 codes = load<u8x64>(w);
    outputs[0] = lookup(kCodebook, codes & 15);
    outputs[1] = lookup(kCodebook, codes >> 4);
  }
  static const uint8_t* decode(const uint8_t* w, uint8_t* buffer) {
    for (int q = 0; q < kGroup / 4; ++q) {
      u8x64 quad[2];
      load_quad(w + q * kQuadBytes, quad);
      store(buffer + q * 128, quad[0]);
      store(buffer + q * 128 + 64, quad[1]);
    }
    return buffer;
  }
};

template <typename Format>
inline int64_t groups(int64_t inputs) {
  return (inputs + Format::kGroup - 1) / Format::kGroup;
}

// Rows quantized to int8: values [rows, groups * kGroup], and for each group a scale and the
// initial sum, -128 times the sum of the group's values, because the weights that are multiplied
// are 128 too large.
template <typename Format>
struct QuantizedRows {
  static constexpr int kGroup = Format::kGroup;
#if defined(__AVX512F__)
  static constexpr int kMaxRows = 6;
#else
  static constexpr int kMaxRows = 2;
#endif

  const int8_t* x;
  const float* scales;
  const int32_t* initial;
  int64_t count;            // groups a row

  static int64_t bytes(int64_t rows, int64_t inputs) {
    return rows * groups<Format>(inputs) * (kGroup + 8);
  }
  QuantizedRows from(int64_t row) const {
    return {x + row * count * kGroup, scales + row * count, initial + row * count, count};
  }

  // In `memory` (of `bytes`), for rows that `quantize` writes.
  QuantizedRows(void* memory, int64_t rows, int64_t inputs) : count(groups<Format>(inputs)) {
    x = static_cast<int8_t*>(memory);
    scales = reinterpret_cast<const float*>(x + rows * count * kGroup);
    initial = reinterpret_cast<const int32_t*>(scales + rows * count);
  }
  QuantizedRows(const int8_t* x, const float* scales, const int32_t* initial, int64_t count)
      : x(x), scales(scales), initial(initial), count(count) {}

  void quantize(int64_t row, const float* values, int64_t inputs) const {
    int8_t* out = const_cast<int8_t*>(x) + row * count * kGroup;
    for (int64_t b = 0; b < count; ++b, out += kGroup) {
      alignas(64) float group[kGroup] = {};
      const int64_t width = std::min<int64_t>(kGroup, inputs - b * kGroup);
      std::memcpy(group, values + b * kGroup, width * sizeof(float));
      float max = 0.0f;
#pragma omp simd reduction(max : max)
      for (int i = 0; i < kGroup; ++i) max = std::max(max, std::fabs(group[i]));
      const float inverse_scale = max > 0.0f ? 127.0f / max : 0.0f;
      int32_t sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int i = 0; i < kGroup; ++i) {
        const auto value = static_cast<int32_t>(std::nearbyint(group[i] * inverse_scale));
        out[i] = static_cast<int8_t>(value);
        sum += value;
      }
      const_cast<float*>(scales)[row * count + b] = max / 127.0f;
      const_cast<int32_t*>(initial)[row * count + b] = -128 * sum;
    }
  }

  template <int R>
  void tile(const void* panel, float* out) const {
    const auto* w = static_cast<const uint8_t*>(panel);
    f32x16 sums[R][2] = {};
    for (int64_t b = 0; b < count; ++b) {
      const f32x16 scale0 = bf16_to_float(reinterpret_cast<const uint16_t*>(w));
      const f32x16 scale1 = bf16_to_float(reinterpret_cast<const uint16_t*>(w) + kLanes);
      w += 2 * kPanel;
      i32x16 dots[R][2];
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) dots[r][0] = dots[r][1] = broadcast(initial[r * count + b]);
      const int8_t* four = x + b * kGroup;
#pragma GCC unroll 4
      for (int q = 0; q < kGroup / 4; ++q, w += Format::kQuadBytes, four += 4) {
        if (R <= 4) {
          __builtin_prefetch(w + 4096);
          if (Format::kQuadBytes > 64) __builtin_prefetch(w + 4160);
        }
        u8x64 quad[2];
        Format::load_quad(w, quad);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
          dots[r][0] = dot4(dots[r][0], quad[0], four + r * count * kGroup);
          dots[r][1] = dot4(dots[r][1], quad[1], four + r * count * kGroup);
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

#if SPARKTTS_AMX

// The same product with tiles of 16 rows. The dots of a group are exact, and they are scaled and
// added in the same order, so results are those of QuantizedRows bit for bit.
template <typename Format>
struct TiledRows : QuantizedRows<Format> {
  using Base = QuantizedRows<Format>;
  static constexpr int kGroup = Format::kGroup;
  static constexpr int kMaxRows = 4 * kTileRows;
  static constexpr int kMinRows = 7;            // below, QuantizedRows is as fast
  static constexpr int64_t kAhead = 4096;       // bytes of weights

  explicit TiledRows(const Base& rows) : Base(rows) {}
  TiledRows from(int64_t row) const { return TiledRows(Base::from(row)); }

  struct Dots {
    alignas(64) int32_t of[2][kTileRows][kLanes];     // outputs 0 .. 15, then 16 .. 31
  };

  // `rows` rows, at most kMaxRows, times one panel -> out [rows, 32]
  void multiply_panel(int64_t rows, const uint8_t* w, float* out) const {
    const Tiles tiles(kTileRows, static_cast<int>(rows % kTileRows), kGroup);
    const int64_t stride = this->count * kGroup;
    std::memset(out, 0, rows * kPanel * sizeof(float));
    alignas(64) uint8_t decoded[2][kGroup * kPanel];
    // A tile's dots are used while the next one's are computed.
    Dots dots[2];
    int parity = 0;
    int64_t last_group = -1, last_row = 0;
    const uint8_t* weights = Format::decode(w + 2 * kPanel, decoded[0]);
    for (int64_t b = 0; b < this->count; ++b, w += Format::kGroupBytes) {
      asm volatile("" ::: "memory");      // GCC 12 does not know that tiles are loaded from memory
      _tile_loadd(6, weights, 2 * kTileBytes);
      _tile_loadd(7, weights + kTileBytes, 2 * kTileBytes);
      if (b + 1 < this->count)
        weights = Format::decode(w + Format::kGroupBytes + 2 * kPanel, decoded[(b + 1) % 2]);
      const uint8_t* ahead = w + kAhead;
      for (int64_t row = 0; row < rows; row += kTileRows) {
        const int8_t* values = this->x + row * stride + b * kGroup;
        // a part of the weights, because more would wait for each other, and the next values
        const int64_t part = (Format::kGroupBytes * kTileRows / rows + 63) / 64 * 64;
        for (int64_t i = 0; i < part; i += 64) __builtin_prefetch(ahead + i);
        ahead += part;
        const int64_t n = std::min<int64_t>(kTileRows, rows - row);
        for (int64_t r = 0; r < n; ++r) __builtin_prefetch(values + r * stride + kGroup);
        Dots& current = dots[parity];
        if (rows - row >= kTileRows) {
          _tile_loadd(4, values, stride);
          _tile_zero(0);
          _tile_zero(1);
          _tile_dpbsud(0, 4, 6);
          _tile_dpbsud(1, 4, 7);
          _tile_stored(0, current.of[0], kTileBytes);
          _tile_stored(1, current.of[1], kTileBytes);
        } else {
          _tile_loadd(5, values, stride);
          _tile_zero(2);
          _tile_zero(3);
          _tile_dpbsud(2, 5, 6);
          _tile_dpbsud(3, 5, 7);
          _tile_stored(2, current.of[0], kTileBytes);
          _tile_stored(3, current.of[1], kTileBytes);
        }
        parity ^= 1;
        if (last_group >= 0) {
          const uint8_t* scales = row ? w : w - Format::kGroupBytes;
          add_scaled(dots[parity], last_group, last_row, rows, scales, out);
        }
        last_group = b;
        last_row = row;
      }
    }
    add_scaled(dots[parity ^ 1], last_group, last_row, rows, w - Format::kGroupBytes, out);
  }

 private:
  // out [rows, 32] += the dots of group b, scaled, for up to 16 rows from `first` on
  void add_scaled(const Dots& dots, int64_t b, int64_t first, int64_t rows, const uint8_t* scales,
                  float* out) const {
    const auto* weight_scales = reinterpret_cast<const uint16_t*>(scales);
    const f32x16 scale0 = bf16_to_float(weight_scales);
    const f32x16 scale1 = bf16_to_float(weight_scales + kLanes);
    const int64_t n = std::min<int64_t>(kTileRows, rows - first), stride = this->count;
    const float* row_scales = this->scales + first * stride + b;
    const int32_t* initials = this->initial + first * stride + b;
    out += first * kPanel;
#pragma GCC unroll 4
    for (int64_t r = 0; r < n; ++r, out += kPanel) {
      const f32x16 scale = broadcast(row_scales[r * stride]);
      const i32x16 initial = broadcast(initials[r * stride]);
      f32x16 sum0 = load<f32x16>(out), sum1 = load<f32x16>(out + kLanes);
      sum0 += to_float(load<i32x16>(dots.of[0][r]) + initial) * (scale0 * scale);
      sum1 += to_float(load<i32x16>(dots.of[1][r]) + initial) * (scale1 * scale);
      store(out, sum0);
      store(out + kLanes, sum1);
    }
  }
};

// For `multiply`
template <int R, typename Format>
inline void run_tile(const TiledRows<Format>& x, int64_t rows, const void* panel, float* out) {
  x.multiply_panel(rows, static_cast<const uint8_t*>(panel), out);
}

#endif

}  // namespace sparktts
