// LayerNorm of rows.

#include "kernel.h"
#include "pool.h"
#include "vector.h"

using namespace sparktts;

namespace {

constexpr int64_t kTaskElements = 16384;

// (x - mean) / sqrt(variance + eps) * gain + bias
void layer_norm_row(const float* x, int64_t size, float eps, const float* gain, const float* bias,
                    float* y) {
  float sum = 0.0f, squares = 0.0f;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < size; ++i) sum += x[i];
  const float mean = sum / size;
#pragma omp simd reduction(+ : squares)
  for (int64_t i = 0; i < size; ++i) squares += (x[i] - mean) * (x[i] - mean);
  const float scale = 1.0f / std::sqrt(squares / size + eps);
  for (int64_t i = 0; i < size; ++i) y[i] = (x[i] - mean) * scale * gain[i] + bias[i];
}

// row(x [size], size, y [size]) for each row of the first input
template <typename Row>
int for_each_row(void** tensors, int64_t** shapes, int output, const Row& row) {
  const float* x = at<const float>(tensors, 0);
  float* y = at<float>(tensors, output);
  const int64_t size = shapes[0][1], step = std::max<int64_t>(1, kTaskElements / size);
  parallel_ranges(shapes[0][0], step, [&](int64_t first, int64_t last) {
    for (int64_t t = first; t < last; ++t) row(x + t * size, size, y + t * size);
  });
  return 0;
}

}  // namespace

// x [T, C], gain and bias [C], eps [1] -> layer norm
KERNEL(layer_norm) {
  const float *gain = at<const float>(tensors, 1), *bias = at<const float>(tensors, 2);
  const float eps = at<const float>(tensors, 3)[0];
  return for_each_row(tensors, shapes, 4, [=](const float* x, int64_t size, float* y) {
    layer_norm_row(x, size, eps, gain, bias, y);
  });
}

// x [T, C], gain and bias [C], eps [1] -> gelu(layer norm)
KERNEL(layer_norm_gelu) {
  const float *gain = at<const float>(tensors, 1), *bias = at<const float>(tensors, 2);
  const float eps = at<const float>(tensors, 3)[0];
  return for_each_row(tensors, shapes, 4, [=](const float* x, int64_t size, float* y) {
    layer_norm_row(x, size, eps, gain, bias, y);
    for (int64_t i = 0; i < size; ++i) y[i] = gelu_erf(y[i]);
  });
}
