// Convolutions over time, on frames stored one a row [T, C], as products of shifted rows (gemm.h).
//
// The input is copied, through an activation where there is one, into rows with zeros on both
// sides, so that neither the product nor the activation handles edges.

#include "gemm.h"

using namespace sparktts;

namespace {

// x [T, C] -> `before` rows of zeros, x, `after` rows of zeros; alpha [C]: x passes a snake
// u + sin(u)^2 with u = alpha x, or null for none
void pad(const float* x, int64_t frames, int64_t channels, const float* alpha, int64_t before,
         int64_t after, float* out) {
  std::fill(out, out + before * channels, 0.0f);
  const int64_t step = std::max<int64_t>(1, 16384 / channels);
  parallel_ranges(frames, step, [&](int64_t first, int64_t last) {
    for (int64_t t = first; t < last; ++t) {
      const float* row = x + t * channels;
      float* to = out + (before + t) * channels;
      if (alpha)
        for (int64_t c = 0; c < channels; ++c) {
          const float u = row[c] * alpha[c];
          to[c] = u + sine_squared(u);
        }
      else
        std::memcpy(to, row, channels * sizeof(float));
    }
  });
  float* end = out + (before + frames) * channels;
  std::fill(end, end + after * channels, 0.0f);
}

// How a convolution reads its input: int32 [4].
struct Geometry {
  int64_t taps, stride, padding, snake;
  explicit Geometry(const int32_t* g) : taps(g[0]), stride(g[1]), padding(g[2]), snake(g[3]) {}
};

}  // namespace

// x [T, C], w, bias [N], alpha [C], geometry -> [T', N]
KERNEL(conv) {
  const float *x = at<const float>(tensors, 0), *bias = at<const float>(tensors, 2);
  const float* alpha = at<const float>(tensors, 3);
  const Geometry g(at<const int32_t>(tensors, 4));
  const int64_t frames = shapes[0][0], channels = shapes[0][1];
  const int64_t out_frames = shapes[5][0], outputs = shapes[5][1];
  const int64_t last = (out_frames - 1) * g.stride + g.taps - 1;
  if (g.taps < 1 || g.stride < 1 || last >= frames + 2 * g.padding) return 1;
  const bool copied = g.snake || g.padding;
  Scratch scratch(copied ? (frames + 2 * g.padding) * channels * 4 : 0);
  if (copied) {
    pad(x, frames, channels, g.snake ? alpha : nullptr, g.padding, g.padding, scratch.as<float>());
    x = scratch.as<float>();
  }
  auto add_bias = [=](float sum, int64_t o, int64_t) { return sum + bias[o]; };
  multiply(Rows{x, g.stride * channels, g.taps * channels}, out_frames, at<const char>(tensors, 1),
           g.taps * channels * kPanel * 4, 0, panels(outputs),
           store_outputs(at<float>(tensors, 5), outputs, add_bias));
  return 0;
}

// Upsampling by `stride`: x [T, C], w, bias [N], alpha [C], geometry (all taps) -> [stride T, N]
// Output stride * q + phase reads rows q + shift - m, m = 0 .. taps - 1 of the phase; each phase
// has a matrix of its own.
KERNEL(conv_transpose) {
  const float *bias = at<const float>(tensors, 2), *alpha = at<const float>(tensors, 3);
  const Geometry g(at<const int32_t>(tensors, 4));
  const int64_t frames = shapes[0][0], channels = shapes[0][1], outputs = shapes[5][1];
  if (g.taps < g.stride || shapes[5][0] != g.stride * frames) return 1;
  const int64_t margin = (g.taps + g.stride - 1) / g.stride;
  float* y = at<float>(tensors, 5);
  const char* packed = at<const char>(tensors, 1);
  Scratch scratch((frames + 2 * margin) * channels * 4);
  pad(at<const float>(tensors, 0), frames, channels, g.snake ? alpha : nullptr, margin, margin,
      scratch.as<float>());
  for (int64_t phase = 0; phase < g.stride; ++phase) {
    const int64_t first_tap = (phase + g.padding) % g.stride;
    const int64_t shift = (phase + g.padding) / g.stride;
    const int64_t taps = (g.taps - first_tap + g.stride - 1) / g.stride;
    // taps are packed from the earliest row to the latest
    const Rows rows{scratch.as<float>() + (margin + shift - (taps - 1)) * channels, channels,
                    taps * channels};
    const int64_t panel_bytes = taps * channels * kPanel * 4;
    auto epilogue = [&](const float* sums, int64_t row, int64_t n, int64_t panel) {
      const int64_t first = panel * kPanel, width = std::min<int64_t>(kPanel, outputs - first);
      for (int64_t r = 0; r < n; ++r) {
        float* out = y + ((row + r) * g.stride + phase) * outputs + first;
        for (int64_t i = 0; i < width; ++i) out[i] = sums[r * kPanel + i] + bias[first + i];
      }
    };
    multiply(rows, frames, packed, panel_bytes, 0, panels(outputs), epilogue);
    packed += panels(outputs) * panel_bytes;
  }
  return 0;
}

