// Operators that move elements: joining, splitting, repeating, transposing, filling.
#include "../array.h"
#include "../registry.h"

namespace standin {
namespace {

void concatenate(const std::vector<ObjectPointer> &tensors, int64_t axis, const Object &out) {
  const size_t index = axis_index(axis, out.shape.size());
  int64_t start = 0;
  for (const ObjectPointer &tensor : tensors) {
    const int64_t length = tensor->shape[index];
    assign(narrow(out, index, start, length), *tensor);
    start += length;
  }
}

void stack(const std::vector<ObjectPointer> &tensors, int64_t axis, const Object &out) {
  const size_t index = axis_index(axis, out.shape.size());
  for (size_t n = 0; n < tensors.size(); n++) assign(select(out, index, n), *tensors[n]);
}

// list, axis, out
Register cat("aclnnCat", [](const Call &call) {
  concatenate(call.list(0).members, call.integer(1), call.tensor(2));
});
Register stack_("aclnnStack", [](const Call &call) {
  stack(call.list(0).members, call.integer(1), call.tensor(2));
});
Register pack("Pack", [](const Call &call) {
  stack(call.inputs, call.attribute("axis", {0})[0], call.output(0));
});

Register split("Split", [](const Call &call) {
  const Object &x = call.input(1);
  const size_t axis = axis_index(read_integers(call.input(0))[0], x.shape.size());
  int64_t start = 0;
  for (const ObjectPointer &out : call.outputs) {
    assign(*out, narrow(x, axis, start, out->shape[axis]));
    start += out->shape[axis];
  }
});

// self, order, out
Register permute_("aclnnPermute", [](const Call &call) {
  assign(call.tensor(2), permute(call.tensor(0), call.integers(1)));
});

// self, repeats, out
Register repeat("aclnnRepeat", [](const Call &call) {
  Object x = call.tensor(0);
  const Object &out = call.tensor(2);
  const size_t missing = out.shape.size() - x.shape.size();
  x.shape.insert(x.shape.begin(), missing, 1);
  x.strides.insert(x.strides.begin(), missing, 0);
  // axis by axis [repeats, size], with stride 0 for the repeats
  Object from = x, to = out;
  from.shape.clear();
  from.strides.clear();
  to.shape.clear();
  to.strides.clear();
  for (size_t axis = 0; axis < out.shape.size(); axis++) {
    const int64_t size = x.shape[axis], repeats = size ? out.shape[axis] / size : 0;
    from.shape.insert(from.shape.end(), {repeats, size});
    from.strides.insert(from.strides.end(), {0, x.strides[axis]});
    to.shape.insert(to.shape.end(), {repeats, size});
    to.strides.insert(to.strides.end(), {size * out.strides[axis], out.strides[axis]});
  }
  assign(to, from);
});

// self, size, out
Register expand("aclnnExpand", [](const Call &call) { assign(call.tensor(2), call.tensor(0)); });

// self, axis, start, end, step, out
Register slice("aclnnSlice", [](const Call &call) {
  const Object &x = call.tensor(0), &out = call.tensor(5);
  const size_t axis = axis_index(call.integer(1), x.shape.size());
  int64_t start = call.integer(2);
  if (start < 0) start += x.shape[axis];
  assign(out, narrow(x, axis, start, out.shape[axis], call.integer(4)));
});

Register strided_slice("StridedSlice", [](const Call &call) {
  Object view = call.input(0);
  const Object &out = call.output(0);
  const Integers begin = read_integers(call.input(1)), end = read_integers(call.input(2));
  const Integers step = read_integers(call.input(3));
  for (const char *mask : {"ellipsis_mask", "new_axis_mask"})
    if (call.attribute(mask, {0})[0]) refuse("StridedSlice with %s", mask);
  const int64_t begin_mask = call.attribute("begin_mask", {0})[0];
  const int64_t end_mask = call.attribute("end_mask", {0})[0];
  const int64_t shrink_mask = call.attribute("shrink_axis_mask", {0})[0];
  for (size_t axis = 0; axis < begin.size(); axis++) {
    const int64_t length = view.shape[axis];
    auto place = [&](int64_t n) { return std::clamp<int64_t>(n < 0 ? n + length : n, 0, length); };
    if (step[axis] < 1) refuse("StridedSlice backwards");
    const int64_t first = begin_mask >> axis & 1 ? 0 : place(begin[axis]);
    int64_t behind = end_mask >> axis & 1 ? length : place(end[axis]);
    if (shrink_mask >> axis & 1) behind = first + 1;
    const int64_t count = (behind - first + step[axis] - 1) / step[axis];
    view = narrow(view, axis, first, std::max<int64_t>(count, 0), step[axis]);
  }
  if (element_count(view.shape) != element_count(out.shape))
    refuse("StridedSlice of %s into %s", describe(view).c_str(), describe(out).c_str());
  Object shaped = out;          // without the axes that `shrink_mask` left out
  shaped.shape = view.shape;
  shaped.strides = contiguous_strides(view.shape);
  assign(shaped, view);
});

// self, paddings (pairs, from the last axis on), value, out
Register pad("aclnnConstantPadNd", [](const Call &call) {
  const Object &x = call.tensor(0), &out = call.tensor(3);
  const Integers &paddings = call.integers(1);
  assign(out, call.scalar(2));
  Object inside = out;
  for (size_t pair = 0; 2 * pair < paddings.size(); pair++) {
    const size_t axis = x.shape.size() - 1 - pair;
    if (paddings[2 * pair] < 0 || paddings[2 * pair + 1] < 0) refuse("a negative padding");
    inside = narrow(inside, axis, paddings[2 * pair], x.shape[axis]);
  }
  assign(inside, x);
});

void fill(const Object &out, double value) {
  write(out, Doubles(element_count(out.shape), value));
}

Register zero("aclnnInplaceZero", [](const Call &call) { fill(call.tensor(0), 0); });
Register one("aclnnInplaceOne", [](const Call &call) { fill(call.tensor(0), 1); });
// self, value
Register fill_scalar("aclnnInplaceFillScalar", [](const Call &call) {
  fill(call.tensor(0), call.scalar(1).scalar);
});
Register fill_tensor("aclnnInplaceFillTensor", [](const Call &call) {
  assign(call.tensor(0), call.tensor(1));
});
Register fill_older("Fill", [](const Call &call) {
  fill(call.output(0), read<double>(call.input(1))[0]);
});
Register ones_like("OnesLike", [](const Call &call) { fill(call.output(0), 1); });
Register zeros_like("ZerosLike", [](const Call &call) { fill(call.output(0), 0); });

// start, end, step, out
Register arange("aclnnArange", [](const Call &call) {
  const Object &out = call.tensor(3);
  Doubles values(element_count(out.shape));
  for (size_t n = 0; n < values.size(); n++)
    values[n] = call.scalar(0).scalar + double(n) * call.scalar(2).scalar;
  write(out, values);
});

}  // namespace
}  // namespace standin
