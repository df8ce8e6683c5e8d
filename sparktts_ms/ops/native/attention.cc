// Attention: of new positions over a KV cache (the language model), and of all frames to all
// (wav2vec 2.0).

#include "gemm.h"

using namespace sparktts;

namespace {

// exp(x - max) in place, returning the sum
float exponentiate(float* x, int64_t n, float max) {
  float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) {
    x[i] = exp_negative(x[i] - max);
    sum += x[i];
  }
  return sum;
}

// In vectors by hand: GCC does not vectorise it where it may not assume that there is no NaN.
float maximum(const float* x, int64_t n) {
  f32x16 lanes = broadcast(-1e30f);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const f32x16 values = load<f32x16>(x + i);
    lanes = lanes < values ? values : lanes;
  }
  float max = -1e30f;
  for (; i < n; ++i) max = std::max(max, x[i]);
  for (int lane = 0; lane < kLanes; ++lane) max = std::max(max, lanes[lane]);
  return max;
}

constexpr int64_t kAttentionRows = 4;   // of a task, which share keys and values
constexpr int64_t kAhead = 1024;        // numbers of a cache, half a block

void narrow(float x, float* out) { *out = x; }
void narrow(float x, uint16_t* out) { *out = float_to_half(x); }

f32x16 widen(const float* x) { return load<f32x16>(x); }
f32x16 widen(const uint16_t* x) { return half_to_float(x); }

// Rows of `width` numbers, `stride` apart, as the left side of products with a cache.
template <typename Number>
struct CacheRows {
  const float* x;
  int64_t stride, width;

  // Rows 0 .. R - 1 times numbers of the cache, whose row k begins at panel + k * step; with `add`,
  // added to out [R, 32]. Numbers further on are fetched meanwhile.
  template <int R>
  void tile(const void* panel, float* out, int64_t step, bool add) const {
    const auto* w = static_cast<const Number*>(panel);
    f32x16 sums[R][2] = {};
    for (int r = 0; add && r < R; ++r) {
      sums[r][0] = load<f32x16>(out + r * kPanel);
      sums[r][1] = load<f32x16>(out + r * kPanel + kLanes);
    }
#pragma GCC unroll 2
    for (int64_t k = 0; k < width; ++k, w += step) {
      for (int64_t i = 0; i < kPanel; i += 64 / static_cast<int64_t>(sizeof(Number)))
        __builtin_prefetch(w + kAhead + i);
      const f32x16 w0 = widen(w), w1 = widen(w + kLanes);
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        const f32x16 v = broadcast(x[r * stride + k]);
        sums[r][0] += v * w0;
        sums[r][1] += v * w1;
      }
    }
    for (int r = 0; r < R; ++r) {
      store(out + r * kPanel, sums[r][0]);
      store(out + r * kPanel + kLanes, sums[r][1]);
    }
  }
};

