// Convolutions over time, on frames stored one a row [T, C], as products of shifted rows (see gemm.h).
//
// Before the product every row may pass an activation; it is written once into a copy that has zeros on both sides, so that
// neither the product nor the activation knows of edges.

#include "gemm.h"

using namespace sparktts;

namespace {

// x [T, C] -> rows of `before` zeros, activated x, `after` zeros; frequency: of the snake u + sin(u)^2, or null for none
void pad(const float* x, int64_t frames, int64_t channels, const float* frequency, int64_t before, int64_t after, float* out) {
  std::fill(out, out + before * channels, 0.0f);
  parallel_ranges(frames, std::max<int64_t>(1, 16384 / channels), [&](int64_t first, int64_t last) {
    for (int64_t t = first; t < last; ++t) {
      const float* row = x + t * channels;
      float* to = out + (before + t) * channels;
      if (frequency)
        for (int64_t c = 0; c < channels; ++c) {
          const float u = row[c] * frequency[c];
          to[c] = u + sine_squared(u);
        }
      else
        std::memcpy(to, row, channels * sizeof(float));
    }
  });
  std::fill(out + (before + frames) * channels, out + (before + frames + after) * channels, 0.0f);
}

// How a convolution reads its input: int32 [5].
struct Geometry {
  int64_t taps, stride, dilation, padding, activated;
  explicit Geometry(const int32_t* g) : taps(g[0]), stride(g[1]), dilation(g[2]), padding(g[3]), activated(g[4]) {}
};

// each(sum, output channel, index in y) for every output
template <typename Each>
int convolve(const float* x, int64_t frames, int64_t channels, const float* packed, const float* frequency,
             const Geometry& g, float* y, int64_t out_frames, int64_t outputs, const Each& each) {
  if (g.taps < 1 || g.stride < 1 || (out_frames - 1) * g.stride + (g.taps - 1) * g.dilation >= frames + 2 * g.padding) return 1;
  const bool copied = g.activated || g.padding;
  Scratch scratch(copied ? (frames + 2 * g.padding) * channels * 4 : 0);
  if (copied) {
    pad(x, frames, channels, g.activated ? frequency : nullptr, g.padding, g.padding, scratch.as<float>());
    x = scratch.as<float>();
  }
  const bool dense = g.dilation == 1;           // then the taps of a row lie side by side
  const Rows rows{x, g.stride * channels, dense ? g.taps * channels : channels, dense ? 1 : g.taps, g.dilation * channels};
  multiply(rows, out_frames, reinterpret_cast<const char*>(packed), g.taps * channels * kPanel * 4, 0, panels(outputs),
           [&](const float* sums, int64_t row, int64_t n, int64_t panel) {
             const int64_t first = panel * kPanel, width = std::min<int64_t>(kPanel, outputs - first);
             for (int64_t r = 0; r < n; ++r) {
               const int64_t start = (row + r) * outputs + first;
               for (int64_t i = 0; i < width; ++i) y[start + i] = each(sums[r * kPanel + i], first + i, start + i);
             }
           });
  return 0;
}

}  // namespace

// x [T, C], w, bias [N], frequency [C], geometry -> [T', N]
KERNEL(conv) {
  const float* bias = at<const float>(tensors, 2);
  return convolve(at<const float>(tensors, 0), shapes[0][0], shapes[0][1], at<const float>(tensors, 1),
                  at<const float>(tensors, 3), Geometry(at<const int32_t>(tensors, 4)), at<float>(tensors, 5), shapes[5][0],
                  shapes[5][1], [=](float sum, int64_t o, int64_t) { return sum + bias[o]; });
}

// x [T, C], w, bias [N], frequency [C], geometry, residual [T', N] -> residual + ..., [T', N]
KERNEL(conv_add) {
  const float *bias = at<const float>(tensors, 2), *residual = at<const float>(tensors, 5);
  return convolve(at<const float>(tensors, 0), shapes[0][0], shapes[0][1], at<const float>(tensors, 1),
                  at<const float>(tensors, 3), Geometry(at<const int32_t>(tensors, 4)), at<float>(tensors, 6), shapes[6][0],
                  shapes[6][1], [=](float sum, int64_t o, int64_t i) { return residual[i] + (sum + bias[o]); });
}

