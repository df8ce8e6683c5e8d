// Arithmetic, comparisons and activations, element by element.
#include "../array.h"
#include "../registry.h"

namespace standin {
namespace {

float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }
float silu(float x) { return x * sigmoid(x); }
float gelu(float x) { return 0.5f * x * (1.0f + std::erf(x * 0.70710678f)); }

float gelu_tanh(float x) {
  return 0.5f * x * (1.0f + std::tanh(0.79788456f * (x + 0.044715f * x * x * x)));
}

// ---- one operand --------------------------------------------------------------------------------

template <typename F>
void map(const Object &x, const Object &out, const F &f) {
  Floats values = read<float>(x);
  for (float &value : values) value = f(value);
  write(out, values);
}

// self, ..., out
template <typename F>
Compute unary(const F &f) {
  return [f](const Call &call) { map(call.tensor(0), call.tensor(-1), f); };
}

Register abs_({"aclnnAbs"}, unary([](float x) { return std::abs(x); }));
Register cos_({"aclnnCos"}, unary([](float x) { return std::cos(x); }));
Register erf_({"aclnnErf"}, unary([](float x) { return std::erf(x); }));
Register exp_({"aclnnExp"}, unary([](float x) { return std::exp(x); }));
Register gelu_({"aclnnGelu"}, unary(gelu_tanh));       // by the document the form with tanh
Register log_({"aclnnLog"}, unary([](float x) { return std::log(x); }));
Register neg({"aclnnNeg"}, unary([](float x) { return -x; }));
Register reciprocal({"aclnnReciprocal"}, unary([](float x) { return 1.0f / x; }));
Register relu({"aclnnRelu"}, unary([](float x) { return x > 0.0f ? x : 0.0f; }));
Register rsqrt({"aclnnRsqrt"}, unary([](float x) { return 1.0f / std::sqrt(x); }));
Register sigmoid_({"aclnnSigmoid"}, unary(sigmoid));
Register silu_({"aclnnSilu"}, unary(silu));
Register sin_({"aclnnSin"}, unary([](float x) { return std::sin(x); }));
Register sqrt_({"aclnnSqrt"}, unary([](float x) { return std::sqrt(x); }));
Register tanh_({"aclnnTanh"}, unary([](float x) { return std::tanh(x); }));

// self, approximate (0: erf, 1: tanh), out
Register gelu_v2("aclnnGeluV2", [](const Call &call) {
  map(call.tensor(0), call.tensor(2), call.integer(1) ? gelu_tanh : gelu);
});

// self, dtype, out
Register cast("aclnnCast", [](const Call &call) { assign(call.tensor(2), call.tensor(0)); });

// self, source
Register copy("aclnnInplaceCopy", [](const Call &call) {
  assign(call.tensor(0), call.tensor(1));
});

Register tensor_move({"TensorMove", "Identity"}, [](const Call &call) {
  assign(call.output(0), call.input(0));
});

// ---- two operands -------------------------------------------------------------------------------

// Integers in double, others in float.
template <typename T, typename F>
void combine(const Object &a, const Object &b, const Object &out, const F &f) {
  std::vector<T> x = read_as<T>(a, out.shape);
  const std::vector<T> y = read_as<T>(b, out.shape);
  for (size_t n = 0; n < x.size(); n++) x[n] = T(f(x[n], y[n]));
  write(out, x);
}

template <typename F>
void combine(const Object &a, const Object &b, const Object &out, const F &f) {
  if (is_floating(a.dtype))
    combine<float>(a, b, out, f);
  else
    combine<double>(a, b, out, f);
}

// self, other, out; each operand a tensor or a scalar
template <typename F>
Compute binary(const F &f) {
  return [f](const Call &call) { combine(call.object(0), call.object(1), call.tensor(-1), f); };
}

// self, other, alpha, out: alpha times the other
Compute sum(double sign) {
  return [sign](const Call &call) {
    const double alpha = sign * call.scalar(2).scalar;
    combine(call.object(0), call.object(1), call.tensor(3),
            [alpha](auto a, auto b) { return a + decltype(a)(alpha) * b; });
  };
}

template <typename T>
T remainder_of(T a, T b) {      // with the sign of the divisor
  return a - std::floor(a / b) * b;
}

Register add({"aclnnAdd", "aclnnAdds"}, sum(1));
Register sub({"aclnnSub", "aclnnSubs"}, sum(-1));
Register mul({"aclnnMul", "aclnnMuls"}, binary([](auto a, auto b) { return a * b; }));
Register div_({"aclnnDiv", "aclnnDivs"}, binary([](auto a, auto b) { return a / b; }));
Register floor_divide({"aclnnFloorDivide", "aclnnFloorDivides"},
                      binary([](auto a, auto b) { return std::floor(a / b); }));
Register remainder_({"aclnnRemainderTensorScalar", "aclnnRemainderTensorTensor"},
                    binary([](auto a, auto b) { return remainder_of(a, b); }));
Register maximum({"aclnnMaximum"}, binary([](auto a, auto b) { return a > b ? a : b; }));
Register minimum({"aclnnMinimum"}, binary([](auto a, auto b) { return a < b ? a : b; }));
Register pow_({"aclnnPowTensorScalar", "aclnnPowTensorTensor", "aclnnPowScalarTensor"},
              binary([](auto a, auto b) { return std::pow(a, b); }));

Register equal({"aclnnEqScalar", "aclnnEqTensor"}, binary([](auto a, auto b) { return a == b; }));
Register not_equal({"aclnnNeScalar", "aclnnNeTensor"},
                   binary([](auto a, auto b) { return a != b; }));
Register less({"aclnnLtScalar", "aclnnLtTensor"}, binary([](auto a, auto b) { return a < b; }));
Register less_equal({"aclnnLeScalar", "aclnnLeTensor"},
                    binary([](auto a, auto b) { return a <= b; }));
Register greater_({"aclnnGtScalar", "aclnnGtTensor"},
                  binary([](auto a, auto b) { return a > b; }));
Register greater_equal_({"aclnnGeScalar", "aclnnGeTensor"},
                        binary([](auto a, auto b) { return a >= b; }));
Register logical_and_({"aclnnLogicalAnd"}, binary([](auto a, auto b) { return a && b; }));
Register logical_or_({"aclnnLogicalOr"}, binary([](auto a, auto b) { return a || b; }));
Register logical_not_({"aclnnLogicalNot"}, unary([](float x) { return x == 0.0f; }));

// self, a, b, value, out: self + value a b
Register addcmul("aclnnAddcmul", [](const Call &call) {
  const Object &out = call.tensor(4);
  Floats total = read_as<float>(call.tensor(0), out.shape);
  const Floats a = read_as<float>(call.tensor(1), out.shape);
  const Floats b = read_as<float>(call.tensor(2), out.shape);
  const float value = float(call.scalar(3).scalar);
  for (size_t n = 0; n < total.size(); n++) total[n] += value * a[n] * b[n];
  write(out, total);
});

// condition, self, other, out
Register where("aclnnSWhere", [](const Call &call) {
  const Object &out = call.tensor(3);
  const Doubles condition = read_as<double>(call.tensor(0), out.shape);
  Doubles chosen = read_as<double>(call.tensor(1), out.shape);
  const Doubles other = read_as<double>(call.tensor(2), out.shape);
  for (size_t n = 0; n < chosen.size(); n++)
    if (condition[n] == 0.0) chosen[n] = other[n];
  write(out, chosen);
});

// x [..., 2 C], axis, out [..., C]: silu of the first half times the second
Register swiglu("aclnnSwiGlu", [](const Call &call) {
  const Object &x = call.tensor(0), &out = call.tensor(2);
  const size_t axis = axis_index(call.integer(1), x.shape.size());
  const int64_t half = x.shape[axis] / 2;
  Floats gate = read<float>(narrow(x, axis, 0, half));
  const Floats up = read<float>(narrow(x, axis, half, half));
  for (size_t n = 0; n < gate.size(); n++) gate[n] = silu(gate[n]) * up[n];
  write(out, gate);
});

// ---- by the older interface ---------------------------------------------------------------------

// Two inputs; MindSpore launches some by these names in PyNative mode.
template <typename F>
Compute binary_older(const F &f) {
  return [f](const Call &call) { combine(call.input(0), call.input(1), call.output(0), f); };
}

Register add_older("Add", binary_older([](auto a, auto b) { return a + b; }));
Register sub_older("Sub", binary_older([](auto a, auto b) { return a - b; }));
Register mul_older("Mul", binary_older([](auto a, auto b) { return a * b; }));
Register div_older({"Div", "RealDiv"}, binary_older([](auto a, auto b) { return a / b; }));

// x [N, C, ...] + bias [C]
Register bias_add("BiasAdd", [](const Call &call) {
  const Object &x = call.input(0);
  Shape shape(x.shape.size(), 1);
  shape[1] = x.shape[1];
  combine<float>(x, reshape(call.input(1), shape), call.output(0),
                 [](float a, float b) { return a + b; });
});

Register add_n("AddN", [](const Call &call) {
  Floats total = read<float>(call.input(0));
  for (size_t n = 1; n < call.inputs.size(); n++) {
    const Floats values = read<float>(call.input(n));
    for (size_t k = 0; k < total.size(); k++) total[k] += values[k];
  }
  write(call.output(0), total);
});

}  // namespace
}  // namespace standin
