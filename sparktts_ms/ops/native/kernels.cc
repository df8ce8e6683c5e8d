// The few operators that MindSpore's CPU backend has no good form for, called through ops.Custom ("aot").
//
// Plain loops that any C++ compiler vectorises for its machine; each has a reference in ops/ built of MindSpore's own
// operators, and a test that holds the two together. All tensors are float32 unless a comment says otherwise.
//
// Only kernels that run for milliseconds use OpenMP: beside MindSpore's own threads, which keep their cores awake, waking
// a second thread takes longer than the decode step's small kernels do.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#define KERNEL(name) \
  extern "C" int name(int, void** tensors, int* ranks, int64_t** shapes, const char**, void*, void*)

namespace {

template <typename T>
T* at(void** tensors, int index) {
  return static_cast<T*>(tensors[index]);
}

int64_t elements(const int64_t* shape, int rank) {
  int64_t n = 1;
  for (int i = 0; i < rank; ++i) n *= shape[i];
  return n;
}

// sin(x)^2 by reduction to [-pi/2, pi/2] (where the square has period pi) and the Taylor-like minimax of sin; 3e-7 off.
inline float sine_squared(float x) {
  const float turns = std::nearbyint(x * 0.318309886f);
  const float r = (x - turns * 3.140625f) - turns * 9.67653589793e-4f;
  const float r2 = r * r;
  const float sine = r * (1.0f + r2 * (-1.6666667e-1f + r2 * (8.3333310e-3f + r2 * (-1.9840874e-4f +
                     r2 * (2.7525562e-6f + r2 * -2.3889859e-8f)))));
  return sine * sine;
}

// exp(x) for x <= 0; 2e-7 relative. Written out because the library's is a call that does not vectorise.
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

// x/2 (1 + erf(x / sqrt 2)); Abramowitz and Stegun 7.1.26, 2e-7 off.
inline float gelu_erf(float x) {
  const float z = std::fabs(x) * 0.707106781f;
  const float t = 1.0f / (1.0f + 0.3275911f * z);
  const float p = t * (0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
  const float tail = 0.5f * p * exp_negative(-z * z);       // the share of a normal distribution beyond |x|
  return x * (x < 0.0f ? tail : 1.0f - tail);
}

}  // namespace

// x of any shape -> gelu(x)
KERNEL(gelu) {
  const float* x = at<const float>(tensors, 0);
  float* y = at<float>(tensors, 1);
  const int64_t n = elements(shapes[0], ranks[0]);
#pragma omp parallel for simd schedule(static)
  for (int64_t i = 0; i < n; ++i) y[i] = gelu_erf(x[i]);
  return 0;
}

// x [1, C, 1, T], gain and bias [C], eps [1] -> gelu(layer norm over channels), same shape
KERNEL(channel_norm_gelu) {
  const float* x = at<const float>(tensors, 0);
  const float* gain = at<const float>(tensors, 1);
  const float* bias = at<const float>(tensors, 2);
  const float eps = at<const float>(tensors, 3)[0];
  float* y = at<float>(tensors, 4);
  const int64_t channels = shapes[0][1], length = shapes[0][3], block = 64;
#pragma omp parallel for schedule(static)
  for (int64_t start = 0; start < length; start += block) {
    const int64_t n = std::min(block, length - start);
    float mean[block] = {}, scale[block] = {};
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t t = 0; t < n; ++t) mean[t] += x[c * length + start + t];
    for (int64_t t = 0; t < n; ++t) mean[t] /= channels;
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t t = 0; t < n; ++t) {
        const float d = x[c * length + start + t] - mean[t];
        scale[t] += d * d;
      }
    for (int64_t t = 0; t < n; ++t) scale[t] = 1.0f / std::sqrt(scale[t] / channels + eps);
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t t = 0; t < n; ++t) {
        const int64_t i = c * length + start + t;
        y[i] = gelu_erf((x[i] - mean[t]) * scale[t] * gain[c] + bias[c]);
      }
  }
  return 0;
}

// x [1, C, 1, T], frequency [C] -> u + sin(u)^2 with u = frequency x
KERNEL(snake) {
  const float* x = at<const float>(tensors, 0);
  const float* frequency = at<const float>(tensors, 1);
  float* y = at<float>(tensors, 2);
  const int64_t channels = shapes[0][1], length = shapes[0][3];
#pragma omp parallel for schedule(static)
  for (int64_t c = 0; c < channels; ++c) {
    const float f = frequency[c];
    const float* row = x + c * length;
    float* out = y + c * length;
    for (int64_t t = 0; t < length; ++t) {
      const float u = row[t] * f;
      out[t] = u + sine_squared(u);
    }
  }
  return 0;
}

// x and y [1, C, 1, T], keep [T, 1] -> (x + y) keep
KERNEL(add_kept) {
  const float *x = at<const float>(tensors, 0), *y = at<const float>(tensors, 1), *keep = at<const float>(tensors, 2);
  float* out = at<float>(tensors, 3);
  const int64_t channels = shapes[0][1], length = shapes[0][3];
#pragma omp parallel for schedule(static)
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t t = 0; t < length; ++t) out[c * length + t] = (x[c * length + t] + y[c * length + t]) * keep[t];
  return 0;
}

