// Convolutions of seven taps by the method of Toom and Cook (ops/toom_cook.py): four outputs from
// ten products.
//
// Frames are rows [T, C]. A convolution of dilation d is d convolutions on every d-th frame; tile i
// of phase f makes the outputs f + d (4 i + q), q = 0 .. 3, from the ten inputs
// f + d (4 i + j - 3). Frames are processed in chunks whose transformed inputs stay in the cache.

#include "frames.h"

using namespace sparktts;

namespace {

constexpr int kPoints = 10, kOutputs = 4, kMargin = 3;
constexpr int64_t kChunkBytes = 3 << 20;        // of inputs
constexpr int64_t kTaskRows = 12 * kRows, kTaskPanels = 4;

struct Filters {
  const float* packed;      // [10] packed matrices (C, N)
  const float* bias;        // [N]
  const float* matrices;    // of the inputs [10, 10], then of the outputs [4, 10]
  int64_t channels, outputs, dilation;
};

// Frames of a chunk: as many as fill kChunkBytes, in complete tiles.
int64_t chunk_size(int64_t frames, const Filters& f) {
  const int64_t tile = kOutputs * f.dilation;
  const int64_t max_tiles = std::max<int64_t>(1, kChunkBytes / (4 * f.channels * tile));
  return std::min(max_tiles, (frames + tile - 1) / tile) * tile;
}

// Floats from one point's transformed inputs to the next's: not a multiple of 4 KB, or all would
// share a few cache lines.
int64_t point_stride(int64_t chunk, const Filters& f) {
  return (chunk / kOutputs * f.channels + 1023) / 1024 * 1024 + 80;
}

int64_t scratch_floats(int64_t chunk, const Filters& f) {
  const int64_t inputs = (chunk + 2 * kMargin * f.dilation) * f.channels;
  return inputs + kPoints * point_stride(chunk, f) + kLanes;
}

// Outputs begin .. begin + chunk - 1 (those below `frames`) of the convolution of x [frames, C],
// which passes a snake first if `alpha` is given: epilogue(values [32], frame, first column)
template <typename Epilogue>
void convolve(const float* x, int64_t frames, int64_t begin, int64_t chunk, const float* alpha,
              const Filters& f, float* scratch, const Epilogue& epilogue) {
  const int64_t channels = f.channels, d = f.dilation;
  const int64_t tiles = chunk / (kOutputs * d), rows = d * tiles;
  const int64_t first = begin - kMargin * d, inputs = chunk + 2 * kMargin * d;
  const int64_t stride = point_stride(chunk, f);
  float* padded = scratch;
  float* points = scratch + (inputs * channels + kLanes - 1) / kLanes * kLanes;
  const int64_t pad_step = std::max<int64_t>(1, 16384 / channels);
  parallel_ranges(inputs, pad_step, [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; ++i) {
      float* out = padded + i * channels;
      if (first + i < 0 || first + i >= frames) {
        std::fill(out, out + channels, 0.0f);
        continue;
      }
      const float* row = x + (first + i) * channels;
      if (alpha)
        for (int64_t c = 0; c < channels; ++c) out[c] = snake(row[c] * alpha[c]);
      else
        std::memcpy(out, row, channels * sizeof(float));
    }
  });

  // points[p][row of phase and tile][C]
  const int64_t transform_step = std::max<int64_t>(1, 4096 / channels);
  parallel_ranges(rows, transform_step, [&](int64_t from, int64_t to) {
    for (int64_t row = from; row < to; ++row) {
      const float* in = padded + (row / tiles + row % tiles * kOutputs * d) * channels;
      float* out = points + row * channels;
      auto transform = [&](int64_t c, const auto& read, const auto& write) {
        f32x16 values[kPoints];
        for (int j = 0; j < kPoints; ++j) values[j] = read(in + j * d * channels + c);
        for (int p = 0; p < kPoints; ++p) {
          f32x16 sum = {};
#pragma GCC unroll 10
          for (int j = 0; j < kPoints; ++j)
            sum += broadcast(f.matrices[p * kPoints + j]) * values[j];
          write(out + p * stride + c, sum);
        }
      };
      const int64_t vectors = channels / kLanes * kLanes, rest = channels - vectors;
      for (int64_t c = 0; c < vectors; c += kLanes)
        transform(c, [](const float* from) { return load<f32x16>(from); },
                  [](float* to, f32x16 v) { store(to, v); });
      if (rest)
        transform(vectors, [=](const float* from) {
          f32x16 v = {};
          for (int64_t i = 0; i < rest; ++i) v[i] = from[i];
          return v;
        }, [=](float* to, f32x16 v) {
          for (int64_t i = 0; i < rest; ++i) to[i] = v[i];
        });
    }
  });

