// Linear layers with what comes before (RMS norm) and after (bias, GELU, SwiGLU, residual) fused.
//
// x [T, K] and y [T, N] are float32. Packed matrices are flat (packing.cc); their size tells
// whether weights have 32, 8 or 4 bits.

#include "frames.h"
#include "quantized.h"

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
  int64_t bytes, outputs;
};

// The packed matrix of an input: float32, or uint8 for weights of 8 and 4 bits.
Matrix matrix(void** tensors, int64_t** shapes, const char** dtypes, int index, int64_t outputs) {
  const int64_t size = std::strcmp(dtypes[index], "uint8") == 0 ? 1 : 4;
  return {at<const char>(tensors, index), shapes[index][0] * size, outputs};
}

// `prepare(row, r)` for each row r of x [rows, inputs], RMS-normalised into `normed` if `eps` is
// given
template <typename Prepare>
void normalize(const float* x, int64_t rows, int64_t inputs, const float* eps, float* normed,
               int64_t row_floats, const Prepare& prepare) {
  parallel_ranges(rows, rows < 16 ? rows : 4, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float* row = x + r * inputs;
      if (eps) {
        rms_norm_row(row, inputs, *eps, normed + r * row_floats);
        row = normed + r * row_floats;
      }
      prepare(row, r);
    }
  });
}

// x [rows, inputs], RMS-normalised if `eps` is given, times the panels first .. last - 1 of `w`,
// whose groups are of this format
template <typename Format, typename Epilogue>
void quantized_linear(const float* x, int64_t rows, int64_t inputs, const float* eps,
                      const Matrix& w, int64_t first, int64_t last, const Epilogue& epilogue) {
  const int64_t row_floats = (inputs + 15) / 16 * 16, normed = eps ? rows * row_floats * 4 : 0;
  Scratch scratch(normed + QuantizedRows<Format>::bytes(rows, inputs));
  const QuantizedRows<Format> quantized(scratch.as<char>(normed), rows, inputs);
  normalize(x, rows, inputs, eps, scratch.as<float>(), row_floats,
            [&](const float* row, int64_t r) { quantized.quantize(r, row, inputs); });
  const int64_t panel_bytes = groups<Format>(inputs) * Format::kGroupBytes;
#if SPARKTTS_AMX
  if (rows >= TiledRows<Format>::kMinRows && amx_permitted())
    return multiply(TiledRows<Format>(quantized), rows, w.packed, panel_bytes, first, last,
                    epilogue);
#endif
  multiply(quantized, rows, w.packed, panel_bytes, first, last, epilogue);
}

template <typename Epilogue>
void linear(const float* x, int64_t rows, int64_t inputs, const float* eps, const Matrix& w,
            int64_t first, int64_t last, const Epilogue& epilogue) {
  const int64_t panel_bytes = w.bytes / panels(w.outputs);
  if (panel_bytes == groups<Int8>(inputs) * Int8::kGroupBytes)
    return quantized_linear<Int8>(x, rows, inputs, eps, w, first, last, epilogue);
  if (panel_bytes == groups<Int4>(inputs) * Int4::kGroupBytes)
    return quantized_linear<Int4>(x, rows, inputs, eps, w, first, last, epilogue);
  const int64_t row_floats = (inputs + 15) / 16 * 16;
  Scratch scratch(eps ? rows * row_floats * 4 : 0);
  float* normed = scratch.as<float>();
  if (eps)
    normalize(x, rows, inputs, eps, normed, row_floats, [](const float*, int64_t) {});
  multiply(Rows{eps ? normed : x, eps ? row_floats : inputs, inputs}, rows, w.packed,
           inputs * kPanel * 4, first, last, epilogue);
}

template <typename Epilogue>
void linear(const float* x, int64_t rows, int64_t inputs, const float* eps, const Matrix& w,
            const Epilogue& epilogue) {
  linear(x, rows, inputs, eps, w, 0, panels(w.outputs), epilogue);
}

