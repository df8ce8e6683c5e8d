// Vectors of sixteen lanes, which the compiler maps to the machine's, and functions on them.
//
// All in the portable vector extensions of GCC and clang except `dot4` and `lookup`, whose
// instructions have a different name on each architecture.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

namespace sparktts {

constexpr int kLanes = 16;

typedef float f32x16 __attribute__((vector_size(64)));
typedef int32_t i32x16 __attribute__((vector_size(64)));
typedef uint32_t u32x16 __attribute__((vector_size(64)));
typedef uint16_t u16x16 __attribute__((vector_size(32)));
typedef uint8_t u8x64 __attribute__((vector_size(64)));

template <typename V>
inline V load(const void* p) {
  V v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

template <typename V>
inline void store(void* p, V v) {
  std::memcpy(p, &v, sizeof v);
}

inline f32x16 broadcast(float x) { return x - f32x16{}; }
inline i32x16 broadcast(int32_t x) { return x - i32x16{}; }
inline f32x16 to_float(i32x16 x) { return __builtin_convertvector(x, f32x16); }

// Sixteen bfloat16 as float32.
inline f32x16 bf16_to_float(const uint16_t* p) {
#if defined(__AVX512F__)
  const __m512i bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)p));
  return (f32x16)_mm512_slli_epi32(bits, 16);
#else
  const u32x16 bits = __builtin_convertvector(load<u16x16>(p), u32x16) << 16;
  return load<f32x16>(&bits);
#endif
}

// Sixteen float16 as float32. They are finite.
inline f32x16 half_to_float(const uint16_t* p) {
#if defined(__AVX512F__)
  return (f32x16)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)p));
#elif defined(__F16C__)
  const __m256 halves[2] = {_mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p)),
                            _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)(p + 8)))};
  return load<f32x16>(halves);
#elif defined(__ARM_NEON) && defined(__aarch64__)
  float32x4_t parts[4];
  for (int i = 0; i < 4; ++i) parts[i] = vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i)));
  return load<f32x16>(parts);
#else
  // as exponent and mantissa of a float32 they are 2^112 times too small
  const u32x16 bits = __builtin_convertvector(load<u16x16>(p), u32x16);
  const u32x16 magnitude = (bits & 0x7fff) << 13, sign = (bits & 0x8000) << 16;
  const f32x16 value = load<f32x16>(&magnitude) * 0x1p112f;
  const u32x16 result = load<u32x16>(&value) | sign;
  return load<f32x16>(&result);
#endif
}

// The nearest float16, or the largest finite one.
inline uint16_t float_to_half(float x) {
  const float magnitude = std::min(std::fabs(x), 65504.0f) * 0x1p-112f;
  uint32_t bits, sign;
  std::memcpy(&bits, &magnitude, 4);
  std::memcpy(&sign, &x, 4);
  bits += 0xfff + ((bits >> 13) & 1);
  return static_cast<uint16_t>((sign >> 16 & 0x8000) | bits >> 13);
}

// sums + for each lane the dot product of its four weights (unsigned) with the four bytes at `x`.
inline i32x16 dot4(i32x16 sums, u8x64 weights, const int8_t* x) {
  int32_t four;
  std::memcpy(&four, x, 4);
#if defined(__AVX512VNNI__)
  return (i32x16)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)weights, _mm512_set1_epi32(four));
#elif defined(__AVX2__)
  // Without VNNI: in 16 bits, because the 8-bit product saturates.
  __m256i halves[2], bytes[2];
  std::memcpy(halves, &sums, sizeof sums);
  std::memcpy(bytes, &weights, sizeof weights);
  const __m256i x16 = _mm256_cvtepi8_epi16(_mm_set1_epi32(four));
  for (int h = 0; h < 2; ++h) {
    const __m256i low = _mm256_cvtepu8_epi16(_mm256_castsi256_si128(bytes[h]));
    const __m256i high = _mm256_cvtepu8_epi16(_mm256_extracti128_si256(bytes[h], 1));
    // each adjacent pair is one lane's sum; hadd orders them 0 1 4 5 2 3 6 7
    const __m256i pairs =
        _mm256_hadd_epi32(_mm256_madd_epi16(low, x16), _mm256_madd_epi16(high, x16));
    halves[h] = _mm256_add_epi32(halves[h], _mm256_permute4x64_epi64(pairs, 0xd8));
  }
  std::memcpy(&sums, halves, sizeof sums);
  return sums;
#elif defined(__ARM_FEATURE_DOTPROD)
  int32x4_t parts[4];
  uint8x16_t bytes[4];
  std::memcpy(parts, &sums, sizeof sums);
  std::memcpy(bytes, &weights, sizeof weights);
  const int8x16_t x8 = vreinterpretq_s8_s32(vdupq_n_s32(four));
