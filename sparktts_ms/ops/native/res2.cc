// The layers of ECAPA-TDNN (ops/res2.py) on frames [T, C]. Each convolution is followed by a ReLU
// and a batch norm, which is a scale and a shift of each channel.

#include "frames.h"

using namespace sparktts;

namespace {

float relu_norm(float x, float scale, float shift) { return std::max(x, 0.0f) * scale + shift; }

}  // namespace

// x [T, C], w, bias, scale, shift [N], taps int32 [1] -> norm(relu(conv(x) + bias)), [T, N]
KERNEL(conv_relu_norm) {
  const float *x = at<const float>(tensors, 0), *bias = at<const float>(tensors, 2);
  const float *scale = at<const float>(tensors, 3), *shift = at<const float>(tensors, 4);
  const int64_t frames = shapes[0][0], channels = shapes[0][1], outputs = shapes[6][1];
  const int64_t taps = at<const int32_t>(tensors, 5)[0], margin = taps / 2;
  if (taps < 1 || taps % 2 == 0) return 1;
  auto padded = [=](int64_t row, float* out) -> const float* {
    if (row >= margin && row < margin + frames) return x + (row - margin) * channels;
    std::fill(out, out + channels, 0.0f);
    return out;
  };
  const Frames<3> input(frames + 2 * margin, channels, 1, padded);
  auto output = [=](float sum, int64_t o, int64_t) {
    return relu_norm(sum + bias[o], scale[o], shift[o]);
  };
  input.multiply({0, 1, taps, 1, 0, channels}, frames, at<const float>(tensors, 1), outputs,
                 store_outputs(at<float>(tensors, 6), outputs, output));
  return 0;
}

// The groups of a Res2 block: x [T, C], w (packed group after group), bias, scale, shift
// [C - width], geometry int32 [3] (width of a group, taps, dilation) -> [T, C]. Group 0 is
// convolved; each other after the result before it is added; the last is copied.
KERNEL(res2_groups) {
  const float *x = at<const float>(tensors, 0), *packed = at<const float>(tensors, 1);
  const float *bias = at<const float>(tensors, 2), *scale = at<const float>(tensors, 3);
  const float* shift = at<const float>(tensors, 4);
  const int32_t* geometry = at<const int32_t>(tensors, 5);
  float* y = at<float>(tensors, 6);
  const int64_t frames = shapes[0][0], channels = shapes[0][1];
  const int64_t width = geometry[0], taps = geometry[1], dilation = geometry[2];
  if (width < 1 || channels % width || taps < 1 || taps % 2 == 0 || dilation < 1) return 1;
  const int64_t margin = taps / 2 * dilation, last = channels - width;
  for (int64_t t = 0; t < frames; ++t)
    std::memcpy(y + t * channels + last, x + t * channels + last, width * sizeof(float));
  for (int64_t first = 0; first < last; first += width) {
    auto sums = [=](int64_t row, float* out) -> const float* {
      const int64_t t = row - margin;
      if (t < 0 || t >= frames) {
        std::fill(out, out + width, 0.0f);
        return out;
      }
      const float* in = x + t * channels + first;
      if (!first) return in;
      for (int64_t i = 0; i < width; ++i) out[i] = in[i] + y[t * channels + first - width + i];
      return out;
    };
    const Frames<3> input(frames + 2 * margin, width, 1, sums);
    auto store_group = [=](const float* sums, int64_t row, int64_t n, int64_t panel) {
      const int64_t column = first + panel * kPanel;
      const int64_t count = std::min<int64_t>(kPanel, first + width - column);
      for (int64_t r = 0; r < n; ++r)
        for (int64_t i = 0; i < count; ++i)
          y[(row + r) * channels + column + i] = relu_norm(
              sums[r * kPanel + i] + bias[column + i], scale[column + i], shift[column + i]);
    };
    input.multiply({0, 1, taps, dilation, 0, width}, frames, packed, width, store_group);
    packed += panels(width) * taps * width * kPanel;
  }
  return 0;
}

// x, y [T, C], squeeze [S, C], its bias [S], excite [C, S], its bias [C], none of them packed
// -> x + y sigmoid(excite relu(squeeze mean(y))), where the mean is over time
KERNEL(squeeze_excitation) {
  const float *x = at<const float>(tensors, 0), *y = at<const float>(tensors, 1);
  const float *squeeze = at<const float>(tensors, 2), *squeeze_bias = at<const float>(tensors, 3);
  const float *excite = at<const float>(tensors, 4), *excite_bias = at<const float>(tensors, 5);
  float* out = at<float>(tensors, 6);
  const int64_t frames = shapes[0][0], channels = shapes[0][1], size = shapes[2][0];
  std::vector<float> mean(channels), hidden(size), gate(channels);
  for (int64_t t = 0; t < frames; ++t)
    for (int64_t c = 0; c < channels; ++c) mean[c] += y[t * channels + c];
  for (float& value : mean) value /= static_cast<float>(frames);
  auto product = [](const float* w, const float* values, int64_t n) {
    float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; ++i) sum += w[i] * values[i];
    return sum;
  };
  for (int64_t s = 0; s < size; ++s)
    hidden[s] = std::max(
        product(squeeze + s * channels, mean.data(), channels) + squeeze_bias[s], 0.0f);
  for (int64_t c = 0; c < channels; ++c) {
    const float value = product(excite + c * size, hidden.data(), size) + excite_bias[c];
    const float e = exp_negative(-std::fabs(value));
    gate[c] = (value < 0.0f ? e : 1.0f) / (1.0f + e);
  }
  parallel_ranges(frames, std::max<int64_t>(1, 16384 / channels), [&](int64_t first, int64_t last) {
    for (int64_t t = first; t < last; ++t)
      for (int64_t c = 0; c < channels; ++c) {
        const int64_t i = t * channels + c;
        out[i] = x[i] + y[i] * gate[c];
      }
  });
  return 0;
}
