// Linear layers with what comes before (RMS norm) and after (bias, GELU, SwiGLU, residual) fused.
//
// x [T, K] and y [T, N] are float32. Packed matrices are flat: float32, or uint8 for int8 weights
// (see gemm.h).

#include "gemm.h"

using namespace sparktts;

namespace {

// out = x / sqrt(mean(x^2) + eps)
void rms_norm_row(const float* x, int64_t size, float eps, float* out) {
  float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < size; ++i) sum += x[i] * x[i];
  const float scale = 1.0f / std::sqrt(sum / size + eps);
  for (int64_t i = 0; i < size; ++i) out[i] = x[i] * scale;
}

struct Matrix {
  const char* packed;
  bool int8;
  int64_t outputs;
};

Matrix matrix(void** tensors, const char** dtypes, int index, int64_t outputs) {
  return {at<const char>(tensors, index), std::strcmp(dtypes[index], "uint8") == 0, outputs};
}

// x [rows, inputs], RMS-normalised if `eps` is given, times the panels first .. last - 1 of `w`
template <typename Epilogue>
void linear(const float* x, int64_t rows, int64_t inputs, const float* eps, const Matrix& w,
            int64_t first, int64_t last, const Epilogue& epilogue) {
  const int64_t row_floats = (inputs + 15) / 16 * 16, step = rows < 16 ? rows : 4;
  const int64_t normed_bytes = eps ? rows * row_floats * 4 : 0;
  Scratch scratch(normed_bytes + (w.int8 ? Rows8::bytes(rows, inputs) : 0));
  float* normed = scratch.as<float>();
  const Rows8 rows8(scratch.as<char>(normed_bytes), rows, inputs);
  if (eps || w.int8)
    parallel_ranges(rows, step, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        const float* row = x + r * inputs;
        if (eps) {
          rms_norm_row(row, inputs, *eps, normed + r * row_floats);
          row = normed + r * row_floats;
        }
        if (w.int8) rows8.quantize(r, row, inputs);
      }
    });
  if (w.int8)
    multiply(rows8, rows, w.packed, blocks(inputs) * kBlockBytes, first, last, epilogue);
  else
    multiply(Rows{eps ? normed : x, eps ? row_floats : inputs, inputs}, rows, w.packed,
             inputs * kPanel * 4, first, last, epilogue);
}

template <typename Epilogue>
void linear(const float* x, int64_t rows, int64_t inputs, const float* eps, const Matrix& w,
            const Epilogue& epilogue) {
  linear(x, rows, inputs, eps, w, 0, panels(w.outputs), epilogue);
}

}  // namespace

// x [T, K], w, bias [N] -> x W + bias
KERNEL(linear_bias) {
  const float* bias = at<const float>(tensors, 2);
  const int64_t outputs = shapes[3][1];
  linear(at<const float>(tensors, 0), shapes[0][0], shapes[0][1], nullptr,
         matrix(tensors, dtypes, 1, outputs),
         store_outputs(at<float>(tensors, 3), outputs,
                       [=](float sum, int64_t o, int64_t) { return sum + bias[o]; }));
  return 0;
}

// x [T, K], w, bias [N] -> gelu(x W + bias)
KERNEL(linear_gelu) {
  const float* bias = at<const float>(tensors, 2);
  const int64_t outputs = shapes[3][1];
  linear(at<const float>(tensors, 0), shapes[0][0], shapes[0][1], nullptr,
         matrix(tensors, dtypes, 1, outputs),
         store_outputs(at<float>(tensors, 3), outputs,
                       [=](float sum, int64_t o, int64_t) { return gelu_erf(sum + bias[o]); }));
  return 0;
}

// x [T, K], w, bias [N], residual [T, N] -> residual + x W + bias
KERNEL(linear_add) {
  const float *bias = at<const float>(tensors, 2), *residual = at<const float>(tensors, 3);
  const int64_t outputs = shapes[4][1];
  auto add = [=](float sum, int64_t o, int64_t i) { return residual[i] + (sum + bias[o]); };
  linear(at<const float>(tensors, 0), shapes[0][0], shapes[0][1], nullptr,
         matrix(tensors, dtypes, 1, outputs), store_outputs(at<float>(tensors, 4), outputs, add));
  return 0;
}

// x [T, K], eps [1], w, bias [N] -> norm(x) W + bias
KERNEL(rms_norm_linear) {
  const float* bias = at<const float>(tensors, 3);
  const int64_t outputs = shapes[4][1];
  linear(at<const float>(tensors, 0), shapes[0][0], shapes[0][1], at<const float>(tensors, 1),
         matrix(tensors, dtypes, 2, outputs),
         store_outputs(at<float>(tensors, 4), outputs,
                       [=](float sum, int64_t o, int64_t) { return sum + bias[o]; }));
  return 0;
}

