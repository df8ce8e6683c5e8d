// RMS norm, layer norm, batch norm.
#include "../array.h"
#include "../registry.h"

namespace standin {
namespace {

// x, gain, epsilon -> y, 1 / rms of each row
void rms_norm(const Floats &x, const Object &gain, double epsilon, const Object &y,
              const Object &reciprocals) {
  const Floats g = read<float>(gain);
  const size_t width = g.size();
  Floats out(x.size()), factors;
  for (size_t row = 0; row < x.size(); row += width) {
    double squares = 0.0;
    for (size_t n = 0; n < width; n++) squares += double(x[row + n]) * x[row + n];
    const float factor = float(1.0 / std::sqrt(squares / width + epsilon));
    for (size_t n = 0; n < width; n++) out[row + n] = x[row + n] * factor * g[n];
    factors.push_back(factor);
  }
  write(y, out);
  write(reciprocals, factors);
}

// x, gain, [epsilon,] y, 1 / rms
Register rms("aclnnRmsNorm", [](const Call &call) {
  rms_norm(read<float>(call.tensor(0)), call.tensor(1), call.doubles[0], call.tensor(2),
           call.tensor(3));
});

// x, other, gain, [epsilon,] y, 1 / rms, x + other
Register add_rms("aclnnAddRmsNorm", [](const Call &call) {
  const Object &x = call.tensor(0), &out = call.tensor(5);
  Floats sum = read<float>(x);
  const Floats other = read_as<float>(call.tensor(1), x.shape);
  for (size_t n = 0; n < sum.size(); n++) sum[n] += other[n];
  write(out, sum);
  rms_norm(sum, call.tensor(2), call.doubles[0], call.tensor(3), call.tensor(4));
});

enum Second { VARIANCE, RECIPROCAL_DEVIATION };         // what is returned beside the means

void write_optional(const Object *tensor, const Floats &values) {
  if (tensor && tensor->data) write(*tensor, values);
}

void layer_norm(const Object &x, const Object *gain, const Object *bias, int64_t width,
                float epsilon, const Object &y, const Object *means, const Object *seconds,
                Second kind) {
  const Floats in = read<float>(x);
  const Floats g = gain ? read<float>(*gain) : Floats(width, 1.0f);
  const Floats b = bias ? read<float>(*bias) : Floats(width, 0.0f);
  Floats out(in.size()), mean_values, second_values;
  for (size_t row = 0; row < in.size(); row += width) {
    double mean = 0.0, variance = 0.0;
    for (int64_t n = 0; n < width; n++) mean += in[row + n];
    mean /= width;
    for (int64_t n = 0; n < width; n++) variance += (in[row + n] - mean) * (in[row + n] - mean);
    variance /= width;
    const double deviation = std::sqrt(variance + epsilon);
    for (int64_t n = 0; n < width; n++)
      out[row + n] = float((in[row + n] - mean) / deviation) * g[n] + b[n];
    mean_values.push_back(float(mean));
    second_values.push_back(float(kind == VARIANCE ? variance : 1.0 / deviation));
  }
  write(y, out);
  write_optional(means, mean_values);
  write_optional(seconds, second_values);
}

// x, shape, gain, bias, [epsilon,] y, mean, 1 / deviation
Register layer("aclnnLayerNorm", [](const Call &call) {
  const int64_t width = element_count(call.integers(1));
  layer_norm(call.tensor(0), call.optional_tensor(2), call.optional_tensor(3), width,
             float(call.doubles[0]), call.tensor(4), call.optional_tensor(5),
             call.optional_tensor(6), RECIPROCAL_DEVIATION);
});

// x, other, gain, bias, extra bias, [epsilon,] with the sum, y, mean, 1 / deviation, x + other
Register add_layer("aclnnAddLayerNorm", [](const Call &call) {
  if (call.argument(4).object) refuse("a bias of the sum");
  const Object &x = call.tensor(0), &gain = call.tensor(2);
  Floats sum = read<float>(x);
  const Floats other = read_as<float>(call.tensor(1), x.shape);
  for (size_t n = 0; n < sum.size(); n++) sum[n] += other[n];
  Object added = x;             // in float, as the kernel keeps it
  added.dtype = FLOAT32;
  added.strides = contiguous_strides(x.shape);
  added.offset = 0;
  added.data = sum.data();
  layer_norm(added, &gain, &call.tensor(3), element_count(gain.shape), float(call.doubles[0]),
             call.tensor(-4), call.optional_tensor(-3), call.optional_tensor(-2),
             RECIPROCAL_DEVIATION);
  write_optional(call.optional_tensor(-1), sum);
});

Register layer_older("LayerNorm", [](const Call &call) {
  const Object &x = call.input(0);
  const size_t axis = axis_index(call.attribute("begin_norm_axis", {-1})[0], x.shape.size());
  const int64_t width = element_count(Shape(x.shape.begin() + axis, x.shape.end()));
  layer_norm(x, &call.input(1), &call.input(2), width, float(call.attributes.at("epsilon")[0]),
             call.output(0), &call.output(1), &call.output(2), VARIANCE);
});

// x [N, C, ...], scale, shift, mean, variance [C]
Register batch_norm("BNInfer", [](const Call &call) {
  const Object &x = call.input(0);
  Shape shape(x.shape.size(), 1);
  shape[1] = x.shape[1];
  auto channel = [&](int n) { return read_as<float>(reshape(call.input(n), shape), x.shape); };
  Floats out = read<float>(x);
  const Floats scale = channel(1), shift = channel(2), mean = channel(3), variance = channel(4);
  const float epsilon = float(call.attributes.at("epsilon")[0]);
  for (size_t n = 0; n < out.size(); n++)
    out[n] = (out[n] - mean[n]) / std::sqrt(variance[n] + epsilon) * scale[n] + shift[n];
  write(call.output(0), out);
});

}  // namespace
}  // namespace standin
