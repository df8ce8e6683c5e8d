// Fused attention and rotary position embedding.
#include "../array.h"
#include "../registry.h"

namespace standin {
namespace {

// x [B, N, S, D] from a layout of three or four axes
Object heads_first(const Object &x, const std::string &layout, int64_t heads) {
  if (layout == "BNSD") return x;
  Object view = x;
  if (layout == "BSH") {
    view.shape = {x.shape[0], x.shape[1], heads, x.shape[2] / heads};
    view.strides = {x.strides[0], x.strides[1], x.strides[2] * view.shape[3], x.strides[2]};
  } else if (layout != "BSND") {
    refuse("layout %s", layout.c_str());
  }
  return permute(view, {0, 2, 1, 3});
}

struct Attention {
  Object query, output;                 // [B, N, S, D]
  Object keys, values;                  // [B, N', T, D], or [blocks, N', block, D] with a table
  const Object *block_table = nullptr;  // [B, blocks]
  const Object *mask = nullptr;         // 1: left out; broadcasts to [B, 1, S, T]
  Integers key_lengths;                 // of each sequence; none: all T
  double scale = 1.0;
};

// Keys or values of one sequence, [N', T, D]
Floats cached_rows(const Object &cache, const Attention &a, int64_t sequence, int64_t length) {
  if (!a.block_table) return read<float>(narrow(select(cache, 0, sequence), 1, 0, length));
  const int64_t heads = cache.shape[1], block = cache.shape[2], dim = cache.shape[3];
  const Integers table = read_integers(select(*a.block_table, 0, sequence));
  Floats rows(heads * length * dim);
  for (int64_t start = 0; start < length; start += block) {
    const int64_t count = std::min(block, length - start);
    const Object source = select(cache, 0, table.at(start / block));
    for (int64_t head = 0; head < heads; head++) {
      const Floats part = read<float>(narrow(select(source, 0, head), 0, 0, count));
      std::copy(part.begin(), part.end(), &rows[(head * length + start) * dim]);
    }
  }
  return rows;
}

// The mask of a sequence, [S, T], from the shapes that the documents name: (S, T), (B, S, T),
// (1, S, T), (B, 1, S, T), (1, 1, S, T), and for S = 1 (B, T), (B, 1, T), (B, 1, 1, T)
Floats mask_rows(const Attention &a, int64_t sequence, int64_t T) {
  Object mask = *a.mask;
  const int64_t batch = a.query.shape[0], S = a.query.shape[2];
  if (mask.shape.size() == 4) mask = select(mask, 1, 0);
  if (mask.shape.size() == 3) {
    mask = select(mask, 0, mask.shape[0] == 1 ? 0 : sequence);
  } else if (S == 1 && mask.shape[0] == batch) {
    mask = narrow(mask, 0, sequence, 1);
  }
  return read<float>(narrow(narrow(mask, 0, 0, S), 1, 0, T));
}

void attend(const Attention &a) {
  const int64_t batch = a.query.shape[0], heads = a.query.shape[1], S = a.query.shape[2];
  const int64_t dim = a.query.shape[3], shared = heads / a.keys.shape[1];
  for (int64_t sequence = 0; sequence < batch; sequence++) {
    int64_t T = a.block_table ? 0 : a.keys.shape[2];
    if (!a.key_lengths.empty())
      T = a.key_lengths[a.key_lengths.size() == 1 ? 0 : sequence];
    if (T < 1) refuse("attention over %lld positions", (long long)T);
    const Floats keys = cached_rows(a.keys, a, sequence, T);
    const Floats values = cached_rows(a.values, a, sequence, T);
    const Floats mask = a.mask ? mask_rows(a, sequence, T) : Floats();
    const Floats query = read<float>(select(a.query, 0, sequence));
    Floats output(query.size(), 0.0f), scores(T);
    for (int64_t head = 0; head < heads; head++)
      for (int64_t s = 0; s < S; s++) {
        const float *q = &query[(head * S + s) * dim];
        const float *k = &keys[head / shared * T * dim], *v = &values[head / shared * T * dim];
        float *out = &output[(head * S + s) * dim];
        float largest = -INFINITY, total = 0.0f;
        for (int64_t t = 0; t < T; t++) {
          scores[t] = -INFINITY;
          if (!mask.empty() && mask[s * T + t] != 0.0f) continue;
          float sum = 0.0f;
          for (int64_t d = 0; d < dim; d++) sum += q[d] * k[t * dim + d];
          scores[t] = sum * float(a.scale);
          largest = std::max(largest, scores[t]);
        }
        if (largest == -INFINITY) continue;     // a row without positions: zeros
        for (int64_t t = 0; t < T; t++) total += scores[t] = std::exp(scores[t] - largest);
        for (int64_t t = 0; t < T; t++) {
          if (scores[t] == 0.0f) continue;
          for (int64_t d = 0; d < dim; d++) out[d] += scores[t] / total * v[t * dim + d];
        }
      }
    write(select(a.output, 0, sequence), output);
  }
}

// `layout` of queries and, without a table, of the cache; `heads` and `kv_heads` as given
void attend(Attention a, const Object &query, const Object &keys,
            const Object &values, const std::string &layout, int64_t heads, int64_t kv_heads,
            const Object &output) {
  if (!kv_heads) kv_heads = heads;
  a.query = heads_first(query, layout, heads);
  a.output = heads_first(output, layout, heads);
  const std::string cache_layout =
      !a.block_table ? layout : keys.shape.size() == 3 ? "BSH" : "BNSD";
  a.keys = heads_first(keys, cache_layout, kv_heads);
  a.values = heads_first(values, cache_layout, kv_heads);
  attend(a);
}

const Object &only_member(const Object &list) {
  if (list.members.size() != 1) refuse("a list of %zu tensors", list.members.size());
  return *list.members[0];
}

Integers optional_integers(const Call &call, int index) {
  return call.argument(index).object ? call.integers(index) : Integers();
}

void refuse_given(const Call &call, int first, int last) {
  for (int index = first; index <= last; index++)
    if (call.argument(index).object) refuse("argument %d (quantization and the like)", index);
}

// query, keys, values, pse, mask, lengths, 7 of quantization, table, padding, heads, [scale,]
// layout, kv heads, block, precision, out
Register incremental("aclnnIncreFlashAttentionV4", [](const Call &call) {
  refuse_given(call, 3, 3);
  refuse_given(call, 6, 12);
  Attention a;
  a.mask = call.optional_tensor(4);
  a.key_lengths = optional_integers(call, 5);
  a.block_table = call.optional_tensor(13);
  a.scale = call.doubles[0];
  attend(a, call.tensor(0), only_member(call.list(1)), only_member(call.list(2)),
         call.text(16), call.integer(15), call.integer(17), call.tensor(-1));
});

// query, key, value, pse, mask, lengths, key lengths, 5 of quantization, heads, [scale,] before,
// after, layout, kv heads, sparse mode, precision, out
Register prompt("aclnnPromptFlashAttentionV3", [](const Call &call) {
  refuse_given(call, 3, 3);
  refuse_given(call, 5, 5);
  refuse_given(call, 7, 11);
  Attention a;
  a.mask = call.optional_tensor(4);
  a.key_lengths = optional_integers(call, 6);
  a.scale = call.doubles[0];
  if (call.integer(17) > 1) refuse("sparse mode %lld", (long long)call.integer(17));
  attend(a, call.tensor(0), call.tensor(1), call.tensor(2), call.text(15), call.integer(12),
         call.integer(16), call.tensor(-1));
});

// query, keys, values, pse, mask, lengths, key lengths, 7 of quantization, table, 2 paddings, then
// in V2: 4 of quantization, 2 prefixes, prefix length; heads, [scale,] before, after, layout,
// kv heads, sparse mode, precision, block, quantization mode, with sum, ..., out, sum
Register fused({"aclnnFusedInferAttentionScore", "aclnnFusedInferAttentionScoreV2"},
               [](const Call &call) {
  const int heads = call.name == "aclnnFusedInferAttentionScore" ? 17 : 24;
  refuse_given(call, 3, 3);
  refuse_given(call, 7, 13);
  refuse_given(call, 15, heads - 1);
  if (call.integer(heads + 5) > 1) refuse("sparse mode %lld", (long long)call.integer(heads + 5));
  Attention a;
  a.mask = call.optional_tensor(4);
  a.key_lengths = optional_integers(call, 6);
  a.block_table = call.optional_tensor(14);
  a.scale = call.doubles[0];
  attend(a, call.tensor(0), only_member(call.list(1)), only_member(call.list(2)),
         call.text(heads + 3), call.integer(heads), call.integer(heads + 4), call.tensor(-2));
});

// query, key, value, shift, drop mask, padding mask, mask, prefix, [scale, keep,] before, after,
// heads, layout, precision, sparse mode, largest, sums, softmax, out
Register training("aclnnFlashAttentionScore", [](const Call &call) {
  refuse_given(call, 3, 5);
  if (!optional_integers(call, 7).empty()) refuse("a prefix");
  if (call.doubles[1] != 1.0) refuse("dropout of %g", 1.0 - call.doubles[1]);
  if (call.integer(13)) refuse("sparse mode %lld", (long long)call.integer(13));
  Attention a;
  a.mask = call.optional_tensor(6);
  a.scale = call.doubles[0];
  const std::string layout = call.text(11);
  const Object &key = call.tensor(1);
  const int64_t kv_heads = layout == "BSND" ? key.shape[2] : layout == "BNSD" ? key.shape[1] : 0;
  attend(a, call.tensor(0), key, call.tensor(2), layout, call.integer(10), kv_heads,
         call.tensor(-1));
});

// x, cos, sin, mode (0: halves), out
Register rotary("aclnnRotaryPositionEmbedding", [](const Call &call) {
  const Object &x = call.tensor(0);
  if (call.integer(3)) refuse("mode %lld", (long long)call.integer(3));
  Floats values = read<float>(x);
  const Floats cos = read_as<float>(call.tensor(1), x.shape);
  const Floats sin = read_as<float>(call.tensor(2), x.shape);
  const int64_t dim = x.shape.back(), half = dim / 2;
  Floats rotated(values.size());
  for (int64_t n = 0; n < int64_t(values.size()); n++) {
    const float other = n % dim < half ? -values[n + half] : values[n - half];
    rotated[n] = values[n] * cos[n] + other * sin[n];
  }
  write(call.tensor(4), rotated);
});

}  // namespace
}  // namespace standin