// x [1, C, 1, T], keep [T, 1] -> x keep
KERNEL(kept) {
  const float *x = at<const float>(tensors, 0), *keep = at<const float>(tensors, 1);
  float* out = at<float>(tensors, 2);
  const int64_t channels = shapes[0][1], length = shapes[0][3];
#pragma omp parallel for schedule(static)
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t t = 0; t < length; ++t) out[c * length + t] = x[c * length + t] * keep[t];
  return 0;
}

// x [T, C], eps [1] -> x / sqrt(mean(x^2) + eps)
KERNEL(rms_norm) {
  const float* x = at<const float>(tensors, 0);
  const float eps = at<const float>(tensors, 1)[0];
  float* y = at<float>(tensors, 2);
  const int64_t rows = shapes[0][0], size = shapes[0][1];
  for (int64_t t = 0; t < rows; ++t, x += size, y += size) {
    float sum = 0.0f;
    for (int64_t i = 0; i < size; ++i) sum += x[i] * x[i];
    const float scale = 1.0f / std::sqrt(sum / size + eps);
    for (int64_t i = 0; i < size; ++i) y[i] = x[i] * scale;
  }
  return 0;
}

// x [T, 2 I], gate first -> silu(gate) * up, [T, I]
KERNEL(swiglu) {
  const float* x = at<const float>(tensors, 0);
  float* y = at<float>(tensors, 1);
  const int64_t rows = shapes[0][0], size = shapes[0][1] / 2;
  for (int64_t t = 0; t < rows; ++t) {
    const float *gate = x + 2 * t * size, *up = gate + size;
    float* out = y + t * size;
    for (int64_t i = 0; i < size; ++i) {
      // e = exp(-|g|); sigmoid(g) is 1 / (1 + e) or e / (1 + e)
      const float e = exp_negative(-std::fabs(gate[i]));
      out[i] = gate[i] * (gate[i] < 0.0f ? e : 1.0f) / (1.0f + e) * up[i];
    }
  }
  return 0;
}

// One new position: rotary, write to the cache, attention over what is written.
// qkv [1, (H + 2 K) D], cos and sin [S, D], keys and values [K S, D] (written in place), position int32 [1] -> [1, H D]
KERNEL(attend) {
  const float* qkv = at<const float>(tensors, 0);
  const float* cosines = at<const float>(tensors, 1);
  const float* sines = at<const float>(tensors, 2);
  float* keys = at<float>(tensors, 3);
  float* values = at<float>(tensors, 4);
  const int64_t position = at<const int32_t>(tensors, 5)[0];
  float* y = at<float>(tensors, 6);
  const int64_t capacity = shapes[1][0], dim = shapes[1][1], half = dim / 2;
  const int64_t groups = shapes[3][0] / capacity;
  const int64_t heads = elements(shapes[0], ranks[0]) / dim - 2 * groups, per_group = heads / groups;
  if (position < 0 || position >= capacity) return 1;
  const float *cosine = cosines + position * dim, *sine = sines + position * dim;
  for (int64_t g = 0; g < groups; ++g) {
    float* group_keys = keys + g * capacity * dim;
    float* group_values = values + g * capacity * dim;
    auto turn = [&](const float* x, float* out) {
      for (int64_t i = 0; i < half; ++i) {
        out[i] = x[i] * cosine[i] - x[i + half] * sine[i];
        out[i + half] = x[i + half] * cosine[i + half] + x[i] * sine[i + half];
      }
    };
    turn(qkv + (heads + g) * dim, group_keys + position * dim);
    std::memcpy(group_values + position * dim, qkv + (heads + groups + g) * dim, dim * sizeof(float));
    std::vector<float> query(dim), scores(position + 1);
    for (int64_t h = g * per_group; h < (g + 1) * per_group; ++h) {
      turn(qkv + h * dim, query.data());
      float top = -1e30f;
      for (int64_t s = 0; s <= position; ++s) {
        const float* key = group_keys + s * dim;
        float product = 0.0f;
        for (int64_t i = 0; i < dim; ++i) product += query[i] * key[i];
        scores[s] = product;
        top = std::max(top, product);
      }
      float sum = 0.0f;
      for (int64_t s = 0; s <= position; ++s) {
        scores[s] = exp_negative(scores[s] - top);
        sum += scores[s];
      }
      float* out = y + h * dim;
      std::fill(out, out + dim, 0.0f);
      for (int64_t s = 0; s <= position; ++s) {
        const float share = scores[s];
        const float* value = group_values + s * dim;
        for (int64_t i = 0; i < dim; ++i) out[i] += share * value[i];
      }
      for (int64_t i = 0; i < dim; ++i) out[i] /= sum;
    }
  }
  return 0;
}
