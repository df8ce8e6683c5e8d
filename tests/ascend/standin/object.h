// What AscendCL's aclCreateX functions make: tensors, scalars, arrays and lists of them.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace standin {

// Numbers of aclDataType.
enum Dtype {
  FLOAT32 = 0,
  FLOAT16 = 1,
  INT8 = 2,
  INT32 = 3,
  UINT8 = 4,
  INT16 = 6,
  INT64 = 9,
  FLOAT64 = 11,
  BOOL = 12,
  BFLOAT16 = 27,
};

enum class Kind { tensor, scalar, integers, floats, booleans, tensors, scalars };

struct Object;
using ObjectPointer = std::shared_ptr<Object>;
using Shape = std::vector<int64_t>;

struct Object {
  Kind kind = Kind::tensor;
  int dtype = FLOAT32;
  int format = 2;                       // ACL_FORMAT_ND
  Shape shape, strides, storage;        // a tensor's, in elements
  int64_t offset = 0;                   // of the first element, in elements
  void *data = nullptr;
  double scalar = 0;
  std::vector<int64_t> integers;        // of an array of integers or booleans
  std::vector<double> floats;
  std::vector<ObjectPointer> members;   // of a list
};

int64_t element_count(const Shape &shape);
Shape contiguous_strides(const Shape &shape);
bool is_contiguous(const Object &tensor);
size_t dtype_size(int dtype);           // 0 for a type that the stand-in does not know
std::string dtype_name(int dtype);
std::string shape_text(const Shape &shape);
std::string describe(const Object &object);

// Objects that are alive, by the address that the caller has.
Object *keep(ObjectPointer object);
ObjectPointer find_object(const void *address);
void forget_object(const void *address);

ObjectPointer clone(const ObjectPointer &object);   // with its members; the data is shared

}  // namespace standin