// x [T, K], eps [1], w -> silu(norm(x) G) (norm(x) U), [T, N]; a panel holds 16 columns of G, then
// the same of U
KERNEL(rms_norm_swiglu) {
  const int64_t outputs = shapes[3][1];
  float* y = at<float>(tensors, 3);
  linear(at<const float>(tensors, 0), shapes[0][0], shapes[0][1], at<const float>(tensors, 1),
         matrix(tensors, dtypes, 2, (outputs + kLanes - 1) / kLanes * kPanel),
         [=](const float* sums, int64_t row, int64_t n, int64_t panel) {
           const int64_t first = panel * kLanes;
           const int64_t width = std::min<int64_t>(kLanes, outputs - first);
           for (int64_t r = 0; r < n; ++r, sums += kPanel) {
             float* out = y + (row + r) * outputs + first;
             for (int64_t i = 0; i < width; ++i) out[i] = silu(sums[i]) * sums[kLanes + i];
           }
         });
  return 0;
}

// x [B, K], eps [1], w, ranges int32 [B, 2] -> norm(x) W in the columns between the first and the
// last that any row's range holds, else minus infinity
KERNEL(rms_norm_logits) {
  const int64_t outputs = shapes[4][1], rows = shapes[0][0];
  const int32_t* ranges = at<const int32_t>(tensors, 3);
  int64_t begin = outputs, end = 0;
  for (int64_t r = 0; r < rows; ++r)
    if (ranges[2 * r] < ranges[2 * r + 1]) {
      begin = std::min<int64_t>(begin, ranges[2 * r]);
      end = std::max<int64_t>(end, ranges[2 * r + 1]);
    }
  if (begin < 0 || end > outputs) return 1;
  float* y = at<float>(tensors, 4);
  std::fill(y, y + rows * outputs, -INFINITY);
  if (begin < end)
    linear(at<const float>(tensors, 0), rows, shapes[0][1], at<const float>(tensors, 1),
           matrix(tensors, dtypes, 2, outputs), begin / kPanel, panels(end),
           store_outputs(y, outputs, [](float sum, int64_t, int64_t) { return sum; }));
  Pool::shared().suspend();     // the end of a decode step
  return 0;
}

// Called through ctypes. `matrix` is [outputs, inputs], as in checkpoints.

extern "C" void sparktts_set_threads(int threads) { Pool::shared().resize(threads); }

extern "C" int64_t sparktts_packed_bytes(int64_t outputs, int64_t inputs, int int8) {
  return panels(outputs) * (int8 ? blocks(inputs) * kBlockBytes : inputs * kPanel * 4);
}

extern "C" void sparktts_pack_float32(const float* matrix, int64_t outputs, int64_t inputs,
                                      float* packed) {
  parallel(panels(outputs), [&](int64_t p) {
    float* out = packed + p * inputs * kPanel;
    for (int64_t k = 0; k < inputs; ++k)
      for (int64_t i = 0; i < kPanel; ++i, ++out)
        *out = p * kPanel + i < outputs ? matrix[(p * kPanel + i) * inputs + k] : 0.0f;
  });
}

extern "C" void sparktts_pack_int8(const float* matrix, int64_t outputs, int64_t inputs,
                                   uint8_t* packed) {
  const int64_t count = blocks(inputs);
  parallel(panels(outputs), [&](int64_t p) {
    for (int64_t b = 0; b < count; ++b) {
      uint8_t* block = packed + (p * count + b) * kBlockBytes;
      auto* scales = reinterpret_cast<uint16_t*>(block);
      uint8_t* out = block + 2 * kPanel;
      const int64_t k0 = b * kBlock, width = std::min<int64_t>(kBlock, inputs - k0);
      for (int64_t i = 0; i < kPanel; ++i) {
        const int64_t o = p * kPanel + i;
        const int64_t start = o * inputs + k0;
        float max = 0.0f;
        if (o < outputs)
          for (int64_t k = 0; k < width; ++k) max = std::max(max, std::fabs(matrix[start + k]));
        // the scale as bfloat16, rounded up so that no weight exceeds 127
        float scale = max / 127.0f;
        uint32_t bits;
        std::memcpy(&bits, &scale, 4);
        bits = (bits + 0xffffu) & 0xffff0000u;
        std::memcpy(&scale, &bits, 4);
        scales[i] = static_cast<uint16_t>(bits >> 16);
        for (int64_t k = 0; k < kBlock; ++k) {
          const bool inside = o < outputs && k < width && scale > 0.0f;
          const float value = inside ? std::nearbyint(matrix[start + k] / scale) : 0.0f;
          out[(k / 4) * 4 * kPanel + i * 4 + k % 4] =
              static_cast<uint8_t>(128 + static_cast<int>(value));
        }
      }
    }
  });
}
