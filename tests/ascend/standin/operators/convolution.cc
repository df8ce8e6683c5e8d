// Convolutions along the last axis: [N, C, L], or planes [N, C, 1, L]. Sums are float32.
#include "../array.h"
#include "../registry.h"

namespace standin {
namespace {

struct Geometry {
  int64_t stride, padding, dilation, groups;
};

void check_height(const Object &tensor) {
  if (tensor.shape.size() == 4 && tensor.shape[2] != 1)
    refuse("a convolution of planes %s", describe(tensor).c_str());
}

// x [N, I, L], weight [O, I / groups, K], bias [O] -> [N, O, L']
void convolve(const Object &x, const Object &weight, const Object *bias, const Object &out,
              const Geometry &g) {
  for (const Object *tensor : {&x, &weight, &out}) check_height(*tensor);
  const Floats in = read<float>(x), w = read<float>(weight);
  const Floats b = bias ? read<float>(*bias) : Floats();
  const int64_t batch = x.shape[0], I = x.shape[1], L = x.shape.back();
  const int64_t O = weight.shape[0], group_inputs = weight.shape[1], K = weight.shape.back();
  const int64_t U = out.shape.back();
  Floats y(element_count(out.shape), 0.0f);
  for (int64_t row = 0; row < batch * O; row++) {
    const int64_t n = row / O, o = row % O, group = o / (O / g.groups);
    float *to = &y[row * U];
    for (int64_t i = 0; i < group_inputs; i++) {
      const float *from = &in[(n * I + group * group_inputs + i) * L];
      for (int64_t k = 0; k < K; k++) {
        const float factor = w[(o * group_inputs + i) * K + k];
        const int64_t shift = k * g.dilation - g.padding;       // reads t * stride + shift
        const int64_t first = shift < 0 ? (-shift + g.stride - 1) / g.stride : 0;
        const int64_t behind = std::min(U, (L - shift + g.stride - 1) / g.stride);
        if (g.stride == 1)
          for (int64_t t = first; t < behind; t++) to[t] += factor * from[t + shift];
        else
          for (int64_t t = first; t < behind; t++) to[t] += factor * from[t * g.stride + shift];
      }
    }
    if (bias)
      for (int64_t t = 0; t < U; t++) to[t] += b[o];
  }
  write(out, y);
}

// x [N, I, L], weight [I, O, K], bias [O] -> [N, O, L']
void convolve_transposed(const Object &x, const Object &weight, const Object *bias,
                         const Object &out, const Geometry &g) {
  for (const Object *tensor : {&x, &weight, &out}) check_height(*tensor);
  if (g.groups != 1) refuse("a transposed convolution in groups");
  const Floats in = read<float>(x), w = read<float>(weight);
  const Floats b = bias ? read<float>(*bias) : Floats();
  const int64_t batch = x.shape[0], I = x.shape[1], L = x.shape.back();
  const int64_t O = weight.shape[1], K = weight.shape.back(), U = out.shape.back();
  Floats y(element_count(out.shape), 0.0f);
  for (int64_t n = 0; n < batch; n++)
    for (int64_t i = 0; i < I; i++)
      for (int64_t o = 0; o < O; o++)
        for (int64_t k = 0; k < K; k++) {
          const float factor = w[(i * O + o) * K + k];
          const int64_t shift = k * g.dilation - g.padding;     // writes t * stride + shift
          const int64_t first = shift < 0 ? (-shift + g.stride - 1) / g.stride : 0;
          const int64_t behind = std::min(L, (U - shift + g.stride - 1) / g.stride);
          const float *from = &in[(n * I + i) * L];
          float *to = &y[(n * O + o) * U + shift];
          for (int64_t t = first; t < behind; t++) to[t * g.stride] += factor * from[t];
        }
  for (size_t n = 0; bias && n < y.size(); n++) y[n] += b[n / U % O];
  write(out, y);
}

// x, weight, bias, strides, paddings, dilations, transposed, output paddings, groups, out,
// cube_math_type
Register convolution("aclnnConvolution", [](const Call &call) {
  const Geometry geometry = {call.integers(3).back(), call.integers(4).back(),
                             call.integers(5).back(), call.integer(8)};
  (call.integer(6) ? convolve_transposed : convolve)(call.tensor(0), call.tensor(1),
                                                     call.optional_tensor(2), call.tensor(9),
                                                     geometry);
});

Geometry geometry_of(const Call &call) {
  return {call.attribute("strides")[3], call.attribute("pads")[2],
          call.attribute("dilations", {1, 1, 1, 1})[3], call.attribute("groups", {1})[0]};
}

Register conv2d("Conv2D", [](const Call &call) {
  convolve(call.input(0), call.input(1), call.has_input(2) ? &call.input(2) : nullptr,
           call.output(0), geometry_of(call));
});

// input size, weight, gradient of the output: a transposed convolution of the gradient
Register conv2d_transposed("Conv2DBackpropInput", [](const Call &call) {
  convolve_transposed(call.input(2), call.input(1), nullptr, call.output(0), geometry_of(call));
});

}  // namespace
}  // namespace standin
