#include "registry.h"

#include <mutex>
#include <unordered_map>

#include "error.h"
#include "limits.h"
#include "settings.h"

namespace standin {
namespace {

std::unordered_map<std::string, Compute> &table() {
  static auto *operators = new std::unordered_map<std::string, Compute>;
  return *operators;
}

std::mutex mutex;       // operators of several threads compute one after another, as on one device

bool is_small(const ObjectPointer &object) {
  if (!object) return true;
  if (object->kind == Kind::tensor && element_count(object->shape) > settings().compute_limit)
    return false;
  for (const ObjectPointer &member : object->members)
    if (!is_small(member)) return false;
  return true;
}

// Whether no tensor of a call has more elements than `compute_limit`.
bool is_small(const Call &call) {
  if (!settings().compute_limit) return false;
  for (const Argument &argument : call.arguments)
    if (!is_small(argument.object)) return false;
  for (const auto *objects : {&call.inputs, &call.outputs})
    for (const ObjectPointer &object : *objects)
      if (!is_small(object)) return false;
  return true;
}

void ignore_errors(const Compute &compute, const Call &call) {
  std::lock_guard<std::mutex> lock(mutex);
  try {
    compute(call);
  } catch (const Refused &) {
  }
}

}  // namespace

Register::Register(const char *name, Compute compute) { table()[name] = compute; }

Register::Register(std::initializer_list<const char *> names, Compute compute) {
  for (const char *name : names) table()[name] = compute;
}

const Compute *find_operator(const std::string &name) {
  auto found = table().find(name);
  return found == table().end() ? nullptr : &found->second;
}

void check_call(const Call &call) {
  if (settings().limits) check_limits(call, settings().chip);
  if (settings().compute && !find_operator(call.name))
    refuse("the stand-in does not compute this operator; add it in tests/ascend/standin/operators");
}

void run(const Call &call) {
  if (!settings().compute && !is_small(call)) return;
  const Compute *compute = find_operator(call.name);
  if (!settings().compute) {            // its inputs may be undefined
    if (compute) ignore_errors(*compute, call);
    return;
  }
  if (!compute) refuse("the stand-in does not compute this operator");
  std::lock_guard<std::mutex> lock(mutex);
  (*compute)(call);
}

}  // namespace standin
