// Operators by the newer interface, in two steps: aclnnXGetWorkspaceSize(arguments...,
// &workspace_size, &executor) and aclnnX(workspace, size, executor, stream).
#include <pthread.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstring>
#include <mutex>
#include <set>

#include "call.h"
#include "error.h"
#include "log.h"
#include "registry.h"
#include "stream.h"

using namespace standin;

namespace {

struct Executor {
  Call call;
  bool repeatable = false;      // otherwise CANN destroys it after one launch
};

std::mutex mutex;
std::set<const void *> executors;       // alive

constexpr int MOST_ARGUMENTS = 60;
constexpr int64_t LARGEST_NUMBER = int64_t(1) << 40;    // above, an argument is an address

struct StackRange {
  uintptr_t low, high;
};

StackRange stack_of_thread() {
  static thread_local StackRange range = [] {
    pthread_attr_t attributes;
    void *low;
    size_t size;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &low, &size);
    pthread_attr_destroy(&attributes);
    return StackRange{uintptr_t(low), uintptr_t(low) + size};
  }();
  return range;
}

// The text at an address that may be no address.
std::string text_at(int64_t address) {
  char text[64] = {};
  iovec to = {text, sizeof text - 1}, from = {reinterpret_cast<void *>(address), sizeof text - 1};
  ssize_t length = process_vm_readv(getpid(), &to, 1, &from, 1, 0);
  if (length <= 0) {            // near the end of a page
    to.iov_len = from.iov_len = 4096 - address % 4096;
    if (to.iov_len >= sizeof text) return "";
    if (process_vm_readv(getpid(), &to, 1, &from, 1, 0) <= 0) return "";
  }
  for (const char *c = text; *c; c++)
    if (*c < 32 || *c > 126) return "";
  return text;
}

void destroy(Executor *executor) {
  std::lock_guard<std::mutex> lock(mutex);
  if (executors.erase(executor)) delete executor;
}

Argument decode(int64_t value) {
  Argument argument;
  argument.object = find_object(reinterpret_cast<void *>(value));
  if (argument.object) return argument;
  if (std::abs(value) < LARGEST_NUMBER) {
    // a narrower type leaves the upper half of a register undefined
    argument.integer = value >> 32 > 0 ? int32_t(value) : value;
  } else {
    argument.text = text_at(value);
    if (argument.text.empty()) argument.integer = int32_t(value);
  }
  return argument;
}

}  // namespace

#define HIDDEN extern "C" __attribute__((visibility("hidden")))

// The last two arguments are addresses of two of the caller's variables, which lie beside each
// other on its stack; by that we know where the list of arguments ends.
HIDDEN int64_t standin_plan(const char *name, int64_t *registers, double *doubles,
                            int64_t *stack) {
  const StackRange range = stack_of_thread();
  auto raw = [&](int n) { return n < 6 ? registers[n] : stack[n - 6]; };
  auto is_variable = [&](int64_t value) {
    return uintptr_t(value) > uintptr_t(stack) && uintptr_t(value) < range.high && value % 8 == 0 &&
           !find_object(reinterpret_cast<void *>(value));
  };
  auto is_end = [&](int n) {
    return is_variable(raw(n)) && is_variable(raw(n + 1)) && std::abs(raw(n) - raw(n + 1)) < 4096;
  };
  auto *executor = new Executor;
  executor->call.name = name;
  int count = 0;
  for (; !is_end(count); count++) {
    if (count == MOST_ARGUMENTS)
      return fail(INVALID_ARGUMENT, std::string(name) + ": no executor among the arguments");
    executor->call.arguments.push_back(decode(raw(count)));
  }
  const int cube_math_type = cube_math_type_index(name);
  if (cube_math_type >= 0 && cube_math_type < count) {
    Argument &argument = executor->call.arguments[cube_math_type];
    argument.integer = int8_t(argument.integer);
  }
  memcpy(executor->call.doubles, doubles, sizeof executor->call.doubles);
  *reinterpret_cast<uint64_t *>(raw(count)) = 0;
  *reinterpret_cast<Executor **>(raw(count + 1)) = executor;
  {
    std::lock_guard<std::mutex> lock(mutex);
    executors.insert(executor);
  }
  if (logging()) log_line("plan %s %s", name, describe(executor->call).c_str());
  return status_of(name, [&] { check_call(executor->call); });
}

HIDDEN int64_t standin_launch(const char *name, int64_t *registers, double *, int64_t *) {
  auto *executor = reinterpret_cast<Executor *>(registers[2]);
  auto *stream = reinterpret_cast<void *>(registers[3]);
  {
    std::lock_guard<std::mutex> lock(mutex);
    if (!executors.count(executor))
      return fail(INVALID_ARGUMENT, std::string(name) + ": launched without an executor that is alive");
  }
  Task task;
  if (logging()) task.text = std::string("launch ") + name + " " + describe(executor->call);
  if (is_captured(stream)) {
    // the executor may be given other addresses or be destroyed before the graph is launched
    auto call = std::make_shared<Call>(clone(executor->call));
    task.run = [call] { run(*call); };
  } else {
    task.run = [executor] { run(executor->call); };
  }
  const int status = submit(stream, name, task);
  if (!executor->repeatable) destroy(executor);
  return status;
}

// A function of CANN that has no behaviour here.
HIDDEN int64_t standin_other(const char *name, int64_t *, double *, int64_t *) {
  static auto *met = new std::set<std::string>;
  std::lock_guard<std::mutex> lock(mutex);
  if (met->insert(name).second) log_line("stub %s", name);
  return 0;
}

#define API extern "C" __attribute__((visibility("default")))

API int aclnnInit(const char *) { return 0; }
API int aclnnFinalize() { return 0; }

API int aclSetAclOpExecutorRepeatable(Executor *executor) {
  executor->repeatable = true;
  return 0;
}

API int aclDestroyAclOpExecutor(Executor *executor) {
  destroy(executor);
  return 0;
}

API int aclSetTensorAddr(Executor *, size_t, Object *tensor, void *data) {
  if (tensor) tensor->data = data;
  return 0;
}

API int aclSetDynamicTensorAddr(Executor *, size_t, size_t index, Object *list, void *data) {
  if (list && index < list->members.size()) list->members[index]->data = data;
  return 0;
}

// MindSpore's cache of executors, which CANN offers to frameworks: never used.
API bool CanUsePTACache(const char *) { return false; }
API void *PTAGetExecCache(uint64_t, uint64_t *) { return nullptr; }
