// Attention: of new positions over a cache (the language model), and of all frames to all (wav2vec 2.0).

#include "gemm.h"

using namespace sparktts;

namespace {

// exp(x - top) in place, returning the sum
float exponentiate(float* x, int64_t n, float top) {
  float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) {
    x[i] = exp_negative(x[i] - top);
    sum += x[i];
  }
  return sum;
}

float largest(const float* x, int64_t n) {
  float top = -1e30f;
#pragma omp simd reduction(max : top)
  for (int64_t i = 0; i < n; ++i) top = std::max(top, x[i]);
  return top;
}

}  // namespace

// Rotary positions, write to the cache, attention over what is written up to each row's own position.
// qkv [R, (H + 2 G) D], cos and sin [S, D], keys and values [slots S, G D] (written in place), positions int32 [R],
// slots int32 [R], or [1] for all rows -> [R, H D]. Row r is position positions[r] of the sequence in slot slots[r]; a
// negative position is no row. S is a multiple of 32.
//
// Values lie as their shape says. Keys lie in blocks of 32 positions, in a block group after group, each packed as a panel
// [D, 32], so that the scores of 32 positions are one tile.
KERNEL(attend) {
  const float *qkv = at<const float>(tensors, 0), *cosines = at<const float>(tensors, 1), *sines = at<const float>(tensors, 2);
  float *keys = at<float>(tensors, 3), *values = at<float>(tensors, 4);
  const int32_t *positions = at<const int32_t>(tensors, 5), *slots = at<const int32_t>(tensors, 6);
  float* y = at<float>(tensors, 7);
  const int64_t rows = shapes[0][0], width = shapes[0][1], capacity = shapes[1][0], dim = shapes[1][1], half = dim / 2;
  const int64_t outer = shapes[7][1], inner = shapes[3][1], groups = inner / dim, each = outer / inner;
  const int64_t places = shapes[3][0] / capacity, slot_step = shapes[6][0] == 1 ? 0 : 1;
  if (capacity % kPanel) return 1;
  for (int64_t r = 0; r < rows; ++r)
    if (positions[r] >= capacity || slots[r * slot_step] < 0 || slots[r * slot_step] >= places) return 1;

  auto turn = [&](const float* x, int64_t position, float* out, int64_t step) {
    const float *c = cosines + position * dim, *s = sines + position * dim;
    for (int64_t i = 0; i < half; ++i) {
      const float a = x[i], b = x[i + half];
      out[i * step] = a * c[i] - b * s[i];
      out[(i + half) * step] = b * c[i + half] + a * s[i + half];
    }
  };
  auto first_of = [&](int64_t r) { return slots[r * slot_step] * capacity * inner; };     // of row r's sequence
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t position = positions[r];
    if (position < 0) continue;
    float* block = keys + first_of(r) + position / kPanel * kPanel * inner + position % kPanel;
    for (int64_t g = 0; g < groups; ++g) turn(qkv + r * width + outer + g * dim, position, block + g * dim * kPanel, kPanel);
    std::memcpy(values + first_of(r) + position * inner, qkv + r * width + outer + inner, inner * sizeof(float));
  }

  // The heads of a group read the same keys: one task, so that these come from memory once.
  const int64_t floats = each * (capacity + dim);
  const int threads = Pool::shared().size();
  Scratch scratch(threads * floats * static_cast<int64_t>(sizeof(float)));
  std::atomic<int64_t> next{0};
  auto work = [&](int64_t thread) {
    float *queries = scratch.as<float>(thread * floats * 4), *scores = queries + each * dim;
    alignas(64) float sums[kRows * kPanel];
    for (int64_t task; (task = next.fetch_add(1)) < rows * groups;) {
      const int64_t r = task / groups, g = task % groups, length = positions[r] + 1;
      float* out = y + r * outer + g * each * dim;
      if (length < 1) {
        std::fill(out, out + each * dim, 0.0f);
        continue;
      }
      for (int64_t h = 0; h < each; ++h) turn(qkv + r * width + (g * each + h) * dim, positions[r], queries + h * dim, 1);
      const float *key = keys + first_of(r) + g * dim * kPanel, *value = values + first_of(r) + g * dim;
      for (int64_t h = 0; h < each; h += kRows) {
        const int64_t n = std::min<int64_t>(kRows, each - h);
        float* share = scores + h * capacity;
        for (int64_t s = 0; s < length; s += kPanel) {
          tile_of<kRows>(Rows{queries + h * dim, dim, dim}, n, key + s * inner, sums);
          for (int64_t i = 0; i < n; ++i) std::memcpy(share + i * capacity + s, sums + i * kPanel, kPanel * sizeof(float));
        }
        float scales[kRows];
        for (int64_t i = 0; i < n; ++i)
          scales[i] = 1.0f / exponentiate(share + i * capacity, length, largest(share + i * capacity, length));
        for (int64_t c = 0; c < dim; c += kPanel) {
          tile_of<kRows>(Rows{share, capacity, length}, n, value + c, sums, inner);
          for (int64_t i = 0; i < n; ++i)
            for (int64_t j = 0; j < std::min<int64_t>(kPanel, dim - c); ++j)
              out[(h + i) * dim + c + j] = sums[i * kPanel + j] * scales[i];
        }
      }
    }
  };
  int64_t positions_read = 0;
  for (int64_t r = 0; r < rows; ++r) positions_read += positions[r] + 1;
  if (positions_read * groups < 64)
    work(0);                            // sooner done than shared
  else
    parallel(threads, work);
  return 0;
}