// `cached_attention` with keys and values of type `Number`: float, or uint16_t, which are float16.
template <typename Number>
int cached_attention_of(void** tensors, int64_t** shapes) {
  const float* qkv = at<const float>(tensors, 0);
  const float *cosines = at<const float>(tensors, 1), *sines = at<const float>(tensors, 2);
  Number *keys = at<Number>(tensors, 3), *values = at<Number>(tensors, 4);
  const int32_t* positions = at<const int32_t>(tensors, 5);
  const int32_t* slots = at<const int32_t>(tensors, 6);
  float* y = at<float>(tensors, 7);
  const int64_t rows = shapes[0][0], width = shapes[0][1];
  const int64_t max_length = shapes[1][0], dim = shapes[1][1], half = dim / 2;
  const int64_t query_size = shapes[7][1], kv_size = shapes[3][1];
  const int64_t kv_heads = kv_size / dim, group_size = query_size / kv_size;
  const int64_t num_slots = shapes[3][0] / max_length, slot_step = shapes[6][0] == 1 ? 0 : 1;
  if (max_length % kPanel) return 1;
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t slot = slots[r * slot_step];
    if (positions[r] >= max_length || slot < 0 || slot >= num_slots) return 1;
  }

  auto rotate = [&](const float* x, int64_t position, auto* out, int64_t step) {
    const float *c = cosines + position * dim, *s = sines + position * dim;
    for (int64_t i = 0; i < half; ++i) {
      const float a = x[i], b = x[i + half];
      narrow(a * c[i] - b * s[i], out + i * step);
      narrow(b * c[i + half] + a * s[i + half], out + (i + half) * step);
    }
  };
  // where the cache of row r's sequence begins, for a key/value head
  auto cache_offset = [&](int64_t r, int64_t g) {
    return (slots[r * slot_step] * kv_heads + g) * max_length * dim;
  };
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t position = positions[r];
    if (position < 0) continue;
    for (int64_t g = 0; g < kv_heads; ++g) {
      const float *key = qkv + r * width + query_size + g * dim, *value = key + kv_size;
      const int64_t block = cache_offset(r, g) + position / kPanel * kPanel * dim;
      rotate(key, position, keys + block + position % kPanel, kPanel);
      Number* out = values + cache_offset(r, g) + position * dim;
      for (int64_t i = 0; i < dim; ++i) narrow(value[i], out + i);
    }
  }

  // A task is the query heads of one key/value head, of one row or of some that follow each other
  // in a sequence, so that keys and values come from memory once. Positions after a row's own have
  // the weight zero, which leaves its sums as they are.
  struct RowRange {
    int64_t first, count;
  };
  std::vector<RowRange> ranges;
  int64_t longest = 0, attended = 0;
  for (int64_t r = 0; r < rows; ++r) {
    longest = std::max<int64_t>(longest, positions[r] + 1);
    attended += positions[r] + 1;
    const bool follows = r > 0 && positions[r - 1] >= 0 && positions[r] == positions[r - 1] + 1 &&
                         slots[r * slot_step] == slots[(r - 1) * slot_step];
    if (follows && ranges.back().count < kAttentionRows)
      ++ranges.back().count;
    else
      ranges.push_back({r, 1});
  }
  // of scores, the last of which is the scale instead; not a multiple of 4096 bytes, for rows to
  // lie in different sets of the cache
  const int64_t stride = panels(longest) * kPanel + kLanes;
  const int64_t queries_floats = kAttentionRows * group_size * dim;
  const int64_t sums_floats = kAttentionRows * group_size * panels(dim) * kPanel;
  const int64_t floats = queries_floats + sums_floats + kAttentionRows * group_size * stride;
  const int threads = Pool::shared().size();
  Scratch scratch(threads * floats * static_cast<int64_t>(sizeof(float)));
  std::atomic<int64_t> next{0};
  const int64_t tasks = static_cast<int64_t>(ranges.size()) * kv_heads;
  auto work = [&](int64_t thread) {
    float* queries = scratch.as<float>(thread * floats * 4);
    float *sums = queries + queries_floats, *scores = sums + sums_floats;
    for (int64_t task; (task = next.fetch_add(1)) < tasks;) {
      const RowRange range = ranges[task / kv_heads];
      const int64_t g = task % kv_heads, last = range.first + range.count - 1;
      const int64_t length = positions[last] + 1;
      auto output = [&](int64_t query) {          // of a row and a head of the range
        return y + (range.first + query / group_size) * query_size +
               (g * group_size + query % group_size) * dim;
      };
      if (length < 1) {
        std::fill(output(0), output(0) + group_size * dim, 0.0f);
        continue;
      }
      const int64_t count = range.count * group_size;
      for (int64_t q = 0; q < count; ++q) {
        const int64_t r = range.first + q / group_size;
        rotate(qkv + r * width + (g * group_size + q % group_size) * dim, positions[r],
               queries + q * dim, 1);
      }
      const Number *key = keys + cache_offset(last, g), *value = values + cache_offset(last, g);
      for (int64_t s = 0; s < length; s += kPanel) {
        for (int64_t q = 0; q < count; q += kRows) {
          const int64_t n = std::min<int64_t>(kRows, count - q);
          const CacheRows<Number> rows_of_queries{queries + q * dim, dim, dim};
          run_tile<kRows>(rows_of_queries, n, key + s * dim, sums, int64_t{kPanel}, false);
          for (int64_t i = 0; i < n; ++i)
            std::memcpy(scores + (q + i) * stride + s, sums + i * kPanel, kPanel * sizeof(float));
        }
      }
      for (int64_t q = 0; q < count; ++q) {
        float* row = scores + q * stride;
        const int64_t own = positions[range.first + q / group_size] + 1;
        const float scale = 1.0f / exponentiate(row, own, maximum(row, own));
        std::fill(row + own, row + length, 0.0f);
        row[stride - 1] = scale;
      }
      for (int64_t s = 0; s < length; s += kPanel) {
        const int64_t width = std::min<int64_t>(kPanel, length - s);
        float* out = sums;
        for (int64_t q = 0; q < count; q += kRows) {
          const int64_t n = std::min<int64_t>(kRows, count - q);
          for (int64_t c = 0; c < dim; c += kPanel, out += n * kPanel)
            run_tile<kRows>(CacheRows<Number>{scores + q * stride + s, stride, width}, n,
                            value + s * dim + c, out, dim, s > 0);
        }
      }
      const float* sum = sums;
      for (int64_t q = 0; q < count; q += kRows) {
        const int64_t n = std::min<int64_t>(kRows, count - q);
        for (int64_t c = 0; c < dim; c += kPanel)
          for (int64_t i = 0; i < n; ++i, sum += kPanel) {
            const float scale = scores[(q + i) * stride + stride - 1];
            for (int64_t j = 0; j < std::min<int64_t>(kPanel, dim - c); ++j)
              output(q + i)[c + j] = sum[j] * scale;
          }
      }
    }
  };
  if (attended * kv_heads < 64)
    work(0);                            // faster on one thread
  else
    parallel(threads, work);
  return 0;
}

}  // namespace

