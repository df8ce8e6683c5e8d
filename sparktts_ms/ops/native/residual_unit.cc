// The residual unit of the wave generator: x + conv2(snake(conv1(snake(x)))), where conv1 has seven
// taps, which may be dilated, and conv2 one. With AMX; toom_cook.cc has the form in float32.

#include "frames.h"

using namespace sparktts;

namespace {

constexpr int64_t kChunkBytes = 3 << 20;        // of inputs, which stay in the cache

}  // namespace

// x [T, C], conv1's matrix, bias, alpha [C], conv2's matrix, bias, alpha [C], dilation int32 [1]
// -> [T, C]
KERNEL(residual_unit) {
  constexpr int64_t kTaps = 7;
  const float *x = at<const float>(tensors, 0), *bias1 = at<const float>(tensors, 2);
  const float *alpha1 = at<const float>(tensors, 3), *bias2 = at<const float>(tensors, 5);
  const float* alpha2 = at<const float>(tensors, 6);
  const int64_t dilation = at<const int32_t>(tensors, 7)[0];
  float* y = at<float>(tensors, 8);
  if (dilation < 1) return 1;
  const int64_t frames = shapes[0][0], channels = shapes[0][1], margin = kTaps / 2 * dilation;
  const int64_t chunk = std::min(frames, std::max<int64_t>(1, kChunkBytes / (4 * channels)));
  for (int64_t begin = 0; begin < frames; begin += chunk) {
    const int64_t count = std::min(chunk, frames - begin);
    auto activated = [&](int64_t row, float* out) {
      const int64_t t = begin - margin + row;
      if (t < 0 || t >= frames)
        std::fill(out, out + channels, 0.0f);
      else
        for (int64_t c = 0; c < channels; ++c) out[c] = snake(x[t * channels + c] * alpha1[c]);
      return out;
    };
    const Frames<2> input(count + 2 * margin, channels, 1, activated);
    Frames<2> hidden(count, channels);
    auto to_hidden = [&](const float* sums, int64_t row, int64_t n, int64_t panel) {
      const int64_t first = panel * kPanel, width = std::min<int64_t>(kPanel, channels - first);
      for (int64_t r = 0; r < n; ++r) {
        float out[kPanel];
        for (int64_t i = 0; i < width; ++i)
          out[i] = snake((sums[r * kPanel + i] + bias1[first + i]) * alpha2[first + i]);
        hidden.write(row + r, first, width, out);
      }
    };
    input.multiply({0, 1, kTaps, dilation, 0, channels}, count, at<const float>(tensors, 1),
                   channels, to_hidden);
    auto add = [=](float sum, int64_t o, int64_t i) {
      return x[begin * channels + i] + (sum + bias2[o]);
    };
    hidden.multiply({0, 1, 1, 1, 0, channels}, count, at<const float>(tensors, 4), channels,
                    store_outputs(y + begin * channels, channels, add));
  }
  return 0;
}
