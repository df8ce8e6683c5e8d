// Operators by the older interface: by name, with descriptions of tensors and named attributes. A
// device compiles such an operator for each set of shapes when it first meets it.
#include "call.h"
#include "error.h"
#include "log.h"
#include "registry.h"
#include "stream.h"

using namespace standin;

using Attributes = std::map<std::string, std::vector<double>>;
using Buffer = void *;

#define API extern "C" __attribute__((visibility("default")))

API Object *aclCreateTensorDesc(int dtype, int rank, const int64_t *shape, int format) {
  auto tensor = std::make_shared<Object>();
  tensor->dtype = dtype;
  tensor->format = format;
  if (rank > 0) tensor->shape.assign(shape, shape + rank);
  tensor->strides = contiguous_strides(tensor->shape);
  return keep(tensor);
}

API void aclDestroyTensorDesc(const void *tensor) { forget_object(tensor); }
API int aclSetTensorFormat(Object *, int) { return 0; }                 // that of the storage
API int aclSetTensorShape(Object *, int, const int64_t *) { return 0; }
API size_t aclGetTensorDescNumDims(const Object *tensor) { return tensor->shape.size(); }

API int aclGetTensorDescDimV2(const Object *tensor, size_t axis, int64_t *size) {
  *size = axis < tensor->shape.size() ? tensor->shape[axis] : 0;
  return 0;
}

API Buffer *aclCreateDataBuffer(void *data, size_t) { return new Buffer(data); }

API int aclDestroyDataBuffer(Buffer *buffer) {
  delete buffer;
  return 0;
}

API void *aclGetDataBufferAddr(Buffer *buffer) { return buffer ? *buffer : nullptr; }

API int aclUpdateDataBuffer(Buffer *buffer, void *data, size_t) {
  *buffer = data;
  return 0;
}

API Attributes *aclopCreateAttr() { return new Attributes; }
API void aclopDestroyAttr(Attributes *attributes) { delete attributes; }

API int aclopSetAttrBool(Attributes *attributes, const char *name, uint8_t value) {
  (*attributes)[name] = {double(value)};
  return 0;
}

API int aclopSetAttrInt(Attributes *attributes, const char *name, int64_t value) {
  (*attributes)[name] = {double(value)};
  return 0;
}

API int aclopSetAttrFloat(Attributes *attributes, const char *name, float value) {
  (*attributes)[name] = {double(value)};
  return 0;
}

API int aclopSetAttrDataType(Attributes *attributes, const char *name, int value) {
  (*attributes)[name] = {double(value)};
  return 0;
}

// A text is part of the attribute's name.
API int aclopSetAttrString(Attributes *attributes, const char *name, const char *value) {
  (*attributes)[std::string(name) + ":" + value] = {};
  return 0;
}

API int aclopSetAttrListInt(Attributes *attributes, const char *name, int count,
                            const int64_t *values) {
  (*attributes)[name].assign(values, values + count);
  return 0;
}

static ObjectPointer with_data(const Object *description, Buffer *buffer) {
  auto tensor = std::make_shared<Object>(*description);
  tensor->data = buffer ? *buffer : nullptr;
  return tensor;
}

API int aclopCompileAndExecuteV2(const char *name, int input_count, Object *inputs[],
                                 Buffer *input_buffers[], int output_count, Object *outputs[],
                                 Buffer *output_buffers[], Attributes *attributes, int, int,
                                 const char *, void *stream) {
  auto call = std::make_shared<Call>();
  call->name = name;
  for (int n = 0; n < input_count; n++)
    call->inputs.push_back(with_data(inputs[n], input_buffers[n]));
  for (int n = 0; n < output_count; n++)
    call->outputs.push_back(with_data(outputs[n], output_buffers[n]));
  if (attributes) call->attributes = *attributes;
  const std::string full_name = std::string("aclop:") + name;
  if (int status = status_of(full_name, [&] { check_call(*call); })) return status;
  Task task;
  if (logging()) task.text = "launch " + full_name + " " + describe(*call);
  task.run = [call] { run(*call); };
  return submit(stream, full_name, task);
}

API int aclopCompileAndExecute(const char *name, int input_count, Object *inputs[],
                               Buffer *input_buffers[], int output_count, Object *outputs[],
                               Buffer *output_buffers[], Attributes *attributes, int engine,
                               int compile, const char *path, void *stream) {
  return aclopCompileAndExecuteV2(name, input_count, inputs, input_buffers, output_count, outputs,
                                  output_buffers, attributes, engine, compile, path, stream);
}

API int aclSetCompileopt(int option, const char *value) {
  log_line("compile option %d = %s", option, value);
  return 0;
}
