// All decoder layers of the language model in one launch: the kernels of their parts in turn. A
// launch takes MindSpore longer than the smaller parts. The layers' arrays are passed by their
// addresses: 200 inputs would take milliseconds at each launch, and a second to compile.

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

// x [R, C], eps [1], width of the feed-forward int32 [1], positions and slots of
// `cached_attention`, cos, sin, then for each layer the addresses of its arrays (see `array_table`
// in library.py), int64 [L, 8, 4]: packed matrix and bias of queries, keys and values, then of the
// output, packed matrices of gate and up, then of down, which has the output's bias too, zeros;
// keys, values -> [R, C]
KERNEL(decoder) {
  constexpr int kTable = 7, kArrays = 8, kFields = 4;
  auto input = [&](int i) { return Array{tensors[i], shapes[i], dtypes[i]}; };
  const Array eps = input(1), positions = input(3), slots = input(4), cos = input(5);
  const Array sin = input(6), y = input(kTable + 1);
  if (count != kTable + 2 || shapes[kTable][1] != kArrays || shapes[kTable][2] != kFields) return 1;
  int64_t* fields = at<int64_t>(tensors, kTable);
  auto array = [&](int i) {
    int64_t* info = fields + i * kFields;
    const char* dtype = info[3] == 1 ? "uint8" : info[3] == 2 ? "float16" : "float32";
    return Array{reinterpret_cast<void*>(info[0]), info + 1, dtype};
  };
  const int64_t rows = shapes[0][0], inner = at<const int32_t>(tensors, 2)[0];
  const int64_t width = array(1).shape[0];                    // of queries, keys and values
  const int64_t query_size = width - 2 * array(6).shape[1];
  int64_t qkv_shape[] = {rows, width}, query_shape[] = {rows, query_size};
  int64_t inner_shape[] = {rows, inner};
  Scratch scratch(rows * (width + query_size + inner) * static_cast<int64_t>(sizeof(float)));
  float* memory = scratch.as<float>();
  const Array qkv{memory, qkv_shape, "float32"};
  const Array attended{memory + rows * width, query_shape, "float32"};
  const Array gated{memory + rows * (width + query_size), inner_shape, "float32"};
  Array x = input(0);
  for (int64_t layer = 0; layer < shapes[kTable][0]; ++layer, fields += kArrays * kFields) {
    const Array bias = array(3);
    int error = call(rms_norm_linear, {x, eps, array(0), array(1), qkv});
    if (!error)
      error = call(cached_attention,
                   {qkv, cos, sin, array(6), array(7), positions, slots, attended});
    if (!error) error = call(linear_add, {attended, array(2), bias, x, y});
    if (!error) error = call(rms_norm_swiglu, {y, eps, array(4), gated});
    if (!error) error = call(linear_add, {gated, array(5), bias, y, y});
    if (error) return error;
    x = y;
  }
  return 0;
}