#if defined(__ARM_FEATURE_MATMUL_INT8)
  for (int p = 0; p < 4; ++p) parts[p] = vusdotq_s32(parts[p], bytes[p], x8);
#else
  // The instruction is signed: weights - 128, and 128 times the sum of x added back, as twice 64,
  // because 128 does not fit int8.
  const int32x4_t back = vdotq_s32(vdupq_n_s32(0), x8, vdupq_n_s8(64));
  for (int p = 0; p < 4; ++p) {
    const int8x16_t w8 = vreinterpretq_s8_u8(veorq_u8(bytes[p], vdupq_n_u8(0x80)));
    parts[p] = vaddq_s32(vdotq_s32(parts[p], w8, x8), vaddq_s32(back, back));
  }
#endif
  std::memcpy(&sums, parts, sizeof sums);
  return sums;
#else
  for (int lane = 0; lane < kLanes; ++lane)
    for (int i = 0; i < 4; ++i) sums[lane] += weights[4 * lane + i] * x[i];
  return sums;
#endif
}

// For each byte of `codes`, below 16, the entry of `table`.
inline u8x64 lookup(const uint8_t* table, u8x64 codes) {
#if defined(__AVX512BW__)
  const __m512i entries = _mm512_broadcast_i32x4(_mm_load_si128((const __m128i*)table));
  return (u8x64)_mm512_shuffle_epi8(entries, (__m512i)codes);
#elif defined(__AVX2__)
  __m256i halves[2];
  std::memcpy(halves, &codes, sizeof codes);
  const __m256i entries = _mm256_broadcastsi128_si256(_mm_load_si128((const __m128i*)table));
  for (auto& half : halves) half = _mm256_shuffle_epi8(entries, half);
  std::memcpy(&codes, halves, sizeof codes);
  return codes;
#elif defined(__ARM_NEON) && defined(__aarch64__)
  uint8x16_t parts[4];
  std::memcpy(parts, &codes, sizeof codes);
  const uint8x16_t entries = vld1q_u8(table);
  for (auto& part : parts) part = vqtbl1q_u8(entries, part);
  std::memcpy(&codes, parts, sizeof codes);
  return codes;
#else
  for (int i = 0; i < 64; ++i) codes[i] = table[codes[i]];
  return codes;
#endif
}

// sin(x)^2 by reduction to [-pi/2, pi/2] (the square has period pi) and a minimax polynomial of
// sin; absolute error 3e-7.
inline float sine_squared(float x) {
  const float n = std::nearbyint(x * 0.318309886f);
  const float r = (x - n * 3.140625f) - n * 9.67653589793e-4f;
  const float r2 = r * r;
  const float sine = r * (1.0f + r2 * (-1.6666667e-1f + r2 * (8.3333310e-3f + r2 * (-1.9840874e-4f +
                     r2 * (2.7525562e-6f + r2 * -2.3889859e-8f)))));
  return sine * sine;
}

inline float snake(float u) { return u + sine_squared(u); }

// exp(x) for x <= 0; relative error 2e-7. The standard library's does not vectorise.
inline float exp_negative(float x) {
  x = std::max(x, -87.0f);
  const float n = std::nearbyint(x * 1.44269504f);
  const float r = (x - n * 0.693145752f) - n * 1.42860677e-6f;
  const float p = 1.0f + r * (1.0f + r * (0.5f + r * (1.66666667e-1f + r * (4.16666667e-2f +
                  r * (8.33333333e-3f + r * 1.38888889e-3f)))));
  const int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
  float scale;
  std::memcpy(&scale, &bits, sizeof scale);
  return p * scale;
}

// x/2 (1 + erf(x / sqrt 2)); Abramowitz and Stegun 7.1.26, absolute error 2e-7.
inline float gelu_erf(float x) {
  const float z = std::fabs(x) * 0.707106781f;
  const float t = 1.0f / (1.0f + 0.3275911f * z);
  const float p = t * (0.254829592f + t * (-0.284496736f + t * (1.421413741f +
                  t * (-1.453152027f + t * 1.061405429f))));
  const float tail = 0.5f * p * exp_negative(-z * z);       // of a normal distribution beyond |x|
  return x * (x < 0.0f ? tail : 1.0f - tail);
}

// x sigmoid(x), with e = exp(-|x|): sigmoid(x) is 1 / (1 + e) or e / (1 + e)
inline float silu(float x) {
  const float e = exp_negative(-std::fabs(x));
  return x * (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

}  // namespace sparktts
