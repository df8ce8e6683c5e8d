// Matrix products. Products and sums are float32, as the cube units accumulate.
#include "../array.h"
#include "../registry.h"

namespace standin {
namespace {

// out [M, N] = a [M, K] b [K, N]
void multiply(const float *a, const float *b, float *out, int64_t M, int64_t K, int64_t N) {
  std::fill(out, out + M * N, 0.0f);
  for (int64_t m = 0; m < M; m++)
    for (int64_t k = 0; k < K; k++) {
      const float factor = a[m * K + k];
      const float *row = b + k * N;
      float *to = out + m * N;
      for (int64_t n = 0; n < N; n++) to[n] += factor * row[n];
    }
}

// a [..., M, K], b [..., K, N] with batch axes that broadcast -> [..., M, N]
Floats product(const Object &a, const Object &b, const Shape &shape) {
  const size_t rank = shape.size();
  if (a.shape.size() < 2 || b.shape.size() < 2 || rank < 2)
    refuse("a product of %s and %s", describe(a).c_str(), describe(b).c_str());
  const int64_t M = shape[rank - 2], N = shape[rank - 1], K = a.shape.back();
  Shape of_a = shape, of_b = shape;
  of_a[rank - 1] = K;
  of_b[rank - 2] = K;
  const Floats x = read_as<float>(a, of_a), y = read_as<float>(b, of_b);
  Floats out(element_count(shape));
  for (int64_t n = 0; n * M * N < int64_t(out.size()); n++)
    multiply(&x[n * M * K], &y[n * K * N], &out[n * M * N], M, K, N);
  return out;
}

// self, other, out, cube_math_type
Register matmul({"aclnnMm", "aclnnMatmul", "aclnnBatchMatMul"}, [](const Call &call) {
  const Object &out = call.tensor(2);
  write(out, product(call.tensor(0), call.tensor(1), out.shape));
});

// self, a, b, beta, alpha, out, cube_math_type: beta self + alpha a b
Register addmm({"aclnnAddmm", "aclnnBaddbmm"}, [](const Call &call) {
  const Object &out = call.tensor(5);
  Floats result = product(call.tensor(1), call.tensor(2), out.shape);
  const Floats bias = read_as<float>(call.tensor(0), out.shape);
  const float beta = float(call.scalar(3).scalar), alpha = float(call.scalar(4).scalar);
  for (size_t n = 0; n < result.size(); n++) result[n] = beta * bias[n] + alpha * result[n];
  write(out, result);
});

}  // namespace
}  // namespace standin