// The same for layers whose inputs are frames, many in one call. Those of the language model see
// one row at a time too, for which tiles of float32 numbers do not pay.
template <typename Epilogue>
void frames_linear(void** tensors, int64_t** shapes, int64_t outputs, const Epilogue& epilogue) {
  const float* x = at<const float>(tensors, 0);
  const int64_t rows = shapes[0][0], inputs = shapes[0][1];
  Frames<3>(x, rows, inputs, 1)
      .multiply({0, 1, 1, 1, 0, inputs}, rows, at<const float>(tensors, 1), outputs, epilogue);
}

}  // namespace

// x [T, K], w, bias [N] -> x W + bias
KERNEL(linear_bias) {
  const float* bias = at<const float>(tensors, 2);
  const int64_t outputs = shapes[3][1];
  linear(at<const float>(tensors, 0), shapes[0][0], shapes[0][1], nullptr,
         matrix(tensors, shapes, dtypes, 1, outputs),
         store_outputs(at<float>(tensors, 3), outputs,
                       [=](float sum, int64_t o, int64_t) { return sum + bias[o]; }));
  return 0;
}

// The same with frames, whose matrix is float32
KERNEL(frames_linear_bias) {
  const float* bias = at<const float>(tensors, 2);
  const int64_t outputs = shapes[3][1];
  frames_linear(tensors, shapes, outputs,
                store_outputs(at<float>(tensors, 3), outputs,
                              [=](float sum, int64_t o, int64_t) { return sum + bias[o]; }));
  return 0;
}

// x [T, K], w, bias [N] -> gelu(x W + bias), with frames
KERNEL(linear_gelu) {
  const float* bias = at<const float>(tensors, 2);
  const int64_t outputs = shapes[3][1];
  auto output = [=](float sum, int64_t o, int64_t) { return gelu_erf(sum + bias[o]); };
  frames_linear(tensors, shapes, outputs, store_outputs(at<float>(tensors, 3), outputs, output));
  return 0;
}

// x [T, K], w, bias [N], residual [T, N] -> residual + x W + bias
KERNEL(linear_add) {
  const float *bias = at<const float>(tensors, 2), *residual = at<const float>(tensors, 3);
  const int64_t outputs = shapes[4][1];
  auto add = [=](float sum, int64_t o, int64_t i) { return residual[i] + (sum + bias[o]); };
  linear(at<const float>(tensors, 0), shapes[0][0], shapes[0][1], nullptr,
         matrix(tensors, shapes, dtypes, 1, outputs),
         store_outputs(at<float>(tensors, 4), outputs, add));
  return 0;
}

// The same with frames
KERNEL(frames_linear_add) {
  const float *bias = at<const float>(tensors, 2), *residual = at<const float>(tensors, 3);
  const int64_t outputs = shapes[4][1];
  auto add = [=](float sum, int64_t o, int64_t i) { return residual[i] + (sum + bias[o]); };
  frames_linear(tensors, shapes, outputs, store_outputs(at<float>(tensors, 4), outputs, add));
  return 0;
}

// x [T, K], eps [1], w, bias [N] -> norm(x) W + bias
KERNEL(rms_norm_linear) {
  const float* bias = at<const float>(tensors, 3);
  const int64_t outputs = shapes[4][1];
  linear(at<const float>(tensors, 0), shapes[0][0], shapes[0][1], at<const float>(tensors, 1),
         matrix(tensors, shapes, dtypes, 2, outputs),
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
         matrix(tensors, shapes, dtypes, 2, (outputs + kLanes - 1) / kLanes * kPanel),
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
           matrix(tensors, shapes, dtypes, 2, outputs), begin / kPanel, panels(end),
           store_outputs(y, outputs, [](float sum, int64_t, int64_t) { return sum; }));
  Pool::shared().suspend();     // the end of a decode step
  return 0;
}

// Called through ctypes.
extern "C" void sparktts_set_threads(int threads) { Pool::shared().resize(threads); }
// Whether products of frames use tiles (bf16_parts.h).
extern "C" int sparktts_has_tiles() { return amx_permitted(); }
