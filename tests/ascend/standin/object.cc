#include "object.h"

#include <cstring>
#include <mutex>
#include <unordered_map>

namespace standin {
namespace {

struct DtypeEntry {
  const char *name;
  size_t size;
};

const std::unordered_map<int, DtypeEntry> DTYPES = {
    {FLOAT32, {"f32", 4}}, {FLOAT16, {"f16", 2}}, {INT8, {"i8", 1}},    {INT32, {"i32", 4}},
    {UINT8, {"u8", 1}},    {INT16, {"i16", 2}},   {INT64, {"i64", 8}},  {FLOAT64, {"f64", 8}},
    {BOOL, {"bool", 1}},   {BFLOAT16, {"bf16", 2}},
};

std::mutex mutex;

std::unordered_map<const void *, ObjectPointer> &alive() {
  static auto *objects = new std::unordered_map<const void *, ObjectPointer>;
  return *objects;
}

std::string number_text(double value) {
  char text[40];
  snprintf(text, sizeof text, "%g", value);
  return text;
}

std::string tensor_text(const Object &tensor) {
  std::string text = dtype_name(tensor.dtype) + shape_text(tensor.shape);
  if (!is_contiguous(tensor)) text += " strides" + shape_text(tensor.strides);
  if (tensor.offset) text += " offset " + std::to_string(tensor.offset);
  if (tensor.format != 2) text += " format " + std::to_string(tensor.format);
  if (!tensor.data) text += " null";
  return text;
}

}  // namespace

int64_t element_count(const Shape &shape) {
  int64_t count = 1;
  for (int64_t size : shape) count *= size;
  return count;
}

Shape contiguous_strides(const Shape &shape) {
  Shape strides(shape.size());
  int64_t stride = 1;
  for (size_t axis = shape.size(); axis-- > 0; stride *= shape[axis]) strides[axis] = stride;
  return strides;
}

bool is_contiguous(const Object &tensor) {
  int64_t stride = 1;
  for (size_t axis = tensor.shape.size(); axis-- > 0; stride *= tensor.shape[axis])
    if (tensor.shape[axis] != 1 && tensor.strides[axis] != stride) return false;
  return true;
}

size_t dtype_size(int dtype) {
  auto found = DTYPES.find(dtype);
  return found == DTYPES.end() ? 0 : found->second.size;
}

std::string dtype_name(int dtype) {
  auto found = DTYPES.find(dtype);
  return found == DTYPES.end() ? "dtype" + std::to_string(dtype) : found->second.name;
}

std::string shape_text(const Shape &shape) {
  std::string text = "[";
  for (size_t axis = 0; axis < shape.size(); axis++)
    text += (axis ? "," : "") + std::to_string(shape[axis]);
  return text + "]";
}

std::string describe(const Object &object) {
  std::string text;
  switch (object.kind) {
    case Kind::tensor:
      return tensor_text(object);
    case Kind::scalar:
      return dtype_name(object.dtype) + ":" + number_text(object.scalar);
    case Kind::integers:
    case Kind::booleans:
      for (int64_t value : object.integers)
        text += (text.empty() ? "" : ",") + std::to_string(value);
      return "(" + text + ")";
    case Kind::floats:
      for (double value : object.floats) text += (text.empty() ? "" : ",") + number_text(value);
      return "(" + text + ")";
    case Kind::tensors:
    case Kind::scalars:
      for (const ObjectPointer &member : object.members)
        text += (text.empty() ? "" : "; ") + (member ? describe(*member) : "null");
      return "{" + text + "}";
  }
  return text;
}

Object *keep(ObjectPointer object) {
  std::lock_guard<std::mutex> lock(mutex);
  Object *address = object.get();
  alive()[address] = std::move(object);
  return address;
}

ObjectPointer find_object(const void *address) {
  std::lock_guard<std::mutex> lock(mutex);
  auto found = alive().find(address);
  return found == alive().end() ? nullptr : found->second;
}

void forget_object(const void *address) {
  std::lock_guard<std::mutex> lock(mutex);
  alive().erase(address);
}

ObjectPointer clone(const ObjectPointer &object) {
  if (!object) return nullptr;
  auto copy = std::make_shared<Object>(*object);
  for (ObjectPointer &member : copy->members) member = clone(member);
  return copy;
}

}  // namespace standin

