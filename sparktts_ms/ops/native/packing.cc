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

// The number from which on a code is nearer than the one before it, + 128
constexpr float threshold(int code) { return 0.5f * (kCodebook[code - 1] + kCodebook[code]); }

#if defined(__AVX512F__)
// For each 8 numbers, + 128, in which there is at most one threshold: the code of the first, and
// the threshold.
struct Buckets {
  alignas(64) int32_t code[32] = {};
  alignas(64) float limit[32] = {}, values[16] = {};

  constexpr Buckets() {
    for (int b = 0; b < 32; ++b) {
      limit[b] = 1e9f;
      for (int i = 1; i < 16; ++i) {
        if (threshold(i) < 8.0f * b) code[b] = i;
        if (threshold(i) > 8.0f * b && threshold(i) < 8.0f * (b + 1)) limit[b] = threshold(i) - 128;
      }
    }
    for (int i = 0; i < 16; ++i) values[i] = kCodebook[i] - 128.0f;
  }
};
constexpr Buckets kBuckets;
#endif

// For each lane the code whose value is nearest, and this value.
struct Nearest {
  i32x16 code{};
  f32x16 value;

  explicit Nearest(f32x16 x) {
#if defined(__AVX512F__)
    // thresholds are half a unit or more away from a bucket's ends: rounding does not matter
    const __m512 place = _mm512_fmadd_ps((__m512)x, _mm512_set1_ps(0.125f), _mm512_set1_ps(16.0f));
    const __m512i bucket = _mm512_cvttps_epi32(
        _mm512_min_ps(_mm512_max_ps(place, _mm512_setzero_ps()), _mm512_set1_ps(31.0f)));
    const __m512 limit = _mm512_permutex2var_ps(_mm512_load_ps(kBuckets.limit), bucket,
                                                _mm512_load_ps(kBuckets.limit + 16));
    code = (i32x16)_mm512_permutex2var_epi32(_mm512_load_si512(kBuckets.code), bucket,
                                             _mm512_load_si512(kBuckets.code + 16));
    code -= x > (f32x16)limit;      // -1
    value = (f32x16)_mm512_permutexvar_ps((__m512i)code, _mm512_load_ps(kBuckets.values));
#else
    i32x16 sum = broadcast(kCodebook[0] - 128);
#pragma GCC unroll 16
    for (int i = 1; i < 16; ++i) {
      const i32x16 above = x > broadcast(threshold(i) - 128.0f);      // -1
      code -= above;
      sum += above & (kCodebook[i] - kCodebook[i - 1]);
    }
    value = to_float(sum);
#endif
  }
};

f32x16 inverse(f32x16 x) { return x != 0.0f ? 1.0f / x : f32x16{}; }