  // A task is many rows times some panels, so that little of either comes from beyond the L2 cache.
  const int64_t panel_floats = channels * kPanel, all_panels = panels(f.outputs);
  const int64_t groups = (all_panels + kTaskPanels - 1) / kTaskPanels;
  const int64_t row_blocks = (rows + kTaskRows - 1) / kTaskRows;
  parallel(groups * row_blocks, [&](int64_t task) {
    const int64_t group = task / row_blocks, from = task % row_blocks * kTaskRows;
    const int64_t count = std::min(kTaskRows, rows - from);
    const int64_t first_panel = group * all_panels / groups;
    const int64_t task_panels = (group + 1) * all_panels / groups - first_panel;
    const int64_t point_products = task_panels * count * kPanel;
    Scratch memory(kPoints * point_products * 4);
    float* products = memory.as<float>();
    for (int p = 0; p < kPoints; ++p)
      for (int64_t panel = 0; panel < task_panels; ++panel)
        for (int64_t r = 0; r < count; r += kRows)
          run_tile<kRows>(Rows{points + p * stride + (from + r) * channels, channels, channels},
                          std::min<int64_t>(kRows, count - r),
                          f.packed + (p * all_panels + first_panel + panel) * panel_floats,
                          products + p * point_products + (panel * count + r) * kPanel);
    const float* to_outputs = f.matrices + kPoints * kPoints;
    for (int64_t r = 0; r < task_panels * count; ++r) {
      const int64_t row = from + r % count;
      const int64_t start = begin + row / tiles + row % tiles * kOutputs * d;
      for (int q = 0; q < kOutputs && start + q * d < frames; ++q) {
        f32x16 sums[2] = {};
#pragma GCC unroll 10
        for (int p = 0; p < kPoints; ++p) {
          const float* product = products + p * point_products + r * kPanel;
          const f32x16 factor = broadcast(to_outputs[q * kPoints + p]);
          sums[0] += factor * load<f32x16>(product);
          sums[1] += factor * load<f32x16>(product + kLanes);
        }
        epilogue(reinterpret_cast<const float*>(sums), start + q * d,
                 (first_panel + r / count) * kPanel);
      }
    }
  });
}

}  // namespace

// x [T, C], filters, bias [N], matrices [140] -> [T, N]
KERNEL(conv7) {
  const float* x = at<const float>(tensors, 0);
  const Filters f{at<const float>(tensors, 1), at<const float>(tensors, 2),
                  at<const float>(tensors, 3), shapes[0][1], shapes[4][1], 1};
  const int64_t frames = shapes[0][0], outputs = f.outputs, chunk = chunk_size(frames, f);
  float* y = at<float>(tensors, 4);
  Scratch scratch(scratch_floats(chunk, f) * 4);
  auto epilogue = [&](const float* sums, int64_t t, int64_t column) {
    for (int64_t i = 0; i < std::min<int64_t>(kPanel, outputs - column); ++i)
      y[t * outputs + column + i] = sums[i] + f.bias[column + i];
  };
  for (int64_t begin = 0; begin < frames; begin += chunk)
    convolve(x, frames, begin, chunk, nullptr, f, scratch.as<float>(), epilogue);
  return 0;
}

// `residual_unit` (residual_unit.cc): x [T, C], conv1's filters, bias [C], alpha [C]; conv2's
// matrix, bias [C], alpha [C]; matrices [140], dilation int32 [1] -> [T, C]
KERNEL(residual_unit_toom_cook) {
  const float *x = at<const float>(tensors, 0), *alpha1 = at<const float>(tensors, 3);
  const float *bias2 = at<const float>(tensors, 5), *alpha2 = at<const float>(tensors, 6);
  const Filters f{at<const float>(tensors, 1), at<const float>(tensors, 2),
                  at<const float>(tensors, 7), shapes[0][1], shapes[0][1],
                  at<const int32_t>(tensors, 8)[0]};
  if (f.dilation < 1) return 1;
  const int64_t frames = shapes[0][0], channels = f.channels, chunk = chunk_size(frames, f);
  float* y = at<float>(tensors, 9);
  Scratch scratch(scratch_floats(chunk, f) * 4);
  Frames<2> hidden(chunk, channels, 1, false);      // without tiles, as exact as the rest
  for (int64_t begin = 0; begin < frames; begin += chunk) {
    auto to_hidden = [&](const float* sums, int64_t t, int64_t column) {
      const int64_t width = std::min<int64_t>(kPanel, channels - column);
      float out[kPanel];
      for (int64_t i = 0; i < width; ++i)
        out[i] = snake((sums[i] + f.bias[column + i]) * alpha2[column + i]);
      hidden.write(t - begin, column, width, out);
    };
    convolve(x, frames, begin, chunk, alpha1, f, scratch.as<float>(), to_hidden);
    auto add = [=](float sum, int64_t o, int64_t i) {
      return x[begin * channels + i] + (sum + bias2[o]);
    };
    hidden.multiply({0, 1, 1, 1, 0, channels}, std::min(chunk, frames - begin),
                    at<const float>(tensors, 4), channels,
                    store_outputs(y + begin * channels, channels, add));
  }
  return 0;
}
