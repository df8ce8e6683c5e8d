// Convolutions over time, on frames stored one a row [T, C], as products of windows (frames.h).
//
// The input is copied, through an activation where there is one, into frames with zeros on both
// sides, so that neither the product nor the activation handles edges.

#include "frames.h"

using namespace sparktts;

namespace {

// What makes the frames of x [T, C] behind `before` frames of zeros (and before any number of
// them); alpha [C]: x passes a snake u + sin(u)^2 with u = alpha x, or null for none
auto padded(const float* x, int64_t frames, int64_t channels, const float* alpha, int64_t before) {
  return [=](int64_t row, float* out) -> const float* {
    if (row < before || row >= before + frames) {
      std::fill(out, out + channels, 0.0f);
      return out;
    }
    const float* in = x + (row - before) * channels;
    if (!alpha) return in;
    for (int64_t c = 0; c < channels; ++c) out[c] = snake(in[c] * alpha[c]);
    return out;
  };
}

// How a convolution reads its input: int32 [5].
struct Geometry {
  int64_t taps, stride, padding, snake, tiles;
  explicit Geometry(const int32_t* g)
      : taps(g[0]), stride(g[1]), padding(g[2]), snake(g[3]), tiles(g[4]) {}
};

// A convolution with few outputs, whose panel would be mostly zeros: its windows times columns of
// the panel. make: of a frame, as `padded` returns it.
template <typename Make>
void convolve_to_few(const Geometry& g, int64_t channels, int64_t out_frames, int64_t outputs,
                     const float* panel, const float* bias, const Make& make, float* y) {
  const int64_t width = g.taps * channels, vectors = width / kLanes * kLanes;
  std::vector<float> columns(outputs * width);
  for (int64_t o = 0; o < outputs; ++o)
    for (int64_t k = 0; k < width; ++k) columns[o * width + k] = panel[k * kPanel + o];
  const int64_t step = std::max<int64_t>(16, 65536 / (channels * g.stride));
  parallel_ranges(out_frames, step, [&](int64_t first, int64_t last) {
    const int64_t rows = (last - 1 - first) * g.stride + g.taps;
    Scratch scratch(rows * channels * 4);
    float* frames = scratch.as<float>();
    for (int64_t row = 0; row < rows; ++row) {
      float* out = frames + row * channels;
      const float* frame = make(first * g.stride + row, out);
      if (frame != out) std::memcpy(out, frame, channels * sizeof(float));
    }
    for (int64_t t = first; t < last; ++t)
      for (int64_t o = 0; o < outputs; ++o) {
        const float *x = frames + (t - first) * g.stride * channels, *w = &columns[o * width];
        f32x16 sums[2] = {};
        for (int64_t k = 0; k < vectors; k += kLanes)
          sums[k / kLanes % 2] += load<f32x16>(x + k) * load<f32x16>(w + k);
        sums[0] += sums[1];
        float sum = bias[o];
        for (int lane = 0; lane < kLanes; ++lane) sum += sums[0][lane];
        for (int64_t k = vectors; k < width; ++k) sum += x[k] * w[k];
        y[t * outputs + o] = sum;
      }
  });
}

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
  auto make = padded(x, frames, channels, g.snake ? alpha : nullptr, g.padding);
  if (outputs <= 4) {
    convolve_to_few(g, channels, out_frames, outputs, at<const float>(tensors, 1), bias, make,
                    at<float>(tensors, 5));
    return 0;
  }
  auto add_bias = [=](float sum, int64_t o, int64_t) { return sum + bias[o]; };
  auto multiply = [&](const Frames<3>& input) {
    input.multiply({0, g.stride, g.taps, 1, 0, channels}, out_frames, at<const float>(tensors, 1),
                   outputs, store_outputs(at<float>(tensors, 5), outputs, add_bias));
  };
  if (g.snake || g.padding)
    multiply(Frames<3>(frames + 2 * g.padding, channels, g.stride, make));
  else
    multiply(Frames<3>(x, frames, channels, g.stride));
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
  const Frames<2> input(frames + 2 * margin, channels, 1,
                        padded(at<const float>(tensors, 0), frames, channels,
                               g.snake ? alpha : nullptr, margin),
                        g.tiles != 0);
  std::vector<WindowMatrix> phases;
  const float* packed = at<const float>(tensors, 1);
  for (int64_t phase = 0; phase < g.stride; ++phase) {
    const int64_t first_tap = (phase + g.padding) % g.stride;
    const int64_t shift = (phase + g.padding) / g.stride;
    const int64_t taps = (g.taps - first_tap + g.stride - 1) / g.stride;
    // taps are packed from the earliest row to the latest
    phases.push_back({{margin + shift - (taps - 1), 1, taps, 1, 0, channels}, packed});
    packed += panels(outputs) * taps * channels * kPanel;
  }
  auto epilogue = [&](const float* sums, int64_t row, int64_t n, int64_t panel, int64_t phase) {
    const int64_t first = panel * kPanel, width = std::min<int64_t>(kPanel, outputs - first);
    for (int64_t r = 0; r < n; ++r) {
      float* out = y + ((row + r) * g.stride + phase) * outputs + first;
      for (int64_t i = 0; i < width; ++i) out[i] = sums[r * kPanel + i] + bias[first + i];
    }
  };
  input.multiply(frames, g.stride, outputs, [&](int64_t phase) { return phases[phase]; }, epilogue);
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
  const float* packed = at<const float>(tensors, 1);
  float* y = at<float>(tensors, 5);
  const Frames<3> input(frames + g.padding + after, channels, 1,
                        padded(x, frames, channels, nullptr, g.padding), size % kPanel == 0);
  auto locate = [&](int64_t group) {
    return WindowMatrix{{0, 1, g.taps, 1, group * size, size},
                        packed + group * panels(size) * g.taps * size * kPanel};
  };
  auto epilogue = [&](const float* sums, int64_t row, int64_t n, int64_t panel, int64_t group) {
    const int64_t first = panel * kPanel, width = std::min<int64_t>(kPanel, size - first);
    for (int64_t r = 0; r < n; ++r)
      for (int64_t i = 0; i < width; ++i) {
        const int64_t channel = group * size + first + i;
        const int64_t index = (row + r) * channels + channel;
        y[index] = x[index] + gelu_erf(sums[r * kPanel + i] + bias[channel]);
      }
  };
  input.multiply(frames, groups, size, locate, epilogue);
  return 0;
}
