// Streams run at once, in the thread of the caller, unless they are being captured.
#pragma once
#include <functional>
#include <string>

namespace standin {

struct Task {
  std::string text;             // of its line in the log
  std::function<void()> run;
};

// Runs `task`, or adds it to the graph that is captured from `stream`. Returns a status.
int submit(void *stream, const std::string &name, Task task);

// Status for a call that waits or copies at once: not allowed while a capture is under way.
int check_no_capture(const char *what);
bool is_captured(void *stream);

// Without a context, which a thread gets by aclrtSetDevice or aclrtSetCurrentContext, a device
// returns NO_CONTEXT.
bool has_context();

}  // namespace standin