// The nearest bfloat16
f32x16 round_to_bf16(f32x16 x) {
  u32x16 bits = load<u32x16>(&x);
  bits = (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000u;
  return load<f32x16>(&bits);
}

// Outputs whose weights are rounded together, in vectors: two panels, for which rows of the factor
// are read once.
constexpr int kPanels = 2, kVectors = kPanels * kPanel / kLanes;
#if defined(__AVX512F__)
constexpr int kSpreadInputs = 4;        // as many as have their corrections in registers
#else
constexpr int kSpreadInputs = 1;
#endif
using Vectors = f32x16[kVectors];

// Scales of 16 outputs, the vector `v` of the weights of a group: those that leave the least error,
// the sum of importance (weight - scale value)^2. Those are tried at which the largest weight
// stands at one end of the codebook, or so much beyond, each refined for the codes that it gives,
// the best one twice.
f32x16 search_scales(const Vectors* weights, int v, const float* importance) {
  f32x16 largest{};
  for (int k = 0; k < Int4::kGroup; ++k) {
    const i32x16 larger = weights[k][v] * weights[k][v] > largest * largest;
    largest = larger ? weights[k][v] : largest;
  }
  f32x16 best_gain = broadcast(-1.0f), best_scale{};
  const auto consider = [&](f32x16 inverse_scale) {
    f32x16 product{}, square{};
    for (int k = 0; k < Int4::kGroup; ++k) {
      const f32x16 value = Nearest(weights[k][v] * inverse_scale).value;
      const f32x16 weighted = value * importance[k];
      product += weighted * weights[k][v];
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

// corrections of some inputs += the errors of a group's weights times their rows of the factor
template <int Inputs>
void spread(const Vectors* errors, const float* rows, int64_t stride, Vectors* corrections) {
  Vectors sums[Inputs];
  std::memcpy(sums, corrections, sizeof sums);
  for (int k = 0; k < Int4::kGroup; ++k, rows += stride) {
#pragma GCC unroll 4
    for (int i = 0; i < Inputs; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[i][v] += errors[k][v] * rows[i];
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
  parallel((panels(outputs) + kPanels - 1) / kPanels, [&](int64_t task) {
    const int64_t first_panel = task * kPanels, first_output = first_panel * kPanel;
    const int64_t rows = std::min<int64_t>(kPanels * kPanel, outputs - first_output);
    Scratch scratch(block * sizeof(Vectors));
    auto* corrections = scratch.as<Vectors>();      // of each input of the block
    for (int64_t first = 0; first < inputs; first += kGroup) {
      const int64_t width = std::min<int64_t>(kGroup, inputs - first);
      Vectors weights[kGroup] = {}, targets[kGroup], errors[kGroup] = {};
      for (int64_t o = 0; o < rows; ++o)
        for (int64_t k = 0; k < width; ++k)
          weights[k][o / kLanes][o % kLanes] = matrix[(first_output + o) * inputs + first + k];
      std::memcpy(targets, weights, sizeof targets);
      float importance[kGroup] = {};
      std::fill(importance, importance + width, 1.0f);
      const int64_t begin = factor ? first / block * block : 0, place = first - begin;
      const int64_t size = factor ? std::min(block, inputs - begin) : 0;
      // rows and columns of the group
      const float* triangle = factor ? factor + first * block + place : nullptr;
      if (factor) {
        if (place == 0) std::memset(corrections, 0, size * sizeof(Vectors));
        for (int64_t k = 0; k < width; ++k) {
          importance[k] = triangle[k * (block + 1)];
          for (int v = 0; v < kVectors; ++v) targets[k][v] += corrections[place + k][v];
        }
      }
      Vectors scales, inverse_scales;
      for (int v = 0; v < kVectors; ++v) {
        scales[v] = search_scales(targets, v, importance);
        inverse_scales[v] = inverse(scales[v]);
      }
      u32x16 quads[kPanels][kGroup / 4] = {};
      for (int k = 0; k < kGroup; ++k) {
        for (int v = 0; v < kVectors; ++v) {
          const Nearest nearest(targets[k][v] * inverse_scales[v]);
          quads[v / 2][k / 4] |= __builtin_convertvector(nearest.code, u32x16)
                                 << (8 * (k % 4) + 4 * (v % 2));
          errors[k][v] = weights[k][v] - scales[v] * nearest.value;
        }
        if (!factor) continue;
        for (int64_t i = k + 1; i < width; ++i)
          for (int v = 0; v < kVectors; ++v) targets[i][v] += errors[k][v] * triangle[k * block + i];
      }
      for (int64_t p = 0; p * kPanel < rows; ++p) {
        uint8_t* out = packed + ((first_panel + p) * count + first / kGroup) * Int4::kGroupBytes;
        for (int half = 0; half < 2; ++half) {
          const u32x16 bits = load<u32x16>(&scales[2 * p + half]);
          store(out + half * sizeof(u16x16), __builtin_convertvector(bits >> 16, u16x16));
        }
        std::memcpy(out + 2 * kPanel, quads[p], sizeof quads[p]);
      }
      int64_t i = kGroup;
      for (; place + i + kSpreadInputs <= size; i += kSpreadInputs)
        spread<kSpreadInputs>(errors, triangle + i, block, corrections + place + i);
      for (; place + i < size; ++i) spread<1>(errors, triangle + i, block, corrections + place + i);
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