// qkv [T, 3 H D] with the scale folded into the queries, D as int32 [1] -> softmax(Q K^T) V of each head, [T, H D]
KERNEL(self_attention) {
  const float* qkv = at<const float>(tensors, 0);
  const int64_t dim = at<const int32_t>(tensors, 1)[0], frames = shapes[0][0], width = shapes[0][1], outer = width / 3;
  float* y = at<float>(tensors, 2);
  if (dim <= 0 || outer % dim || dim % kPanel) return 1;
  const int64_t heads = outer / dim, padded = panels(frames) * kPanel;
  // keys of each head packed in panels of 32 frames, values and scores with 32 columns to spare
  Scratch packed(heads * dim * padded * 4);
  parallel(heads, [&](int64_t h) {
    float* out = packed.as<float>() + h * dim * padded;
    for (int64_t p = 0; p < padded / kPanel; ++p)
      for (int64_t k = 0; k < dim; ++k)
        for (int64_t i = 0; i < kPanel; ++i, ++out) {
          const int64_t t = p * kPanel + i;
          *out = t < frames ? qkv[t * width + outer + h * dim + k] : 0.0f;
        }
  });
  const int64_t stretches = (frames + kRows - 1) / kRows;
  parallel(heads * stretches, [&](int64_t i) {
    const int64_t h = i / stretches, row = i % stretches * kRows, n = std::min<int64_t>(kRows, frames - row);
    const float *keys = packed.as<float>() + h * dim * padded, *values = qkv + 2 * outer + h * dim;
    Scratch buffer(kRows * padded * 4);
    float* shares = buffer.as<float>();
    alignas(64) float sums[kRows * kPanel];
    for (int64_t p = 0; p < padded / kPanel; ++p) {
      tile_of<kRows>(Rows{qkv + row * width + h * dim, width, dim}, n, keys + p * dim * kPanel, sums);
      for (int64_t r = 0; r < n; ++r) std::memcpy(shares + r * padded + p * kPanel, sums + r * kPanel, kPanel * sizeof(float));
    }
    float scales[kRows];
    for (int64_t r = 0; r < n; ++r)
      scales[r] = 1.0f / exponentiate(shares + r * padded, frames, largest(shares + r * padded, frames));
    for (int64_t p = 0; p < dim / kPanel; ++p) {
      tile_of<kRows>(Rows{shares, padded, frames}, n, values + p * kPanel, sums, width);
      for (int64_t r = 0; r < n; ++r)
        for (int64_t c = 0; c < kPanel; ++c) y[(row + r) * outer + h * dim + p * kPanel + c] = sums[r * kPanel + c] * scales[r];
    }
  });
  return 0;
}