// Upsampling by `stride`: x [T, C], w, bias [N], frequency [C], geometry (taps of the whole kernel) -> [stride T, N]
// Output stride * q + phase reads rows q + shift - m, m = 0 .. taps_of_phase - 1; each phase has a matrix of its own.
KERNEL(conv_transpose) {
  const float *bias = at<const float>(tensors, 2), *frequency = at<const float>(tensors, 3);
  const Geometry g(at<const int32_t>(tensors, 4));
  const int64_t frames = shapes[0][0], channels = shapes[0][1], outputs = shapes[5][1];
  if (g.taps < g.stride || shapes[5][0] != g.stride * frames) return 1;
  const int64_t most = (g.taps + g.stride - 1) / g.stride, before = most, after = most;
  float* y = at<float>(tensors, 5);
  const char* packed = at<const char>(tensors, 1);
  Scratch scratch((before + frames + after) * channels * 4);
  pad(at<const float>(tensors, 0), frames, channels, g.activated ? frequency : nullptr, before, after, scratch.as<float>());
  for (int64_t phase = 0; phase < g.stride; ++phase) {
    const int64_t first_tap = (phase + g.padding) % g.stride, shift = (phase + g.padding) / g.stride;
    const int64_t taps = (g.taps - first_tap + g.stride - 1) / g.stride;
    // taps are packed from the earliest row to the latest
    const Rows rows{scratch.as<float>() + (before + shift - (taps - 1)) * channels, channels, taps * channels};
    const int64_t panel_bytes = taps * channels * kPanel * 4;
    multiply(rows, frames, packed, panel_bytes, 0, panels(outputs), [&](const float* sums, int64_t row, int64_t n, int64_t panel) {
      const int64_t first = panel * kPanel, width = std::min<int64_t>(kPanel, outputs - first);
      for (int64_t r = 0; r < n; ++r) {
        float* out = y + ((row + r) * g.stride + phase) * outputs + first;
        for (int64_t i = 0; i < width; ++i) out[i] = sums[r * kPanel + i] + bias[first + i];
      }
    });
    packed += panels(outputs) * panel_bytes;
  }
  return 0;
}

// One filter a channel: x [T, C], w [taps, C], bias [C] -> [T, C], zeros outside
KERNEL(depthwise) {
  const float *x = at<const float>(tensors, 0), *w = at<const float>(tensors, 1), *bias = at<const float>(tensors, 2);
  float* y = at<float>(tensors, 3);
  const int64_t frames = shapes[0][0], channels = shapes[0][1], taps = shapes[1][0];
  parallel_ranges(frames, std::max<int64_t>(1, 8192 / channels), [&](int64_t first, int64_t last) {
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

// A grouped convolution of many taps: x [T, C], w (packed group after group), bias [C], geometry, groups int32 [1]
// -> gelu(conv(x) + bias) + x, [T, C]: what wav2vec 2.0 does for positions
KERNEL(positions_conv) {
  const float *x = at<const float>(tensors, 0), *bias = at<const float>(tensors, 2);
  const Geometry g(at<const int32_t>(tensors, 3));
  const int64_t groups = at<const int32_t>(tensors, 4)[0], frames = shapes[0][0], channels = shapes[0][1];
  if (groups < 1 || channels % groups) return 1;
  const int64_t size = channels / groups, after = g.taps - 1 - g.padding;
  const char* packed = at<const char>(tensors, 1);
  float* y = at<float>(tensors, 5);
  Scratch scratch((frames + g.taps - 1) * channels * 4);
  pad(x, frames, channels, nullptr, g.padding, after, scratch.as<float>());
  const int64_t panel_bytes = g.taps * size * kPanel * 4;
  for (int64_t group = 0; group < groups; ++group, packed += panels(size) * panel_bytes) {
    const Rows rows{scratch.as<float>() + group * size, channels, size, g.taps, channels};
    multiply(rows, frames, packed, panel_bytes, 0, panels(size), [&](const float* sums, int64_t row, int64_t n, int64_t panel) {
      const int64_t first = panel * kPanel, width = std::min<int64_t>(kPanel, size - first);
      for (int64_t r = 0; r < n; ++r)
        for (int64_t i = 0; i < width; ++i) {
          const int64_t channel = group * size + first + i, place = (row + r) * channels + channel;
          y[place] = x[place] + gelu_erf(sums[r * kPanel + i] + bias[channel]);
        }
    });
  }
  return 0;
}
