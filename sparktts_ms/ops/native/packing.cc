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

// The code of the value nearest to `value`, of those that kCodebook has
int nearest_code(float value) {
  int best = 0;
  for (int code = 1; code < 16; ++code)
    if (std::fabs(kCodebook[code] - 128.0f - value) < std::fabs(kCodebook[best] - 128.0f - value))
      best = code;
  return best;
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

void pack_int4(const float* matrix, int64_t outputs, int64_t inputs, uint8_t* packed) {
  pack_groups<Int4>(matrix, outputs, inputs, packed, [](const float* weights, int64_t width,
                                                        int64_t output, uint8_t* group) {
    float scale = largest(weights, width) / (kCodebook[0] - 128.0f);
    reinterpret_cast<uint16_t*>(group)[output] = round_up(&scale);
    uint8_t* out = group + 2 * kPanel + 4 * (output % kLanes);
    for (int64_t k = 0; k < Int4::kGroup; ++k) {
      const int code = nearest_code(k < width && scale != 0.0f ? weights[k] / scale : 0.0f);
      out[k / 4 * Int4::kQuadBytes + k % 4] |= static_cast<uint8_t>(code << (output / kLanes * 4));
    }
  });
}

}  // namespace

extern "C" int64_t sparktts_packed_bytes(int64_t outputs, int64_t inputs, int bits) {
  if (bits == 8) return panels(outputs) * groups<Int8>(inputs) * Int8::kGroupBytes;
  if (bits == 4) return panels(outputs) * groups<Int4>(inputs) * Int4::kGroupBytes;
  return panels(outputs) * inputs * kPanel * 4;
}

extern "C" void sparktts_pack(const float* matrix, int64_t outputs, int64_t inputs, int bits,
                              void* packed) {
  if (bits == 8) return pack_int8(matrix, outputs, inputs, static_cast<uint8_t*>(packed));
  if (bits == 4) return pack_int4(matrix, outputs, inputs, static_cast<uint8_t*>(packed));
  pack_float32(matrix, outputs, inputs, static_cast<float*>(packed));
}