using namespace standin;

#define API extern "C" __attribute__((visibility("default")))

API Object *aclCreateTensor(const int64_t *shape, uint64_t rank, int dtype, const int64_t *strides,
                            int64_t offset, int format, const int64_t *storage,
                            uint64_t storage_rank, void *data) {
  auto tensor = std::make_shared<Object>();
  tensor->dtype = dtype;
  tensor->format = format;
  tensor->shape.assign(shape, shape + rank);
  tensor->strides = strides ? Shape(strides, strides + rank) : contiguous_strides(tensor->shape);
  if (storage) tensor->storage.assign(storage, storage + storage_rank);
  tensor->offset = offset;
  tensor->data = data;
  return keep(tensor);
}

API Object *aclCreateScalar(void *value, int dtype) {
  auto scalar = std::make_shared<Object>();
  scalar->kind = Kind::scalar;
  scalar->dtype = dtype;
  switch (dtype) {
    case FLOAT32:
      scalar->scalar = *static_cast<float *>(value);
      break;
    case FLOAT64:
      scalar->scalar = *static_cast<double *>(value);
      break;
    case INT8:
      scalar->scalar = *static_cast<int8_t *>(value);
      break;
    case INT32:
      scalar->scalar = *static_cast<int32_t *>(value);
      break;
    case INT64:
      scalar->scalar = double(*static_cast<int64_t *>(value));
      break;
    case UINT8:
    case BOOL:
      scalar->scalar = *static_cast<uint8_t *>(value);
      break;
    case BFLOAT16: {
      const uint32_t bits = uint32_t(*static_cast<uint16_t *>(value)) << 16;
      float wide;
      memcpy(&wide, &bits, 4);
      scalar->scalar = wide;
      break;
    }
    default:
      fprintf(stderr, "standin: a scalar of type %s\n", dtype_name(dtype).c_str());
      return nullptr;
  }
  return keep(scalar);
}

API Object *aclCreateIntArray(const int64_t *values, uint64_t size) {
  auto array = std::make_shared<Object>();
  array->kind = Kind::integers;
  array->integers.assign(values, values + size);
  return keep(array);
}

API Object *aclCreateBoolArray(const bool *values, uint64_t size) {
  auto array = std::make_shared<Object>();
  array->kind = Kind::booleans;
  array->integers.assign(values, values + size);
  return keep(array);
}

API Object *aclCreateFloatArray(const float *values, uint64_t size) {
  auto array = std::make_shared<Object>();
  array->kind = Kind::floats;
  array->floats.assign(values, values + size);
  return keep(array);
}

static Object *create_list(Kind kind, const Object *const *members, uint64_t size) {
  auto list = std::make_shared<Object>();
  list->kind = kind;
  for (uint64_t n = 0; n < size; n++) list->members.push_back(find_object(members[n]));
  return keep(list);
}

API Object *aclCreateTensorList(const Object *const *members, uint64_t size) {
  return create_list(Kind::tensors, members, size);
}

API Object *aclCreateScalarList(const Object *const *members, uint64_t size) {
  return create_list(Kind::scalars, members, size);
}

static int destroy(const void *address) {
  if (ObjectPointer object = find_object(address))
    for (const ObjectPointer &member : object->members) forget_object(member.get());
  forget_object(address);
  return 0;
}

API int aclDestroyTensor(const void *object) { return destroy(object); }
API int aclDestroyScalar(const void *object) { return destroy(object); }
API int aclDestroyIntArray(const void *object) { return destroy(object); }
API int aclDestroyBoolArray(const void *object) { return destroy(object); }
API int aclDestroyFloatArray(const void *object) { return destroy(object); }
API int aclDestroyTensorList(const void *object) { return destroy(object); }
API int aclDestroyScalarList(const void *object) { return destroy(object); }

API int aclGetViewShape(const Object *tensor, int64_t **shape, uint64_t *rank) {
  *rank = tensor->shape.size();
  *shape = static_cast<int64_t *>(malloc(sizeof(int64_t) * (*rank + 1)));
  memcpy(*shape, tensor->shape.data(), sizeof(int64_t) * *rank);
  return 0;
}

API size_t aclDataTypeSize(int dtype) { return dtype_size(dtype); }
