// Two tables. BFLOAT16_EXCLUDED: operators whose documents say of a chip that it has no bfloat16.
// RULES: everything else, each with its document. What was not found in a document is not here.
#include "limits.h"

#include <algorithm>
#include <initializer_list>
#include <set>

#include "error.h"

namespace standin {
namespace {

// Documents, all public. "ops-..." are the operator descriptions in the repositories of that name
// at gitcode.com/cann, from which hiascend.com's are made.
const char OPS_NN[] = "ops-nn, August 2026";
const char OPS_MATH[] = "ops-math, August 2026";
const char OPS_TRANSFORMER[] = "ops-transformer, November 2025";
const char OPS_TRANSFORMER_2026[] = "ops-transformer, 2026";
const char CANN_8[] = "operator descriptions of CANN 8.1, nn_calculation_ops.h";
const char CANN_8_LIST[] = "list of AI Core operators of CANN 8.1 for Atlas A2";
const char CUBE_UTIL[] = "ops-nn, August 2026, CheckCubeMathType in matmul/common/op_host/op_api";

constexpr int A2 = ASCEND_910B, A3 = ASCEND_910_93, OLDER = ASCEND_910A | ASCEND_310P;
constexpr int A2_A3 = A2 | A3;
constexpr int EVERY_CHIP = A2_A3 | OLDER | OTHER_CHIP;

const char *chip_name(Chip chip) {
  switch (chip) {
    case ASCEND_910A:
      return "Ascend 910A (Atlas training products)";
    case ASCEND_310P:
      return "Ascend 310P (Atlas inference products)";
    case ASCEND_910B:
      return "Ascend 910B (Atlas A2)";
    case ASCEND_910_93:
      return "Ascend 910_93 (Atlas A3)";
    default:
      return "this chip";
  }
}

// ---- bfloat16 -----------------------------------------------------------------------------------

struct Bfloat16Excluded {
  int chips;
  const char *document;
  std::set<std::string> operators;
};

const Bfloat16Excluded BFLOAT16_EXCLUDED[] = {
    {OLDER, OPS_MATH,
     {"aclnnAbs", "aclnnAmax", "aclnnAmin", "aclnnArange", "aclnnArgMax", "aclnnCast", "aclnnCat",
      "aclnnConstantPadNd", "aclnnCos", "aclnnCumsum", "aclnnExpand", "aclnnGeScalar",
      "aclnnGeTensor", "aclnnGtScalar", "aclnnGtTensor", "aclnnInplaceFillScalar",
      "aclnnInplaceFillTensor", "aclnnInplaceOne", "aclnnLeScalar", "aclnnLeTensor",
      "aclnnLogicalAnd", "aclnnLogicalNot", "aclnnLogicalOr", "aclnnMaximum", "aclnnMean",
      "aclnnMinimum", "aclnnMul", "aclnnMuls", "aclnnPowScalarTensor", "aclnnPowTensorScalar",
      "aclnnPowTensorTensor", "aclnnReduceSum", "aclnnRepeat", "aclnnRsqrt", "aclnnSin",
      "aclnnStack", "aclnnSubs"}},
    {ASCEND_910A, OPS_MATH,
     {"aclnnAdd", "aclnnAddcmul", "aclnnDiv", "aclnnEqTensor", "aclnnLtScalar", "aclnnLtTensor",
      "aclnnNeScalar", "aclnnNeg", "aclnnPermute", "aclnnRemainderTensorScalar", "aclnnSlice",
      "aclnnSqrt", "aclnnSub", "aclnnTanh"}},
    {OLDER, OPS_NN,
     {"aclnnAddLayerNorm", "aclnnAddRmsNorm", "aclnnAddmm", "aclnnBaddbmm", "aclnnBatchMatMul",
      "aclnnConvolution", "aclnnEmbedding", "aclnnGelu", "aclnnIndexSelect", "aclnnMatmul",
      "aclnnMm", "aclnnRmsNorm", "aclnnSwiGlu"}},
    {ASCEND_910A, OPS_NN, {"aclnnIndexPutImpl", "aclnnInplaceScatterUpdate", "aclnnLayerNorm"}},
};

template <typename F>
void for_each_tensor(const Call &call, const F &f) {
  auto visit = [&](const ObjectPointer &object) {
    if (!object) return;
    if (object->kind == Kind::tensor) f(*object);
    for (const ObjectPointer &member : object->members)
      if (member) f(*member);
  };
  for (const Argument &argument : call.arguments) visit(argument.object);
  for (const ObjectPointer &input : call.inputs) visit(input);
  for (const ObjectPointer &output : call.outputs) visit(output);
}

void check_bfloat16(const Call &call, Chip chip) {
  for (const Bfloat16Excluded &entry : BFLOAT16_EXCLUDED) {
    if (!(entry.chips & chip) || !entry.operators.count(call.name)) continue;
    for_each_tensor(call, [&](const Object &tensor) {
      if (tensor.dtype == BFLOAT16)
        refuse("%s has no bfloat16 (%s, %s)", chip_name(chip), call.name.c_str(), entry.document);
    });
  }
}

// ---- parts of the rules -------------------------------------------------------------------------

using Types = std::initializer_list<int>;
const Types FLOATING = {FLOAT32, FLOAT16, BFLOAT16};
const Types HALF = {FLOAT16, BFLOAT16};
const Types INDEX = {INT32, INT64};

void require(bool holds, const char *what) {
  if (!holds) refuse("%s", what);
}

void require_type(const Object &tensor, const Types &types, const char *name) {
  if (std::find(types.begin(), types.end(), tensor.dtype) != types.end()) return;
  std::string text;
  for (int type : types) text += (text.empty() ? "" : ", ") + dtype_name(type);
  refuse("%s is %s; supported: %s", name, dtype_name(tensor.dtype).c_str(), text.c_str());
}

void require_same_type(const Object &a, const Object &b, const char *what) {
  if (a.dtype != b.dtype)
    refuse("%s: %s and %s", what, dtype_name(a.dtype).c_str(), dtype_name(b.dtype).c_str());
}

void require_contiguous(const Object &tensor, const char *name) {
  if (!is_contiguous(tensor)) refuse("%s is not contiguous: %s", name, describe(tensor).c_str());
}

void require_range(int64_t value, int64_t least, int64_t largest, const char *what) {
  if (value < least || value > largest)
    refuse("%s is %lld; supported: %lld to %lld", what, (long long)value, (long long)least,
           (long long)largest);
}

// ---- rules --------------------------------------------------------------------------------------

// "exceeding 4096 may cause compilation errors"
void conv2d_width(const Call &call, Chip) {
  require_range(call.input(0).shape.back(), 1, 4096, "the width of the input");
}

void conv2d_transposed_width(const Call &call, Chip) {
  require_range(call.output(0).shape.back(), 1, 4096, "the width of the feature map");
}

void not_on_ai_core(const Call &, Chip) {
  refuse("there is no AI Core operator of this name");
}

// The documents of aclnnConvolution and aclnnMatmul say that float32 is not supported with type 0
// (keep the type) on some or all chips; the public source accepts it where the cube unit has
// float32.
void float32_unchanged(const Call &call, Chip chip) {
  const int index = cube_math_type_index(call.name);
  const Object &weight = call.tensor(1);
  if (weight.dtype == FLOAT32 && call.integer(index) == 0 && !(chip & A2_A3))
    refuse("float32 with cube math type 0 on %s", chip_name(chip));
}

void hf32_on_older_chips(const Call &call, Chip) {
  if (call.integer(cube_math_type_index(call.name)) == 3) refuse("cube math type 3");
}

// Types are not deduced from bfloat16 and another one.
void one_type_of_factors(const Call &call, Chip) {
  const int first = call.name == "aclnnAddmm" || call.name == "aclnnBaddbmm" ? 1 : 0;
  const Object &a = call.tensor(first), &b = call.tensor(first + 1);
  require_type(a, FLOATING, "the first matrix");
  require_type(b, FLOATING, "the second matrix");
  if (a.dtype == BFLOAT16 || b.dtype == BFLOAT16)
    require_same_type(a, b, "bfloat16 with another type");
}

void rank_of_factors(const Call &call, Chip) {
  const int first = call.name == "aclnnAddmm" || call.name == "aclnnBaddbmm" ? 1 : 0;
  const int rank = call.name == "aclnnMm" || call.name == "aclnnAddmm" ? 2 : 3;
  for (int n = first; n < first + 2; n++)
    if (int(call.tensor(n).shape.size()) != rank)
      refuse("a matrix of %zu dimensions, not %d", call.tensor(n).shape.size(), rank);
}

void convolution(const Call &call, Chip chip) {
  const Object &x = call.tensor(0), &weight = call.tensor(1);
  require_type(x, FLOATING, "the input");
  require_type(weight, FLOATING, "the weight");
  for (const Object *tensor : {&x, &weight, call.optional_tensor(2)})
    if (tensor)
      for (int64_t size : tensor->shape) require_range(size, 0, 1000000, "a dimension");
  if (chip == ASCEND_310P)
    for (size_t axis = 2; axis < x.shape.size(); axis++)
      require_range(x.shape[axis], 1, 4096, "height or width");
  require_range(call.integer(8), 1, 65535, "groups");
  if (call.integer(6)) {
    for (size_t axis = 2; axis < weight.shape.size(); axis++)
      require_range(weight.shape[axis], 1, 255, "the kernel of a transposed convolution");
  } else if (x.shape.size() < 5) {
    for (int64_t padding : call.integers(4)) require_range(padding, 0, 255, "padding");
  }
  if (x.shape.size() < 5)
    for (int64_t dilation : call.integers(5)) require_range(dilation, 1, 255, "dilation");
}

void rms_norm(const Call &call, Chip chip) {
  const Object &x = call.tensor(0), &gain = call.tensor(1), &y = call.tensor(2);
  require_type(x, FLOATING, "x");
  require_same_type(x, y, "x and y");
  require(gain.dtype == x.dtype || (gain.dtype == FLOAT32 && (chip & A2_A3)),
          "gamma has neither the type of x nor float32");
  require_type(call.tensor(3), {FLOAT32}, "rstd");
  require(gain.shape.size() < x.shape.size(), "gamma has as many dimensions as x");
}

void add_rms_norm(const Call &call, Chip) {
  const Object &x = call.tensor(0), &other = call.tensor(1), &gain = call.tensor(2);
  require_type(x, FLOATING, "x1");
  require_same_type(x, other, "x1 and x2");
  require_same_type(x, gain, "x1 and gamma");
  require_same_type(x, call.tensor(3), "x1 and y");
  require(x.shape == other.shape, "x1 and x2 have different shapes");
}

void swiglu(const Call &call, Chip) {
  const Object &x = call.tensor(0);
  require_type(x, FLOATING, "x");
  require_contiguous(x, "x");
  const int64_t axis = call.integer(1), rank = x.shape.size();
  require_range(axis, -rank, rank - 1, "dim");
  require(x.shape[axis < 0 ? axis + rank : axis] % 2 == 0, "the size along dim is odd");
}

// mode 0; x is BNSD, BSND or SBND, and S stands where cos keeps its size
void rotary(const Call &call, Chip) {
  const Object &x = call.tensor(0), &cos = call.tensor(1), &sin = call.tensor(2);
  require_type(x, FLOATING, "x");
  require_same_type(x, cos, "x and cos");
  require_same_type(x, sin, "x and sin");
  require(x.shape.size() == 4 && cos.shape.size() == 4, "x or cos has not 4 dimensions");
  require(cos.shape == sin.shape, "cos and sin have different shapes");
  require(cos.shape[3] == x.shape[3], "x and cos have different last dimensions");
  require(x.shape[3] % 2 == 0, "the last dimension is odd");
  require_range(x.shape[3], 2, 895, "the last dimension");
  int broadcast = 0;
  for (int axis = 0; axis < 3; axis++) {
    const bool smaller = cos.shape[axis] == 1 && x.shape[axis] != 1;
    require(smaller || cos.shape[axis] == x.shape[axis], "cos does not broadcast to x");
    broadcast += smaller;
    if (smaller) require_range(x.shape[axis], 1, 999, "the size of an axis that is not S");
  }
  require(broadcast < 3, "cos has no axis S");
}

// Tables that both first axes share, with few positions: "use other operators".
void rotary_bnsd(const Call &call, Chip) {
  const Shape &x = call.tensor(0).shape, &cos = call.tensor(1).shape;
  const bool bnsd = x[0] != cos[0] && x[1] != cos[1] && x[2] == cos[2];
  if (bnsd && x[0] * x[1] > 8 * x[2])
    refuse("layout BNSD with B N = %lld larger than 8 S = %lld", (long long)(x[0] * x[1]),
           (long long)(8 * x[2]));
}

struct AttentionCall {
  const Object *query, *mask, *table;
  std::string layout;
  int64_t heads, kv_heads, sparse_mode, block;
  bool has_lengths;
};

int64_t axis_of(const std::string &layout, char axis) { return int64_t(layout.find(axis)); }

void attention(const Call &call, const AttentionCall &a, const Object &keys,
               const Object &values) {
  const Object &query = *a.query;
  require_type(query, HALF, "query");
  require_same_type(query, keys, "query and key");
  require_same_type(query, values, "query and value");
  require_same_type(query, call.tensor(call.name == "aclnnFusedInferAttentionScore" ||
                                               call.name == "aclnnFusedInferAttentionScoreV2"
                                           ? -2 : -1), "query and output");
  for (const Object *tensor : {a.query, &keys, &values, a.mask})
    if (tensor) require_contiguous(*tensor, "query, key, value or mask");
  require(a.layout == "BSH" || a.layout == "BSND" || a.layout == "BNSD", "the layout");
  const int64_t batch = query.shape[0], length = query.shape[axis_of(a.layout, 'S')];
  const int64_t dim = a.layout == "BSH" ? query.shape[2] / a.heads : query.shape[3];
  const int64_t kv_heads = a.kv_heads ? a.kv_heads : a.heads;
  require_range(batch, 1, 65536, "B");
  require_range(a.heads, 1, 256, "N");
  require_range(dim, 1, 512, "D");
  require(a.heads % kv_heads == 0, "numHeads is no multiple of numKeyValueHeads");
  require_range(a.heads / kv_heads, 1, 64, "numHeads / numKeyValueHeads");
  if (length > 1) {
    require(dim % 16 == 0, "D is no multiple of 16");
    require_range(a.sparse_mode, 0, 4, "sparseMode");
    if (a.layout != "BNSD") require_range(a.heads * dim, 1, 65534, "N D");
  }
  int64_t positions;
  if (a.table) {
    const bool planes = keys.shape.size() == 4;     // [blocks, N, block, D]
    require_type(*a.table, {INT32}, "blockTable");
    require(a.table->shape.size() == 2 && a.table->shape[0] == batch, "blockTable is not [B, n]");
    require(a.has_lengths, "a blockTable without actualSeqLengthsKv");
    require(!planes || a.layout == "BNSD", "a cache [blocks, N, block, D] needs layout BNSD");
    if (!planes) require_range(keys.shape[2], 1, 65535, "KV_N D");
    require_range(a.block, 16, 512, "blockSize");
    require(a.block % (length > 1 ? 128 : 16) == 0, "blockSize is not aligned");
    positions = a.table->shape[1] * a.block;
  } else {
    positions = keys.shape[axis_of(a.layout, 'S')];
  }
  if (!a.mask) return;
  require_type(*a.mask, {BOOL, INT8, UINT8}, "the mask");
  const Shape &mask = a.mask->shape;
  const size_t rank = mask.size();
  require(rank >= 2 && rank <= 4, "the mask has not 2 to 4 dimensions");
  require(rank < 4 || mask[1] == 1, "a mask of 4 dimensions is not (B, 1, Q_S, KV_S)");
  if (length > 1 && a.sparse_mode >= 2) {
    require(mask[rank - 1] == 2048 && mask[rank - 2] == 2048, "the mask is not 2048 x 2048");
    return;
  }
  require(mask[rank - 1] >= positions, "the mask covers fewer positions than the keys");
  if (length == 1) {
    require(mask[0] == batch, "the first dimension of the mask is not B");
    require(rank == 2 || mask[rank - 2] == 1, "the mask has more than one row for each sequence");
  } else {
    require(mask[rank - 2] >= length, "the mask has fewer rows than the query");
    require(rank == 2 || mask[0] == 1 || mask[0] == batch,
            "the first dimension of the mask is neither 1 nor B");
  }
}

void fused_infer_attention(const Call &call, Chip) {
  const int heads = call.name == "aclnnFusedInferAttentionScore" ? 17 : 24;
  const AttentionCall a = {&call.tensor(0), call.optional_tensor(4), call.optional_tensor(14),
                           call.text(heads + 3), call.integer(heads), call.integer(heads + 4),
                           call.integer(heads + 5), call.integer(heads + 7),
                           bool(call.argument(6).object)};
  attention(call, a, *call.list(1).members.at(0), *call.list(2).members.at(0));
}

void incremental_attention(const Call &call, Chip) {
  const AttentionCall a = {&call.tensor(0), call.optional_tensor(4), call.optional_tensor(13),
                           call.text(16), call.integer(15), call.integer(17), 0, call.integer(18),
                           bool(call.argument(5).object)};
  attention(call, a, *call.list(1).members.at(0), *call.list(2).members.at(0));
  const int64_t axis = axis_of(a.layout, 'S');
  require(a.query->shape[axis] == 1, "more than one position of the query");
}

void prompt_attention(const Call &call, Chip) {
  const AttentionCall a = {&call.tensor(0), call.optional_tensor(4), nullptr, call.text(15),
                           call.integer(12), call.integer(16), call.integer(17), 0, false};
  attention(call, a, call.tensor(1), call.tensor(2));
}

void flash_attention(const Call &call, Chip) {
  const Object &query = call.tensor(0), &key = call.tensor(1), &value = call.tensor(2);
  const Object *mask = call.optional_tensor(6);
  const std::string &layout = call.text(11);
  require_type(query, FLOATING, "query");
  require_same_type(query, key, "query and key");
  require_same_type(query, value, "query and value");
  require(layout == "BSH" || layout == "SBH" || layout == "BSND" || layout == "BNSD", "the layout");
  const int64_t heads = call.integer(10);
  const bool flat = layout == "BSH" || layout == "SBH";
  const int64_t dim = flat ? query.shape[2] / heads : query.shape[3];
  const int64_t kv_heads = flat ? key.shape[2] / dim : key.shape[axis_of(layout, 'N')];
  const int64_t batch = query.shape[axis_of(layout, 'B')];
  require(key.shape[axis_of(layout, 'B')] == batch, "query and key have different B");
  require(kv_heads > 0 && heads % kv_heads == 0, "N of the query is no multiple of that of the key");
  require_range(heads, 1, 256, "N");
  require_range(dim, 1, 768, "D");
  require_range(call.integer(13), 0, 6, "sparseMode");
  if (!mask || call.integer(13) > 1) return;
  require_type(*mask, {BOOL, UINT8}, "the mask");
  const Shape &shape = mask->shape;
  const int64_t rows = query.shape[axis_of(layout, 'S')], columns = key.shape[axis_of(layout, 'S')];
  const Shape shapes[] = {{batch, heads, rows, columns}, {batch, 1, rows, columns},
                          {1, 1, rows, columns}, {rows, columns}};
  require(std::count(std::begin(shapes), std::end(shapes), shape),
          "the mask is none of (B, N, Sq, Skv), (B, 1, Sq, Skv), (1, 1, Sq, Skv), (Sq, Skv)");
}

void index_select(const Call &call, Chip) {
  require_type(call.tensor(2), INDEX, "index");
  require(call.tensor(2).shape.size() <= 1, "index has more than one dimension");
  require(call.tensor(0).shape.size() <= 8, "self has more than 8 dimensions");
  require_same_type(call.tensor(0), call.tensor(3), "self and out");
}

void inplace_scatter_update(const Call &call, Chip) {
  const Object &data = call.tensor(0), &updates = call.tensor(2);
  require_type(call.tensor(1), INDEX, "indices");
  require_same_type(data, updates, "data and updates");
  require(data.shape.size() == updates.shape.size() && data.shape.size() >= 2,
          "data and updates have not the same number of dimensions, 2 to 8");
  require(call.integer(3) != 0, "axis is 0");
}

void index_put(const Call &call, Chip) {
  require_same_type(call.tensor(0), call.tensor(2), "selfRef and values");
  for (const ObjectPointer &index : call.list(1).members)
    if (index) require_type(*index, {INT32, INT64, BOOL}, "an index");
}

void topk(const Call &call, Chip) {
  const Object &x = call.tensor(0);
  const int64_t rank = x.shape.size(), axis = call.integer(2);
  require_range(axis, -rank, rank - 1, "dim");
  require_range(call.integer(1), 0, x.shape[axis < 0 ? axis + rank : axis], "k");
  require(call.integer(4), "only sorted results");
  require_type(call.tensor(6), {INT64}, "indices");
}

void layer_norm(const Call &call, Chip) {
  const Object &x = call.tensor(0), *gain = call.optional_tensor(2);
  require_type(x, FLOATING, "input");
  require_same_type(x, call.tensor(4), "input and out");
  if (gain)
    require(gain->dtype == x.dtype || gain->dtype == FLOAT32,
            "weight has neither the type of input nor float32");
}

void unsupported(const Call &, Chip chip) { refuse("not supported on %s", chip_name(chip)); }

struct Rule {
  std::initializer_list<const char *> operators;
  int chips;                    // for which the rule holds
  void (*check)(const Call &call, Chip chip);
  const char *document;
};

const Rule RULES[] = {
    {{"Conv2D"}, EVERY_CHIP, conv2d_width, CANN_8},
    {{"Conv2DBackpropInput"}, EVERY_CHIP, conv2d_transposed_width, CANN_8},
    {{"TopK"}, A2_A3, not_on_ai_core, CANN_8_LIST},
    {{"aclnnConvolution"}, ASCEND_910A, unsupported, OPS_NN},
    {{"aclnnConvolution"}, EVERY_CHIP, convolution, OPS_NN},
    {{"aclnnConvolution", "aclnnMm", "aclnnMatmul", "aclnnBatchMatMul"}, EVERY_CHIP,
     float32_unchanged, CUBE_UTIL},
    {{"aclnnConvolution", "aclnnMm", "aclnnMatmul", "aclnnBatchMatMul", "aclnnAddmm"}, OLDER,
     hf32_on_older_chips, OPS_NN},
    {{"aclnnMm", "aclnnMatmul", "aclnnBatchMatMul", "aclnnAddmm", "aclnnBaddbmm"}, A2_A3,
     one_type_of_factors, OPS_NN},
    {{"aclnnMm", "aclnnBatchMatMul", "aclnnAddmm", "aclnnBaddbmm"}, EVERY_CHIP, rank_of_factors,
     OPS_NN},
    {{"aclnnRmsNorm", "aclnnAddRmsNorm", "aclnnSwiGlu"}, ASCEND_910A, unsupported, OPS_NN},
    {{"aclnnRmsNorm"}, EVERY_CHIP, rms_norm, OPS_NN},
    {{"aclnnAddRmsNorm"}, EVERY_CHIP, add_rms_norm, OPS_NN},
    {{"aclnnLayerNorm"}, ASCEND_310P, unsupported, OPS_NN},
    {{"aclnnLayerNorm"}, EVERY_CHIP, layer_norm, OPS_NN},
    {{"aclnnSwiGlu"}, EVERY_CHIP, swiglu, OPS_NN},
    {{"aclnnRotaryPositionEmbedding"}, OLDER, unsupported, OPS_TRANSFORMER},
    {{"aclnnRotaryPositionEmbedding"}, A2_A3, rotary, OPS_TRANSFORMER},
    {{"aclnnRotaryPositionEmbedding"}, A2_A3, rotary_bnsd, OPS_TRANSFORMER},
    {{"aclnnFusedInferAttentionScore", "aclnnFusedInferAttentionScoreV2"}, OLDER, unsupported,
     OPS_TRANSFORMER},
    {{"aclnnFusedInferAttentionScore", "aclnnFusedInferAttentionScoreV2"}, A2_A3,
     fused_infer_attention, OPS_TRANSFORMER},
    {{"aclnnFlashAttentionScore"}, OLDER, unsupported, OPS_TRANSFORMER_2026},
    {{"aclnnFlashAttentionScore"}, A2_A3, flash_attention, OPS_TRANSFORMER_2026},
    {{"aclnnIncreFlashAttentionV4"}, A2_A3, incremental_attention, OPS_TRANSFORMER},
    {{"aclnnPromptFlashAttentionV3"}, OLDER, unsupported, OPS_TRANSFORMER},
    {{"aclnnPromptFlashAttentionV3"}, A2_A3, prompt_attention, OPS_TRANSFORMER},
    {{"aclnnIndexSelect"}, EVERY_CHIP, index_select, OPS_NN},
    {{"aclnnIndexPutImpl"}, EVERY_CHIP, index_put, OPS_NN},
    {{"aclnnInplaceScatterUpdate"}, ASCEND_310P, unsupported, OPS_NN},
    {{"aclnnInplaceScatterUpdate"}, EVERY_CHIP, inplace_scatter_update, OPS_NN},
    {{"aclnnTopk"}, EVERY_CHIP, topk, OPS_MATH},
};

}  // namespace

void check_limits(const Call &call, Chip chip) {
  check_bfloat16(call, chip);
  for (const Rule &rule : RULES) {
    if (!(rule.chips & chip)) continue;
    const bool named = std::any_of(rule.operators.begin(), rule.operators.end(),
                                   [&](const char *name) { return call.name == name; });
    if (!named) continue;
    try {
      rule.check(call, chip);
    } catch (const Refused &error) {
      throw Refused(std::string(error.what()) + " (" + rule.document + ")");
    }
  }
}

}  // namespace standin
