#include "array.h"

namespace standin {
namespace {

bool has_unit_rows(const Object &tensor) {
  return tensor.shape.empty() || tensor.shape.back() == 1 || tensor.strides.back() == 1;
}

// Rows (along the last axis) of equal shapes and types, each contiguous.
void assign_rows(const Object &to, const Object &from) {
  const size_t size = dtype_size(to.dtype);
  const int64_t length = to.shape.empty() ? 1 : to.shape.back();
  Object to_rows = to, from_rows = from;
  if (!to.shape.empty()) to_rows = narrow(to, to.shape.size() - 1, 0, 1);
  if (!from.shape.empty()) from_rows = narrow(from, from.shape.size() - 1, 0, 1);
  std::vector<int64_t> places;
  for_each_element(to_rows, [&](int64_t, int64_t place) { places.push_back(place); });
  for_each_element(from_rows, [&](int64_t n, int64_t place) {
    memcpy(static_cast<char *>(to.data) + places[n] * size,
           static_cast<const char *>(from.data) + place * size, length * size);
  });
}

}  // namespace

size_t axis_index(int64_t axis, size_t rank) {
  const int64_t index = axis < 0 ? axis + int64_t(rank) : axis;
  if (index < 0 || index >= int64_t(rank))
    refuse("axis %lld of a tensor of rank %zu", (long long)axis, rank);
  return size_t(index);
}

int64_t outer_count(const Shape &shape, size_t axis) {
  return element_count(Shape(shape.begin(), shape.begin() + axis));
}

int64_t inner_count(const Shape &shape, size_t axis) {
  return element_count(Shape(shape.begin() + axis + 1, shape.end()));
}

bool is_floating(int dtype) {
  return dtype == FLOAT32 || dtype == BFLOAT16 || dtype == FLOAT16 || dtype == FLOAT64;
}

Object broadcast(Object tensor, const Shape &shape) {
  const size_t missing = shape.size() - tensor.shape.size();
  if (tensor.shape.size() > shape.size())
    refuse("%s does not broadcast to %s", describe(tensor).c_str(), shape_text(shape).c_str());
  Shape strides(shape.size(), 0);
  for (size_t axis = 0; axis < tensor.shape.size(); axis++) {
    if (tensor.shape[axis] == shape[axis + missing])
      strides[axis + missing] = tensor.strides[axis];
    else if (tensor.shape[axis] != 1)
      refuse("%s does not broadcast to %s", describe(tensor).c_str(), shape_text(shape).c_str());
  }
  tensor.shape = shape;
  tensor.strides = strides;
  return tensor;
}

Object permute(Object tensor, const Integers &order) {
  if (order.size() != tensor.shape.size())
    refuse("%zu axes permuted of %s", order.size(), describe(tensor).c_str());
  Shape shape, strides;
  for (int64_t axis : order) {
    const size_t from = axis_index(axis, order.size());
    shape.push_back(tensor.shape[from]);
    strides.push_back(tensor.strides[from]);
  }
  tensor.shape = shape;
  tensor.strides = strides;
  return tensor;
}

Object narrow(Object tensor, size_t axis, int64_t start, int64_t length, int64_t step) {
  const int64_t last = start + (length - 1) * step;
  if (length && (start < 0 || start >= tensor.shape[axis] || last < 0 || last >= tensor.shape[axis]))
    refuse("%lld elements from %lld on axis %zu of %s", (long long)length, (long long)start, axis,
           describe(tensor).c_str());
  tensor.offset += start * tensor.strides[axis];
  tensor.shape[axis] = length;
  tensor.strides[axis] *= step;
  return tensor;
}

Object reshape(Object tensor, const Shape &shape) {
  if (!is_contiguous(tensor) || element_count(shape) != element_count(tensor.shape))
    refuse("%s reshaped to %s", describe(tensor).c_str(), shape_text(shape).c_str());
  tensor.shape = shape;
  tensor.strides = contiguous_strides(shape);
  return tensor;
}

Object select(Object tensor, size_t axis, int64_t index) {
  tensor = narrow(tensor, axis, index, 1);
  tensor.shape.erase(tensor.shape.begin() + axis);
  tensor.strides.erase(tensor.strides.begin() + axis);
  return tensor;
}

void assign(const Object &to, const Object &from) {
  check_readable(to);
  if (from.kind == Kind::scalar) {
    write(to, read_as<double>(from, to.shape));
    return;
  }
  check_readable(from);
  const Object view = from.shape == to.shape ? from : broadcast(from, to.shape);
  if (view.dtype == to.dtype && has_unit_rows(to) && has_unit_rows(view))
    assign_rows(to, view);
  else
    write(to, read<double>(view));
}

template <typename T>
std::vector<T> read(const Object &tensor) {
  if (tensor.kind == Kind::scalar) return {T(tensor.scalar)};
  check_readable(tensor);
  std::vector<T> values(element_count(tensor.shape));
  auto from = [&](auto *data) {
    for_each_element(tensor, [&](int64_t n, int64_t place) { values[n] = T(data[place]); });
  };
  switch (tensor.dtype) {
    case FLOAT32:
      from(static_cast<const float *>(tensor.data));
      break;
    case FLOAT64:
      from(static_cast<const double *>(tensor.data));
      break;
    case INT8:
      from(static_cast<const int8_t *>(tensor.data));
      break;
    case INT32:
      from(static_cast<const int32_t *>(tensor.data));
      break;
    case INT64:
      from(static_cast<const int64_t *>(tensor.data));
      break;
    case UINT8:
    case BOOL:
      from(static_cast<const uint8_t *>(tensor.data));
      break;
    case BFLOAT16: {
      auto *data = static_cast<const uint16_t *>(tensor.data);
      for_each_element(tensor, [&](int64_t n, int64_t place) {
        values[n] = T(from_bfloat16(data[place]));
      });
      break;
    }
    default:
      refuse("cannot read %s", dtype_name(tensor.dtype).c_str());
  }
  return values;
}

template <typename T>
void write(const Object &tensor, const std::vector<T> &values) {
  check_readable(tensor);
  if (int64_t(values.size()) != element_count(tensor.shape))
    refuse("%zu values for an output %s", values.size(), describe(tensor).c_str());
  auto to = [&](auto *data) {
    using Element = std::remove_reference_t<decltype(*data)>;
    for_each_element(tensor, [&](int64_t n, int64_t place) { data[place] = Element(values[n]); });
  };
  switch (tensor.dtype) {
    case FLOAT32:
      to(static_cast<float *>(tensor.data));
      break;
    case FLOAT64:
      to(static_cast<double *>(tensor.data));
      break;
    case INT8:
      to(static_cast<int8_t *>(tensor.data));
      break;
    case INT32:
      to(static_cast<int32_t *>(tensor.data));
      break;
    case INT64:
      to(static_cast<int64_t *>(tensor.data));
      break;
    case UINT8:
      to(static_cast<uint8_t *>(tensor.data));
      break;
    case BOOL: {
      auto *data = static_cast<uint8_t *>(tensor.data);
      for_each_element(tensor, [&](int64_t n, int64_t place) { data[place] = values[n] != 0; });
      break;
    }
    case BFLOAT16: {
      auto *data = static_cast<uint16_t *>(tensor.data);
      for_each_element(tensor, [&](int64_t n, int64_t place) {
        data[place] = to_bfloat16(float(values[n]));
      });
      break;
    }
    default:
      refuse("cannot write %s", dtype_name(tensor.dtype).c_str());
  }
}

template Floats read<float>(const Object &);
template Doubles read<double>(const Object &);
template Integers read<int64_t>(const Object &);
template void write<float>(const Object &, const Floats &);
template void write<double>(const Object &, const Doubles &);

void check_readable(const Object &tensor) {
  if (tensor.kind != Kind::tensor) refuse("%s is no tensor", describe(tensor).c_str());
  if (!tensor.data && element_count(tensor.shape))
    refuse("%s has no data", describe(tensor).c_str());
}

}  // namespace standin