// Rotary positions, write to the KV cache, attention to each sequence's positions up to the row's.
// qkv [R, (H + 2 G) D], cos and sin [S, D], keys and values [slots S, G D] (written in place),
// positions int32 [R], slots int32 [R], or [1] for all rows -> [R, H D]; H heads, G key/value
// heads. Row r is position positions[r] of the sequence in slot slots[r]; a negative position is
// padding. S is a multiple of 32. Keys and values are float32 or float16.
//
// The cache of a slot holds one key/value head after another, each from front to back as it is
// read. Values of a head are [S, D]. Keys lie in blocks of 32 positions, each packed as a panel
// [D, 32], so that 32 scores are one tile.
KERNEL(cached_attention) {
  if (std::strcmp(dtypes[3], "float16") == 0)
    return cached_attention_of<uint16_t>(tensors, shapes);
  return cached_attention_of<float>(tensors, shapes);
}

// qkv [T, 3 H D] with the scale folded into the queries, D as int32 [1]
// -> softmax(Q K^T) V of each head, [T, H D]
KERNEL(self_attention) {
  const float* qkv = at<const float>(tensors, 0);
  const int64_t dim = at<const int32_t>(tensors, 1)[0];
  const int64_t frames = shapes[0][0], width = shapes[0][1], size = width / 3;
  float* y = at<float>(tensors, 2);
  if (dim <= 0 || size % dim || dim % kPanel) return 1;
  const int64_t heads = size / dim, padded = panels(frames) * kPanel;
  // Keys of each head are packed in panels [D, 32] of 32 frames, then its values in panels [T, 32]
  // of 32 columns: rows of qkv are so far apart that they would compete for a few cache lines.
  const int64_t head_floats = dim * padded + dim * frames;
  Scratch packed(heads * head_floats * 4);
  parallel(heads * padded / kPanel, [&](int64_t task) {
    const int64_t h = task / (padded / kPanel), first = task % (padded / kPanel) * kPanel;
    const int64_t last = std::min(frames, first + kPanel);
    float* keys = packed.as<float>() + h * head_floats + first * dim;
    float* values = packed.as<float>() + h * head_floats + dim * padded;
    if (last < first + kPanel) std::fill(keys, keys + dim * kPanel, 0.0f);
    for (int64_t t = first; t < last; ++t) {
      const float *key = qkv + t * width + size + h * dim, *value = key + size;
      for (int64_t k = 0; k < dim; ++k) keys[k * kPanel + t - first] = key[k];
      for (int64_t c = 0; c < dim; c += kPanel)
        std::memcpy(values + c * frames + t * kPanel, value + c, kPanel * sizeof(float));
    }
  });
  const int64_t row_blocks = (frames + kRows - 1) / kRows;
  parallel(heads * row_blocks, [&](int64_t i) {
    const int64_t h = i / row_blocks, row = i % row_blocks * kRows;
    const int64_t n = std::min<int64_t>(kRows, frames - row);
    const float* keys = packed.as<float>() + h * head_floats;
    const float* values = keys + dim * padded;
    Scratch buffer(kRows * padded * 4);
    float* weights = buffer.as<float>();
    alignas(64) float sums[kRows * kPanel];
    for (int64_t p = 0; p < padded / kPanel; ++p) {
      const Rows queries{qkv + row * width + h * dim, width, dim};
      run_tile<kRows>(queries, n, keys + p * dim * kPanel, sums);
      for (int64_t r = 0; r < n; ++r)
        std::memcpy(weights + r * padded + p * kPanel, sums + r * kPanel, kPanel * sizeof(float));
    }
    float scales[kRows];
    for (int64_t r = 0; r < n; ++r) {
      float* scores = weights + r * padded;
      scales[r] = 1.0f / exponentiate(scores, frames, maximum(scores, frames));
    }
    for (int64_t p = 0; p < dim / kPanel; ++p) {
      run_tile<kRows>(Rows{weights, padded, frames}, n, values + p * frames * kPanel, sums);
      for (int64_t r = 0; r < n; ++r) {
        float* out = y + (row + r) * size + h * dim + p * kPanel;
        for (int64_t c = 0; c < kPanel; ++c) out[c] = sums[r * kPanel + c] * scales[r];
      }
    }
  });
  return 0;
}
