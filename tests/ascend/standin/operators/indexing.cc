// Reading and writing rows and elements by index. An index outside is refused; a device may read
// or write anything there.
#include "../array.h"
#include "../registry.h"

namespace standin {
namespace {

int64_t check_index(int64_t index, int64_t size) {
  if (index < 0 || index >= size) refuse("index %lld of %lld", (long long)index, (long long)size);
  return index;
}

// out[.., n, ..] = x[.., index[n], ..]
void gather_rows(const Object &x, size_t axis, const Object &index, const Object &out) {
  const Integers at = read_integers(index);
  for (size_t n = 0; n < at.size(); n++)
    assign(narrow(out, axis, n, 1), narrow(x, axis, check_index(at[n], x.shape[axis]), 1));
}

// self, axis, index, out
Register index_select("aclnnIndexSelect", [](const Call &call) {
  const Object &x = call.tensor(0);
  gather_rows(x, axis_index(call.integer(1), x.shape.size()), call.tensor(2), call.tensor(3));
});

// weight, index, out [index..., C]
Register embedding("aclnnEmbedding", [](const Call &call) {
  const Object &weight = call.tensor(0), &index = call.tensor(1), &out = call.tensor(2);
  const Shape rows = {element_count(index.shape), weight.shape[1]};
  gather_rows(weight, 0, index, reshape(out, rows));
});

Register gather_v2("GatherV2", [](const Call &call) {
  const Object &x = call.input(0), &index = call.input(1), &out = call.output(0);
  const size_t axis = axis_index(read_integers(call.input(2))[0], x.shape.size());
  Shape shape = x.shape;        // the index as one axis
  shape[axis] = element_count(index.shape);
  gather_rows(x, axis, index, reshape(out, shape));
});

// For each element of an index along `axis`: f(its place in the indexed tensor, its number).
template <typename F>
void along_axis(const Shape &shape, int64_t axis, const Object &index, const F &f) {
  const size_t indexed = axis_index(axis, shape.size());
  const Shape strides = contiguous_strides(shape);
  const Integers at = read_integers(index);
  for (size_t n = 0; n < at.size(); n++) {
    int64_t rest = n, place = 0;
    for (size_t d = shape.size(); d-- > 0; rest /= index.shape[d])
      place += strides[d] * (d == indexed ? check_index(at[n], shape[d]) : rest % index.shape[d]);
    f(place, n);
  }
}

// self, axis, index, out
Register gather("aclnnGather", [](const Call &call) {
  const Object &x = call.tensor(0), &out = call.tensor(3);
  const Doubles values = read<double>(x);
  Doubles gathered(element_count(out.shape));
  along_axis(x.shape, call.integer(1), call.tensor(2), [&](int64_t place, int64_t n) {
    gathered[n] = values[place];
  });
  write(out, gathered);
});

// self, axis, index, source, out
Register scatter_add("aclnnScatterAdd", [](const Call &call) {
  const Object &x = call.tensor(0);
  Doubles result = read<double>(x);
  const Doubles source = read<double>(call.tensor(3));
  along_axis(x.shape, call.integer(1), call.tensor(2), [&](int64_t place, int64_t n) {
    result[place] += source[n];
  });
  write(call.tensor(4), result);
});

// self, axis, index, source: self[.., index[n], ..] = source[.., n, ..]
Register index_copy("aclnnInplaceIndexCopy", [](const Call &call) {
  const Object &x = call.tensor(0), &source = call.tensor(3);
  const size_t axis = axis_index(call.integer(1), x.shape.size());
  const Integers at = read_integers(call.tensor(2));
  for (size_t n = 0; n < at.size(); n++)
    assign(narrow(x, axis, check_index(at[n], x.shape[axis]), 1), narrow(source, axis, n, 1));
});

// data [B, .., S, ..], index [B], updates [B, .., T, ..], axis: rows index[b] .. index[b] + T - 1
Register inplace_scatter_update("aclnnInplaceScatterUpdate", [](const Call &call) {
  const Object &data = call.tensor(0), &updates = call.tensor(2);
  const size_t axis = axis_index(call.integer(3), data.shape.size());
  const Integers at = read_integers(call.tensor(1));
  for (size_t n = 0; n < at.size(); n++)
    assign(narrow(narrow(data, 0, n, 1), axis, at[n], updates.shape[axis]),
           narrow(updates, 0, n, 1));
});

// The shape that all of `tensors` broadcast to.
Shape common_shape(const std::vector<ObjectPointer> &tensors) {
  Shape common;
  for (const ObjectPointer &tensor : tensors) {
    const Shape &shape = tensor->shape;
    if (shape.size() > common.size()) common.insert(common.begin(), shape.size() - common.size(), 1);
    for (size_t n = 0; n < shape.size(); n++) {
      int64_t &size = common[common.size() - 1 - n];
      size = std::max(size, shape[shape.size() - 1 - n]);
    }
  }
  return common;
}

// self, indices (a list, one a leading axis), values, accumulate, unsafe:
// self[indices[0][n], indices[1][n], ...] = values[n]
Register index_put("aclnnIndexPutImpl", [](const Call &call) {
  const Object &x = call.tensor(0), &values = call.tensor(2);
  const std::vector<ObjectPointer> &indices = call.list(1).members;
  if (call.integer(3)) refuse("values are added up");
  for (const ObjectPointer &index : indices)
    if (!index || index->dtype == BOOL) refuse("an index that is a mask or null");
  const Shape common = common_shape(indices);
  std::vector<Integers> at;
  for (const ObjectPointer &index : indices) at.push_back(read_as<int64_t>(*index, common));
  Shape shape = common, rows = {element_count(common)};
  for (size_t axis = at.size(); axis < x.shape.size(); axis++) {
    shape.push_back(x.shape[axis]);
    rows.push_back(x.shape[axis]);
  }
  Doubles source = read_as<double>(values, shape);
  const int64_t size = rows[0] ? int64_t(source.size()) / rows[0] : 0;
  for (int64_t n = 0; n < rows[0]; n++) {
    Object to = x;
    for (const Integers &index : at) to = select(to, 0, check_index(index[n], to.shape[0]));
    write(to, Doubles(source.begin() + n * size, source.begin() + (n + 1) * size));
  }
});

// ---- by the older interface ---------------------------------------------------------------------

// var, indices, updates: var[indices[n]] = updates[n], in place
Register scatter_update("ScatterUpdate", [](const Call &call) {
  const Object &var = call.input(0);
  const Integers at = read_integers(call.input(1));
  Shape rows = var.shape;
  rows[0] = at.size();
  const Object updates = reshape(call.input(2), rows);
  for (size_t n = 0; n < at.size(); n++)
    assign(narrow(var, 0, check_index(at[n], var.shape[0]), 1), narrow(updates, 0, n, 1));
});

// var, indices [..., depth], updates: var[indices[n, 0], indices[n, 1], ...] = updates[n], in place
Register scatter_nd_update("ScatterNdUpdate", [](const Call &call) {
  const Object &var = call.input(0), &index = call.input(1);
  const Integers at = read_integers(index);
  const size_t depth = index.shape.back();
  Shape rows = {int64_t(at.size() / depth)};
  rows.insert(rows.end(), var.shape.begin() + depth, var.shape.end());
  const Object updates = reshape(call.input(2), rows);
  for (int64_t n = 0; n < rows[0]; n++) {
    Object to = var;
    for (size_t d = 0; d < depth; d++)
      to = select(to, 0, check_index(at[n * depth + d], to.shape[0]));
    assign(to, select(updates, 0, n));
  }
});

// x, segment ids, count: out[ids[n]] += x[n]; a negative id is left out
Register unsorted_segment_sum("UnsortedSegmentSum", [](const Call &call) {
  const Object &out = call.output(0);
  const Doubles x = read<double>(call.input(0));
  const Integers ids = read_integers(call.input(1));
  Doubles sums(element_count(out.shape), 0.0);
  const int64_t row = ids.empty() ? 0 : int64_t(x.size() / ids.size());
  for (size_t n = 0; n < ids.size(); n++) {
    if (ids[n] < 0) continue;
    check_index(ids[n], out.shape[0]);
    for (int64_t k = 0; k < row; k++) sums[ids[n] * row + k] += x[n * row + k];
  }
  write(out, sums);
});

}  // namespace
}  // namespace standin
