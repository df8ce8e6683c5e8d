// Reading and writing tensors, views of them, and loops over their elements, for the operators.
//
// Values are read as float or double and written with the conversion of the tensor's type: to
// bfloat16 rounded to nearest even, to an integer towards zero, to bool as != 0.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <vector>

#include "call.h"
#include "error.h"

namespace standin {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;
using Integers = std::vector<int64_t>;

inline float from_bfloat16(uint16_t bits) {
  const uint32_t wide = uint32_t(bits) << 16;
  float value;
  memcpy(&value, &wide, 4);
  return value;
}

inline uint16_t to_bfloat16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  if ((bits & 0x7fffffff) > 0x7f800000) return uint16_t(bits >> 16 | 0x40);      // NaN
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// ---- shapes and views ---------------------------------------------------------------------------

size_t axis_index(int64_t axis, size_t rank);           // of an axis that may be negative
int64_t outer_count(const Shape &shape, size_t axis);   // elements before `axis`
int64_t inner_count(const Shape &shape, size_t axis);   // and behind it
bool is_floating(int dtype);

// Views: the same data.
Object broadcast(Object tensor, const Shape &shape);
Object permute(Object tensor, const Integers &order);   // axis n of the view is axis order[n]
Object narrow(Object tensor, size_t axis, int64_t start, int64_t length, int64_t step = 1);
Object reshape(Object tensor, const Shape &shape);      // of a contiguous tensor
Object select(Object tensor, size_t axis, int64_t index);       // without that axis

// Copies `from` into `to`; it is broadcast and converted.
void assign(const Object &to, const Object &from);

// Refused if the tensor has no data, or a type that has no arithmetic here.
void check_readable(const Object &tensor);

// ---- elements -----------------------------------------------------------------------------------

// Calls f(n, place) for each element: its number in the order of the shape, its place in memory.
template <typename F>
void for_each_element(const Object &tensor, const F &f) {
  const int64_t count = element_count(tensor.shape);
  if (is_contiguous(tensor)) {
    for (int64_t n = 0; n < count; n++) f(n, n + tensor.offset);
    return;
  }
  Shape index(tensor.shape.size(), 0);
  int64_t place = tensor.offset;
  for (int64_t n = 0; n < count; n++) {
    f(n, place);
    for (size_t axis = index.size(); axis-- > 0;) {
      place += tensor.strides[axis];
      if (++index[axis] < tensor.shape[axis]) break;
      place -= tensor.strides[axis] * tensor.shape[axis];
      index[axis] = 0;
    }
  }
}

// In the order of the shape. Defined for float, double and int64_t.
template <typename T>
std::vector<T> read(const Object &tensor);
// Refused if there are more or fewer values than elements. Defined for float and double.
template <typename T>
void write(const Object &tensor, const std::vector<T> &values);

inline Integers read_integers(const Object &tensor) { return read<int64_t>(tensor); }

// The values of a tensor or scalar, broadcast to `shape`.
template <typename T>
std::vector<T> read_as(const Object &operand, const Shape &shape) {
  if (operand.kind == Kind::scalar)
    return std::vector<T>(element_count(shape), T(operand.scalar));
  return read<T>(operand.shape == shape ? operand : broadcast(operand, shape));
}

}  // namespace standin
