// Packing matrices [outputs, inputs], as they are in checkpoints, for the products of gemm.h and
// quantized.h. Called through ctypes; `bits` of a weight: 32, 8 or 4.

#include "quantized.h"

using namespace sparktts;

namespace {

// `scale` as bfloat16, away from zero
uint16_t round_up(float* scale) {
  uint32_t bits;
  std::memcpy(&bits, scale, 4);
  bits = (bits + 0xffffu) & 0xffff0000u;
  std::memcpy(scale, &bits, 4);
  return static_cast<uint16_t>(bits >> 16);
}

// pack_group(weights [width], width, output 0 .. 31 of the panel, group) for each
template <typename Format, typename PackGroup>
void pack_groups(const float* matrix, int64_t outputs, int64_t inputs, uint8_t* packed,
                 const PackGroup& pack_group) {
  const int64_t count = groups<Format>(inputs);
  std::memset(packed, 0, panels(outputs) * count * Format::kGroupBytes);
  parallel(panels(outputs), [&](int64_t p) {
    for (int64_t b = 0; b < count; ++b) {
      uint8_t* group = packed + (p * count + b) * Format::kGroupBytes;
      const int64_t first = b * Format::kGroup;
      const int64_t width = std::min<int64_t>(Format::kGroup, inputs - first);
      for (int64_t i = 0; i < std::min<int64_t>(kPanel, outputs - p * kPanel); ++i)
        pack_group(matrix + (p * kPanel + i) * inputs + first, width, i, group);
    }
  });
}

float largest(const float* weights, int64_t width) {
  float max = 0.0f;
  for (int64_t k = 0; k < width; ++k)
    if (std::fabs(weights[k]) > std::fabs(max)) max = weights[k];
  return max;
}

void pack_float32(const float* matrix, int64_t outputs, int64_t inputs, float* packed) {
  parallel(panels(outputs), [&](int64_t p) {
    float* out = packed + p * inputs * kPanel;
    for (int64_t k = 0; k < inputs; ++k)
      for (int64_t i = 0; i < kPanel; ++i, ++out)
        *out = p * kPanel + i < outputs ? matrix[(p * kPanel + i) * inputs + k] : 0.0f;
  });
}

void pack_int8(const float* matrix, int64_t outputs, int64_t inputs, uint8_t* packed) {
  pack_groups<Int8>(matrix, outputs, inputs, packed, [](const float* weights, int64_t width,
                                                        int64_t output, uint8_t* group) {
    float scale = std::fabs(largest(weights, width)) / 127.0f;
    reinterpret_cast<uint16_t*>(group)[output] = round_up(&scale);      // no weight exceeds 127
    uint8_t* out = group + 2 * kPanel + 4 * output;
    for (int64_t k = 0; k < Int8::kGroup; ++k) {
      const float value = k < width && scale > 0.0f ? std::nearbyint(weights[k] / scale) : 0.0f;
      out[k / 4 * Int8::kQuadBytes + k % 4] = static_cast<uint8_t>(128 + static_cast<int>(value));
    }
  });
}

// For each lane the code whose value is nearest, and this value.
struct Nearest {
  i32x16 code{}, value = broadcast(kCodebook[0] - 128);

