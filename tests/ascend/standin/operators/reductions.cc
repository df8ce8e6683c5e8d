// Sums, means, maxima, softmax and sorting along axes. Sums are taken in double, because the
// device's vector units sum in trees.
#include "../array.h"
#include "../registry.h"

namespace standin {
namespace {

// Folds the elements along `axes` (all of them if there are none) into one each.
template <typename F>
Doubles fold(const Object &x, Integers axes, double first, const F &f) {
  if (axes.empty())
    for (size_t axis = 0; axis < x.shape.size(); axis++) axes.push_back(axis);
  Shape kept = x.shape;
  for (int64_t axis : axes) kept[axis_index(axis, x.shape.size())] = 1;
  Doubles result(element_count(kept), first), places(result.size());
  std::iota(places.begin(), places.end(), 0.0);
  Object numbers;       // for each element of x the number of its result
  numbers.dtype = FLOAT64;
  numbers.shape = kept;
  numbers.strides = contiguous_strides(kept);
  numbers.data = places.data();
  const Doubles values = read<double>(x), at = read_as<double>(numbers, x.shape);
  for (size_t n = 0; n < values.size(); n++) {
    double &to = result[size_t(at[n])];
    to = f(to, values[n]);
  }
  return result;
}

Doubles sum(const Object &x, const Integers &axes) {
  return fold(x, axes, 0.0, [](double a, double b) { return a + b; });
}

Doubles mean(const Object &x, const Integers &axes) {
  Doubles values = sum(x, axes);
  const double count = double(element_count(x.shape)) / double(std::max<size_t>(values.size(), 1));
  for (double &value : values) value /= count;
  return values;
}

// self, axes, keep_dims, dtype, out
Register mean_("aclnnMean", [](const Call &call) {
  write(call.tensor(-1), mean(call.tensor(0), call.integers(1)));
});
Register sum_("aclnnReduceSum", [](const Call &call) {
  write(call.tensor(-1), sum(call.tensor(0), call.integers(1)));
});
// self, axes, keep_dims, out
Register amax("aclnnAmax", [](const Call &call) {
  write(call.tensor(-1), fold(call.tensor(0), call.integers(1), -INFINITY,
                              [](double a, double b) { return std::max(a, b); }));
});
Register amin("aclnnAmin", [](const Call &call) {
  write(call.tensor(-1), fold(call.tensor(0), call.integers(1), INFINITY,
                              [](double a, double b) { return std::min(a, b); }));
});

// self, axes, keep_dims, out
Register all_("aclnnAll", [](const Call &call) {
  write(call.tensor(-1), fold(call.tensor(0), call.integers(1), 1.0,
                              [](double a, double b) { return double(a && b); }));
});

Register reduce_mean("ReduceMean", [](const Call &call) {
  write(call.output(0), mean(call.input(0), read_integers(call.input(1))));
});
Register reduce_sum("ReduceSum", [](const Call &call) {
  write(call.output(0), sum(call.input(0), read_integers(call.input(1))));
});

// ---- along the last axis ------------------------------------------------------------------------

// The tensor with `axis` moved to the end; its rows are along that axis.
Object rows_along(const Object &tensor, size_t axis) {
  Integers order;
  for (size_t n = 0; n < tensor.shape.size(); n++)
    if (n != axis) order.push_back(n);
  order.push_back(axis);
  return permute(tensor, order);
}

template <typename F>
void map_rows(const Object &x, int64_t axis, const Object &out, const F &f) {
  const size_t index = axis_index(axis, x.shape.size());
  Floats values = read<float>(rows_along(x, index));
  const int64_t length = x.shape[index];
  for (size_t row = 0; row < values.size(); row += length) f(&values[row], length);
  write(rows_along(out, index), values);
}

// self, axis, out
Register softmax("aclnnSoftmax", [](const Call &call) {
  map_rows(call.tensor(0), call.integer(1), call.tensor(2), [](float *row, int64_t length) {
    const float largest = *std::max_element(row, row + length);
    float total = 0.0f;
    for (int64_t n = 0; n < length; n++) total += row[n] = std::exp(row[n] - largest);
    for (int64_t n = 0; n < length; n++) row[n] /= total;
  });
});

Register log_softmax("aclnnLogSoftmax", [](const Call &call) {
  map_rows(call.tensor(0), call.integer(1), call.tensor(2), [](float *row, int64_t length) {
    const float largest = *std::max_element(row, row + length);
    double total = 0.0;
    for (int64_t n = 0; n < length; n++) total += std::exp(double(row[n] - largest));
    for (int64_t n = 0; n < length; n++) row[n] -= largest + float(std::log(total));
  });
});

// self, axis, dtype, out
Register cumsum("aclnnCumsum", [](const Call &call) {
  map_rows(call.tensor(0), call.integer(1), call.tensor(-1), [](float *row, int64_t length) {
    double total = 0.0;
    for (int64_t n = 0; n < length; n++) row[n] = float(total += row[n]);
  });
});

// The first `k` of each row in order; equal elements in the order of their places.
void sort_rows(const Object &x, size_t axis, bool largest, const Object &values,
               const Object &indices) {
  const Floats in = read<float>(rows_along(x, axis));
  const int64_t length = x.shape[axis], k = values.shape[axis];
  if (k > length) refuse("the first %lld of %lld", (long long)k, (long long)length);
  Floats first;
  Doubles places;
  Integers order(length);
  for (size_t row = 0; row < in.size(); row += length) {
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return largest ? in[row + a] > in[row + b] : in[row + a] < in[row + b];
    });
    for (int64_t n = 0; n < k; n++) {
      first.push_back(in[row + order[n]]);
      places.push_back(double(order[n]));
    }
  }
  write(rows_along(values, axis), first);
  write(rows_along(indices, axis), places);
}

// self, k, axis, largest, sorted, values, indices
Register topk("aclnnTopk", [](const Call &call) {
  const Object &x = call.tensor(0);
  sort_rows(x, axis_index(call.integer(2), x.shape.size()), call.integer(3), call.tensor(5),
            call.tensor(6));
});
// self, stable, axis, descending, values, indices
Register sort("aclnnSort", [](const Call &call) {
  const Object &x = call.tensor(0);
  sort_rows(x, axis_index(call.integer(2), x.shape.size()), call.integer(3), call.tensor(4),
            call.tensor(5));
});
Register topk_older({"TopK", "TopKV2"}, [](const Call &call) {
  const Object &x = call.input(0);
  sort_rows(x, x.shape.size() - 1, true, call.output(0), call.output(1));
});

Doubles argmax_rows(const Object &x, size_t axis) {
  const Floats values = read<float>(rows_along(x, axis));
  const int64_t length = x.shape[axis];
  Doubles places;
  for (size_t row = 0; row < values.size(); row += length)
    places.push_back(double(std::max_element(&values[row], &values[row] + length) - &values[row]));
  return places;
}

// self, axis, keep_dims, out
Register argmax("aclnnArgMax", [](const Call &call) {
  const Object &x = call.tensor(0);
  write(call.tensor(3), argmax_rows(x, axis_index(call.integer(1), x.shape.size())));
});
Register argmax_older("ArgMaxV2", [](const Call &call) {
  const Object &x = call.input(0);
  const int64_t axis = read_integers(call.input(1))[0];
  write(call.output(0), argmax_rows(x, axis_index(axis, x.shape.size())));
});

}  // namespace
}  // namespace standin
