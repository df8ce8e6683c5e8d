#include "call.h"

#include "error.h"

namespace standin {
namespace {

std::string number_text(double value) {
  char text[40];
  snprintf(text, sizeof text, "%g", value);
  return text;
}

const Object &typed(const Argument &argument, int index, Kind kind, const char *what) {
  if (!argument.object || argument.object->kind != kind) refuse("argument %d is no %s", index, what);
  return *argument.object;
}

}  // namespace

const Argument &Call::argument(int index) const {
  const int position = index < 0 ? index + int(arguments.size()) : index;
  if (position < 0 || position >= int(arguments.size())) refuse("there is no argument %d", index);
  return arguments[position];
}

const Object &Call::tensor(int index) const {
  return typed(argument(index), index, Kind::tensor, "tensor");
}

const Object *Call::optional_tensor(int index) const {
  const Argument &given = argument(index);
  return given.object ? &typed(given, index, Kind::tensor, "tensor") : nullptr;
}

const Object &Call::list(int index) const {
  return typed(argument(index), index, Kind::tensors, "list of tensors");
}

const Object &Call::scalar(int index) const {
  return typed(argument(index), index, Kind::scalar, "scalar");
}

const Object &Call::object(int index) const {
  const Argument &given = argument(index);
  if (!given.object) refuse("argument %d is neither tensor nor scalar", index);
  return *given.object;
}

const std::vector<int64_t> &Call::integers(int index) const {
  const Argument &given = argument(index);
  if (!given.object || (given.object->kind != Kind::integers && given.object->kind != Kind::booleans))
    refuse("argument %d is no array of integers", index);
  return given.object->integers;
}

int64_t Call::integer(int index) const {
  const Argument &given = argument(index);
  if (given.object || !given.text.empty()) refuse("argument %d is no number", index);
  return given.integer;
}

const std::string &Call::text(int index) const {
  const Argument &given = argument(index);
  if (given.text.empty()) refuse("argument %d is no text", index);
  return given.text;
}

const Object &Call::input(size_t index) const {
  if (!has_input(index)) refuse("there is no input %zu", index);
  return *inputs[index];
}

bool Call::has_input(size_t index) const { return index < inputs.size() && inputs[index]; }

const Object &Call::output(size_t index) const {
  if (index >= outputs.size()) refuse("there is no output %zu", index);
  return *outputs[index];
}

std::vector<int64_t> Call::attribute(const char *name) const {
  auto found = attributes.find(name);
  if (found == attributes.end()) refuse("there is no attribute %s", name);
  return std::vector<int64_t>(found->second.begin(), found->second.end());
}

std::vector<int64_t> Call::attribute(const char *name, std::vector<int64_t> otherwise) const {
  return attributes.count(name) ? attribute(name) : otherwise;
}

std::string describe(const Call &call) {
  std::string text;
  auto add = [&](const std::string &part) { text += (text.empty() ? "" : ", ") + part; };
  const int cube_math_type = cube_math_type_index(call.name);
  for (int n = 0; n < int(call.arguments.size()); n++) {
    const Argument &argument = call.arguments[n];
    if (argument.object)
      add(describe(*argument.object));
    else if (!argument.text.empty())
      add('"' + argument.text + '"');
    else
      add((n == cube_math_type ? "cube_math_type=" : "") + std::to_string(argument.integer));
  }
  for (const ObjectPointer &input : call.inputs) add(input ? describe(*input) : "null");
  if (!call.outputs.empty()) text += " ->";
  for (const ObjectPointer &output : call.outputs) text += " " + describe(*output);
  for (const auto &[name, values] : call.attributes) {
    text += " " + name + "=";
    for (size_t n = 0; n < values.size(); n++) text += (n ? "," : "") + number_text(values[n]);
  }
  return text;
}

int cube_math_type_index(const std::string &name) {
  static const std::map<std::string, int> indices = {
      {"aclnnMm", 3},           {"aclnnMatmul", 3},      {"aclnnBatchMatMul", 3},
      {"aclnnConvolution", 10}, {"aclnnAddmm", 6},       {"aclnnBaddbmm", 6},
      {"aclnnAddbmm", 6},       {"aclnnAddmv", 6},       {"aclnnConvolutionBackward", 14},
  };
  auto found = indices.find(name);
  return found == indices.end() ? -1 : found->second;
}

Call clone(const Call &call) {
  Call copy = call;
  for (Argument &argument : copy.arguments) argument.object = clone(argument.object);
  for (ObjectPointer &input : copy.inputs) input = clone(input);
  for (ObjectPointer &output : copy.outputs) output = clone(output);
  return copy;
}

}  // namespace standin