// One filter a channel: x [T, C], w [taps, C], bias [C] -> [T, C], zeros outside
KERNEL(depthwise_conv) {
  const float *x = at<const float>(tensors, 0), *w = at<const float>(tensors, 1);
  const float* bias = at<const float>(tensors, 2);
  float* y = at<float>(tensors, 3);
  const int64_t frames = shapes[0][0], channels = shapes[0][1], taps = shapes[1][0];
  const int64_t step = std::max<int64_t>(1, 8192 / channels);
  parallel_ranges(frames, step, [&](int64_t first, int64_t last) {
    for (int64_t t = first; t < last; ++t) {
      float* out = y + t * channels;
      std::memcpy(out, bias, channels * sizeof(float));
      for (int64_t tap = 0; tap < taps; ++tap) {
        const int64_t from = t + tap - taps / 2;
        if (from < 0 || from >= frames) continue;
        const float *row = x + from * channels, *weights = w + tap * channels;
        for (int64_t c = 0; c < channels; ++c) out[c] += weights[c] * row[c];
      }
    }
  });
  return 0;
}

// wav2vec 2.0's positional embedding, a grouped convolution of many taps:
// x [T, C], w (packed group after group), bias [C], geometry, groups int32 [1]
// -> gelu(conv(x) + bias) + x, [T, C]
KERNEL(positional_conv) {
  const float *x = at<const float>(tensors, 0), *bias = at<const float>(tensors, 2);
  const Geometry g(at<const int32_t>(tensors, 3));
  const int64_t groups = at<const int32_t>(tensors, 4)[0];
  const int64_t frames = shapes[0][0], channels = shapes[0][1];
  if (groups < 1 || channels % groups) return 1;
  const int64_t size = channels / groups, after = g.taps - 1 - g.padding;
  const char* packed = at<const char>(tensors, 1);
  float* y = at<float>(tensors, 5);
  Scratch scratch((frames + g.taps - 1) * channels * 4);
  pad(x, frames, channels, nullptr, g.padding, after, scratch.as<float>());
  const int64_t panel_bytes = g.taps * size * kPanel * 4;
  for (int64_t group = 0; group < groups; ++group, packed += panels(size) * panel_bytes) {
    const Rows rows{scratch.as<float>() + group * size, channels, size, g.taps, channels};
    auto epilogue = [&](const float* sums, int64_t row, int64_t n, int64_t panel) {
      const int64_t first = panel * kPanel, width = std::min<int64_t>(kPanel, size - first);
      for (int64_t r = 0; r < n; ++r)
        for (int64_t i = 0; i < width; ++i) {
          const int64_t channel = group * size + first + i;
          const int64_t index = (row + r) * channels + channel;
          y[index] = x[index] + gelu_erf(sums[r * kPanel + i] + bias[channel]);
        }
    };
    multiply(rows, frames, packed, panel_bytes, 0, panels(size), epilogue);
  }
  return 0;
}
