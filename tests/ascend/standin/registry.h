// The operators that compute. A file in operators/ registers each with
//
//   Register add("aclnnAdd", [](const Call &call) { ... });
#pragma once
#include <functional>
#include <initializer_list>
#include <string>

#include "call.h"

namespace standin {

using Compute = std::function<void(const Call &)>;

struct Register {
  Register(const char *name, Compute compute);
  Register(std::initializer_list<const char *> names, Compute compute);
};

const Compute *find_operator(const std::string &name);

// What both interfaces do before an operator runs: Refused where limits.cc excludes the call, or,
// if operators compute, where nobody has written this one.
void check_call(const Call &call);

// Computes, if STANDIN_COMPUTE is set.
void run(const Call &call);

}  // namespace standin
