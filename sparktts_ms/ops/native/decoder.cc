// All decoder layers of the language model in one launch: the kernels of their parts in turn. A
// launch takes MindSpore longer than the smaller parts.

#include <initializer_list>

#include "kernel.h"

using namespace sparktts;

KERNEL(rms_norm_linear);
KERNEL(cached_attention);
KERNEL(linear_add);
KERNEL(rms_norm_swiglu);

namespace {

struct Array {
  void* data;
  int64_t* shape;
  const char* dtype;
};

// Call a kernel with its inputs and its output. Returns what it does.
template <typename Kernel>
int call(const Kernel& kernel, std::initializer_list<Array> arrays) {
  void* tensors[16];
  int64_t* shapes[16];
  const char* dtypes[16];
  int count = 0;
  for (const Array& array : arrays) {
    tensors[count] = array.data;
    shapes[count] = array.shape;
    dtypes[count++] = array.dtype;
  }
  return kernel(count, tensors, nullptr, shapes, dtypes, nullptr, nullptr);
}

}  // namespace

// x [R, C], eps [1], width of the feed-forward int32 [1], what follows keys and values in
// `cached_attention` and what precedes them: positions, slots, cos, sin; then of each layer: packed
// matrix and bias of queries, keys and values, then of the output, packed matrices of gate and up,
// then of down, which has the output's bias too, zeros; keys, values -> [R, C]
KERNEL(decoder) {
  constexpr int kShared = 7, kLayer = 8;
  auto input = [&](int i) { return Array{tensors[i], shapes[i], dtypes[i]}; };
  const Array eps = input(1), positions = input(3), slots = input(4), cos = input(5);
  const Array sin = input(6), y = input(count - 1);
  const int64_t rows = shapes[0][0], inner = at<const int32_t>(tensors, 2)[0];
  const int64_t width = shapes[kShared + 1][0];               // of queries, keys and values
  const int64_t query_size = width - 2 * shapes[kShared + 6][1];
  int64_t qkv_shape[] = {rows, width}, query_shape[] = {rows, query_size};
  int64_t inner_shape[] = {rows, inner};
  Scratch scratch(rows * (width + query_size + inner) * static_cast<int64_t>(sizeof(float)));
  float* memory = scratch.as<float>();
  const Array qkv{memory, qkv_shape, "float32"};
  const Array attended{memory + rows * width, query_shape, "float32"};
  const Array gated{memory + rows * (width + query_size), inner_shape, "float32"};
  Array x = input(0);
  for (int first = kShared; first + kLayer < count; first += kLayer) {
    const Array bias = input(first + 3);
    int error = call(rms_norm_linear, {x, eps, input(first), input(first + 1), qkv});
    if (!error)
      error = call(cached_attention, {qkv, cos, sin, input(first + 6), input(first + 7), positions,
                                      slots, attended});
    if (!error) error = call(linear_add, {attended, input(first + 2), bias, x, y});
    if (!error) error = call(rms_norm_swiglu, {y, eps, input(first + 4), gated});
    if (!error) error = call(linear_add, {gated, input(first + 5), bias, y, y});
    if (error) return error;
    x = y;
  }
  return 0;
}
