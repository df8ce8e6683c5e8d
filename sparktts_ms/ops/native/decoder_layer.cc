// A decoder layer of the language model in one launch: the kernels of its parts in turn. A launch
// takes MindSpore longer than the smaller parts.

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

// x [R, C], eps [1], width of the feed-forward int32 [1]; packed matrix and bias of queries, keys and
// values, then of the output; packed matrices of gate and up, then of down, which has the output's
// bias too, zeros; what follows qkv in `cached_attention` -> [R, C]
KERNEL(decoder_layer) {
  auto input = [&](int i) { return Array{tensors[i], shapes[i], dtypes[i]}; };
  const Array x = input(0), eps = input(1), y = input(15);
  const int64_t rows = shapes[0][0], inner = at<const int32_t>(tensors, 2)[0];
  const int64_t width = shapes[4][0];                         // of queries, keys and values
  const int64_t query_size = width - 2 * shapes[11][1];
  int64_t qkv_shape[] = {rows, width}, query_shape[] = {rows, query_size};
  int64_t inner_shape[] = {rows, inner};
  Scratch scratch(rows * (width + query_size + inner) * static_cast<int64_t>(sizeof(float)));
  float* memory = scratch.as<float>();
  const Array qkv{memory, qkv_shape, "float32"};
  const Array attended{memory + rows * width, query_shape, "float32"};
  const Array gated{memory + rows * (width + query_size), inner_shape, "float32"};
  if (int error = call(rms_norm_linear, {x, eps, input(3), input(4), qkv})) return error;
  if (int error = call(cached_attention, {qkv, input(9), input(10), input(11), input(12), input(13),
                                          input(14), attended}))
    return error;
  if (int error = call(linear_add, {attended, input(5), input(6), x, y})) return error;
  if (int error = call(rms_norm_swiglu, {y, eps, input(7), gated})) return error;
  return call(linear_add, {gated, input(8), input(6), y, y});
}