  explicit Nearest(f32x16 x) {
#pragma GCC unroll 16
    for (int i = 1; i < 16; ++i) {
      const i32x16 above = x > broadcast(0.5f * (kCodebook[i - 1] + kCodebook[i]) - 128.0f);  // -1
      code -= above;
      value += above & (kCodebook[i] - kCodebook[i - 1]);
    }
  }
};

f32x16 inverse(f32x16 x) { return x != 0.0f ? 1.0f / x : f32x16{}; }

// The nearest bfloat16
f32x16 round_to_bf16(f32x16 x) {
  u32x16 bits = load<u32x16>(&x);
  bits = (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000u;
  return load<f32x16>(&bits);
}

// Scales of 16 outputs for a group of their weights: those that leave the least error, the sum of
// importance (weight - scale value)^2. Those are tried at which the largest weight stands at one
// end of the codebook, or so much beyond, each refined for the codes that it gives, the best one
// twice.
f32x16 search_scales(const f32x16* weights, const float* importance) {
  f32x16 largest{};
  for (int k = 0; k < Int4::kGroup; ++k) {
    const i32x16 larger = weights[k] * weights[k] > largest * largest;
    largest = larger ? weights[k] : largest;
  }
  f32x16 best_gain = broadcast(-1.0f), best_scale{};
  const auto consider = [&](f32x16 inverse_scale) {
    f32x16 product{}, square{};
    for (int k = 0; k < Int4::kGroup; ++k) {
      const f32x16 value = to_float(Nearest(weights[k] * inverse_scale).value);
      const f32x16 weighted = value * importance[k];
      product += weighted * weights[k];
      square += weighted * value;
    }
    const f32x16 scale = product * inverse(square);
    const f32x16 gain = product * scale;        // by which the error is less than that of zeros
    best_scale = gain > best_gain ? scale : best_scale;
    best_gain = gain > best_gain ? gain : best_gain;
  };
  for (const int end : {0, 15})
    for (const float beyond : {0.85f, 0.93f, 1.01f, 1.1f})
      consider(inverse(largest) * (beyond * (kCodebook[end] - 128)));
  consider(inverse(best_scale));
  return round_to_bf16(best_scale);
}

// corrections of the inputs from `first` on += errors [group, 2] times their rows of `factor`
template <int Inputs>
void spread(const f32x16 (*errors)[2], const float* rows, int64_t stride, f32x16* corrections) {
  f32x16 sums[Inputs][2];
  std::memcpy(sums, corrections, sizeof sums);
  for (int k = 0; k < Int4::kGroup; ++k, rows += stride) {
    const f32x16 error0 = errors[k][0], error1 = errors[k][1];
#pragma GCC unroll 4
    for (int i = 0; i < Inputs; ++i) {
      sums[i][0] += error0 * rows[i];
      sums[i][1] += error1 * rows[i];
    }
  }
  std::memcpy(corrections, sums, sizeof sums);
}

// `factor` [inputs, block], or null: of the mean M of x x^T for the inputs x of the product, the
// unit upper triangular U with U D U^T = M, on its diagonal D. The error of the product is then
// sum D (e U)^2 over the errors e of the weights, so that each weight is rounded after those before
// it, as what makes up for their errors. With null: sum e^2. M has blocks on its diagonal, of whole
// groups; row k of `factor` has the columns of its block.
void pack_int4(const float* matrix, int64_t outputs, int64_t inputs, const float* factor,
               int64_t block, uint8_t* packed) {
  constexpr int kGroup = Int4::kGroup;
  const int64_t count = groups<Int4>(inputs);
  parallel(panels(outputs), [&](int64_t p) {
    const int64_t rows = std::min<int64_t>(kPanel, outputs - p * kPanel);
    Scratch scratch(factor ? inputs * kPanel * 4 : 0);      // of each input and output
    f32x16* corrections = scratch.as<f32x16>();
    if (factor) std::fill(corrections, corrections + 2 * inputs, f32x16{});
    uint8_t* group = packed + p * count * Int4::kGroupBytes;
    for (int64_t first = 0; first < inputs; first += kGroup, group += Int4::kGroupBytes) {
      const int64_t width = std::min<int64_t>(kGroup, inputs - first);
      f32x16 weights[2][kGroup] = {}, errors[kGroup][2] = {};
      for (int64_t o = 0; o < rows; ++o)
        for (int64_t k = 0; k < width; ++k)
          weights[o / kLanes][k][o % kLanes] = matrix[(p * kPanel + o) * inputs + first + k];
      const int64_t begin = factor ? first / block * block : 0;
      const int64_t end = factor ? std::min(inputs, begin + block) : 0;
      float importance[kGroup] = {};
      for (int64_t k = 0; k < width; ++k)
        importance[k] = factor ? factor[(first + k) * (block + 1) - begin] : 1.0f;
      u32x16 quads[kGroup / 4] = {};
      for (int half = 0; half < 2; ++half) {
        f32x16 targets[kGroup];
        for (int k = 0; k < kGroup; ++k)
          targets[k] = weights[half][k] +
                       (factor && k < width ? corrections[2 * (first + k) + half] : f32x16{});
        const f32x16 scales = search_scales(targets, importance), inverse_scales = inverse(scales);
        for (int i = 0; i < kLanes; ++i) {
          uint32_t bits;
          const float scale = scales[i];
          std::memcpy(&bits, &scale, 4);
          reinterpret_cast<uint16_t*>(group)[half * kLanes + i] = static_cast<uint16_t>(bits >> 16);
        }
        for (int k = 0; k < kGroup; ++k) {
          const Nearest nearest(targets[k] * inverse_scales);
          quads[k / 4] |= __builtin_convertvector(nearest.code, u32x16) << (8 * (k % 4) + 4 * half);
          if (!factor || k >= width) continue;
          errors[k][half] = weights[half][k] - scales * to_float(nearest.value);
          const float* row = factor + (first + k) * block + first - begin;
          for (int64_t i = k + 1; i < width; ++i) targets[i] += errors[k][half] * row[i];
        }
      }
      std::memcpy(group + 2 * kPanel, quads, sizeof quads);
      if (!factor) continue;
      const float* rows_of_group = factor + first * block - begin;
      int64_t i = first + kGroup;
      for (; i + 4 <= end; i += 4)
        spread<4>(errors, rows_of_group + i, block, corrections + 2 * i);
      for (; i < end; ++i) spread<1>(errors, rows_of_group + i, block, corrections + 2 * i);
    }
  });
}

}  // namespace

extern "C" int64_t sparktts_packed_bytes(int64_t outputs, int64_t inputs, int bits) {
  if (bits == 8) return panels(outputs) * groups<Int8>(inputs) * Int8::kGroupBytes;
  if (bits == 4) return panels(outputs) * groups<Int4>(inputs) * Int4::kGroupBytes;
  return panels(outputs) * inputs * kPanel * 4;
}

// factor, block: of 4-bit weights, may be null (see pack_int4)
extern "C" void sparktts_pack(const float* matrix, int64_t outputs, int64_t inputs, int bits,
                              const float* factor, int64_t block, void* packed) {
  if (bits == 8) return pack_int8(matrix, outputs, inputs, static_cast<uint8_t*>(packed));
  if (bits == 4)
    return pack_int4(matrix, outputs, inputs, factor, block, static_cast<uint8_t*>(packed));
  pack_float32(matrix, outputs, inputs, static_cast<float*>(packed));
}
