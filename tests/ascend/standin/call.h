// One call of an operator, by either of the two interfaces.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "object.h"

namespace standin {

struct Argument {
  ObjectPointer object;         // or a number, or a text
  int64_t integer = 0;
  std::string text;
};

struct Call {
  std::string name;

  // aclnn: all arguments that are no floating-point numbers in their order, outputs included;
  // those that are, in theirs
  std::vector<Argument> arguments;
  double doubles[8] = {};

  // aclop
  std::vector<ObjectPointer> inputs, outputs;
  std::map<std::string, std::vector<double>> attributes;

  // Arguments of an aclnn call; Refused if there is no such argument. A negative index counts
  // from the end.
  const Object &tensor(int index) const;
  const Object *optional_tensor(int index) const;       // nullptr for a null pointer
  const Object &list(int index) const;                  // tensors
  const std::vector<int64_t> &integers(int index) const;
  const Object &scalar(int index) const;
  int64_t integer(int index) const;
  const std::string &text(int index) const;
  const Object &object(int index) const;                // tensor or scalar
  const Argument &argument(int index) const;

  // Inputs, outputs and attributes of an aclop call.
  const Object &input(size_t index) const;
  const Object &output(size_t index) const;
  bool has_input(size_t index) const;
  std::vector<int64_t> attribute(const char *name) const;       // Refused if there is none
  std::vector<int64_t> attribute(const char *name, std::vector<int64_t> otherwise) const;
};

std::string describe(const Call &call);

// Position of the argument cubeMathType (0: as given, 1: may be HF32, 3: HF32) of a matrix product
// or convolution, or -1.
int cube_math_type_index(const std::string &name);

Call clone(const Call &call);

}  // namespace standin
