// Gradients and optimizers of fine-tuning.
#include "../array.h"
#include "../registry.h"

namespace standin {
namespace {

// f(gradient, saved value) element by element
template <typename F>
void gradient(const Object &grad, const Object &saved, const Object &out, const F &f) {
  Floats result = read_as<float>(grad, out.shape);
  const Floats values = read_as<float>(saved, out.shape);
  for (size_t n = 0; n < result.size(); n++) result[n] = f(result[n], values[n]);
  write(out, result);
}

// gradient, output, out
Register sigmoid_backward("aclnnSigmoidBackward", [](const Call &call) {
  gradient(call.tensor(0), call.tensor(1), call.tensor(2),
           [](float g, float y) { return g * y * (1.0f - y); });
});

// gradient, input, out
Register silu_backward("aclnnSiluBackward", [](const Call &call) {
  gradient(call.tensor(0), call.tensor(1), call.tensor(2), [](float g, float x) {
    const float s = 1.0f / (1.0f + std::exp(-x));
    return g * s * (1.0f + x * (1.0f - s));
  });
});

// output, its gradient
Register rsqrt_grad("RsqrtGrad", [](const Call &call) {
  gradient(call.input(1), call.input(0), call.output(0),
           [](float g, float y) { return -0.5f * g * y * y * y; });
});

template <typename F>
void row_gradient(const Call &call, const F &f) {
  const Object &grad = call.tensor(0), &saved = call.tensor(1);
  if (axis_index(call.integer(2), saved.shape.size()) != saved.shape.size() - 1)
    refuse("another axis than the last");
  Floats g = read<float>(grad);
  const Floats y = read<float>(saved);
  const int64_t length = saved.shape.back();
  for (size_t row = 0; row < g.size(); row += length) f(&g[row], &y[row], length);
  write(call.tensor(3), g);
}

// gradient, output, axis, out
Register log_softmax_backward("aclnnLogSoftmaxBackward", [](const Call &call) {
  row_gradient(call, [](float *g, const float *y, int64_t length) {
    double total = 0.0;
    for (int64_t n = 0; n < length; n++) total += g[n];
    for (int64_t n = 0; n < length; n++) g[n] -= std::exp(y[n]) * float(total);
  });
});
Register softmax_backward("aclnnSoftmaxBackward", [](const Call &call) {
  row_gradient(call, [](float *g, const float *y, int64_t length) {
    double total = 0.0;
    for (int64_t n = 0; n < length; n++) total += double(g[n]) * y[n];
    for (int64_t n = 0; n < length; n++) g[n] = y[n] * (g[n] - float(total));
  });
});

// gradient [N, C, ...] -> [C]
Register bias_add_grad("BiasAddGrad", [](const Call &call) {
  const Object &grad = call.input(0);
  const Floats g = read<float>(grad);
  const int64_t channels = grad.shape[1], inner = inner_count(grad.shape, 1);
  Doubles sums(channels, 0.0);
  for (size_t n = 0; n < g.size(); n++) sums[n / inner % channels] += g[n];
  write(call.output(0), sums);
});

// AdamW of one parameter: gradient, second moment, first moment, parameter, learning rate, beta1,
// 1 - beta1, beta2, 1 - beta2, weight decay, epsilon -> second moment, first moment, parameter
Register adam({"AdamApplyOneWithDecay", "AdamApplyOneWithDecayAssign"}, [](const Call &call) {
  const Floats g = read<float>(call.input(0));
  Floats v = read<float>(call.input(1)), m = read<float>(call.input(2));
  Floats w = read<float>(call.input(3));
  float factors[7];
  for (int n = 0; n < 7; n++) factors[n] = read<float>(call.input(4 + n))[0];
  const auto [rate, beta1, rest1, beta2, rest2, decay, epsilon] = factors;
  for (size_t n = 0; n < w.size(); n++) {
    v[n] = beta2 * v[n] + rest2 * g[n] * g[n];
    m[n] = beta1 * m[n] + rest1 * g[n];
    w[n] -= rate * (m[n] / (std::sqrt(v[n]) + epsilon) + decay * w[n]);
  }
  write(call.output(0), v);
  write(call.output(1), m);
  write(call.output(2), w);
});

}  // namespace
}  // namespace standin
