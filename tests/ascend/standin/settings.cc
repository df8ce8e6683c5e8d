#include "settings.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <mutex>

#include "error.h"
#include "log.h"

namespace standin {
namespace {

struct State {
  Settings settings;
  FILE *log = nullptr;
};

// Longer prefixes first.
const struct {
  const char *prefix;
  Chip chip;
} CHIPS[] = {
    {"Ascend910_93", ASCEND_910_93}, {"Ascend910_95", OTHER_CHIP}, {"Ascend910B", ASCEND_910B},
    {"Ascend910", ASCEND_910A},      {"Ascend310P", ASCEND_310P},
};

Chip chip_of(const std::string &name) {
  for (const auto &entry : CHIPS)
    if (name.rfind(entry.prefix, 0) == 0) return entry.chip;
  return OTHER_CHIP;
}

const char *variable(const char *name, const char *otherwise) {
  const char *value = getenv(name);
  return value && *value ? value : otherwise;
}

void read_environment(State &state) {
  if (state.log) fclose(state.log);
  const char *log = variable("STANDIN_LOG", nullptr);
  state.log = log ? fopen(log, "a") : nullptr;
  const char *compute = variable("STANDIN_COMPUTE", "0");
  state.settings.compute = std::string(compute) != "0";
  state.settings.compute_limit = atoll(variable("STANDIN_COMPUTE_LIMIT", "0"));
  state.settings.limits = std::string(variable("STANDIN_LIMITS", "1")) != "0";
  state.settings.chip_name = variable("STANDIN_SOC", "Ascend910B2");
  state.settings.chip = chip_of(state.settings.chip_name);
}

State &state() {
  static State *instance = [] {
    auto *made = new State;
    read_environment(*made);
    return made;
  }();
  return *instance;
}

std::mutex log_mutex;
thread_local std::string recent_error;

}  // namespace

const Settings &settings() { return state().settings; }

bool logging() { return state().log; }

void log_line(const char *format, ...) {
  std::lock_guard<std::mutex> lock(log_mutex);
  FILE *log = state().log;
  if (!log) return;
  va_list arguments;
  va_start(arguments, format);
  vfprintf(log, format, arguments);
  va_end(arguments);
  fputc('\n', log);
  fflush(log);
}

void refuse(const char *format, ...) {
  char text[2000];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  throw Refused(text);
}

int fail(int status, const std::string &sentence) {
  recent_error = sentence;
  fprintf(stderr, "standin: %s\n", sentence.c_str());
  log_line("refused %s", sentence.c_str());
  return status;
}

int status_of(const std::string &name, const std::function<void()> &body) {
  try {
    body();
    return 0;
  } catch (const std::exception &error) {
    return fail(INVALID_ARGUMENT, name + ": " + error.what());
  }
}

}  // namespace standin

#define API extern "C" __attribute__((visibility("default")))

API const char *aclGetRecentErrMsg() { return standin::recent_error.c_str(); }

// Not of CANN. For tests: reads the environment again.
API void standin_reload() {
  std::lock_guard<std::mutex> lock(standin::log_mutex);
  standin::read_environment(standin::state());
}
