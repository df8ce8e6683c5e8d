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
  check_limits(call, settings().chip);
  if (settings().compute && !find_operator(call.name))
    refuse("the stand-in does not compute this operator; add it in tests/ascend/standin/operators");
}

void run(const Call &call) {
  if (!settings().compute) return;
  const Compute *compute = find_operator(call.name);
  if (!compute) refuse("the stand-in does not compute this operator");
  std::lock_guard<std::mutex> lock(mutex);
  (*compute)(call);
}

}  // namespace standin
