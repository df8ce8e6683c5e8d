// Streams, events, copies; and the capture of a stream's tasks into a graph that is launched as
// one (aclmdlRI...), whose tasks run when it is launched, not while they are captured.
#include "stream.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "error.h"
#include "log.h"
#include "settings.h"

namespace standin {
namespace {

struct Graph {
  std::vector<Task> tasks;
};

struct Event {
  Graph *capture = nullptr;     // recorded on a stream that is being captured into it
};

// aclmdlRICaptureMode: who may not call what waits or copies at once while a stream is captured.
enum CaptureMode { EVERY_THREAD = 0, THIS_THREAD = 1, NOBODY = 2 };

enum CopyKind { HOST_TO_HOST, HOST_TO_DEVICE, DEVICE_TO_HOST, DEVICE_TO_DEVICE };
const char *COPY_NAMES[] = {"host-host", "host-device", "device-host", "device-device"};

std::recursive_mutex mutex;
std::map<void *, Graph *> captures;     // of a stream; streams may share one
int everywhere_forbidden = 0;           // captures in mode EVERY_THREAD
thread_local int here_forbidden = 0;
thread_local int thread_mode = EVERY_THREAD;

std::string without_context(const std::string &what) {
  return what + ": the thread has no context (error 107002 on a device)";
}

int wait_on_host(const char *what) {
  if (!has_context()) return fail(NO_CONTEXT, without_context(what));
  if (int status = check_no_capture(what)) return status;
  log_line("sync %s", what);
  return 0;
}

// Device memory is host memory, so that the kind only matters for the log. Without arithmetic
// nobody looks at what lies on the device.
void move_bytes(void *to, const void *from, size_t size, int kind) {
  if (kind != DEVICE_TO_DEVICE || settings().compute || settings().compute_limit)
    memcpy(to, from, size);
}

std::string copy_text(int kind, size_t size, const char *how) {
  return std::string("copy ") + COPY_NAMES[kind & 3] + " " + std::to_string(size) + " " + how;
}

}  // namespace

bool is_captured(void *stream) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  return captures.count(stream);
}

int submit(void *stream, const std::string &name, Task task) {
  if (!has_context()) return fail(NO_CONTEXT, without_context(name));
  {
    std::lock_guard<std::recursive_mutex> lock(mutex);
    auto found = captures.find(stream);
    if (found != captures.end()) {
      if (!task.text.empty()) log_line("captured %s", task.text.c_str());
      found->second->tasks.push_back(task);
      return 0;
    }
  }
  if (!task.text.empty()) log_line("%s", task.text.c_str());
  return status_of(name, task.run);
}

int check_no_capture(const char *what) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  if (thread_mode == NOBODY || (!everywhere_forbidden && !here_forbidden)) return 0;
  return fail(CAPTURE_FORBIDS, std::string(what) + ": not allowed while a stream is captured");
}

}  // namespace standin

using namespace standin;

#define API extern "C" __attribute__((visibility("default")))

// ---- copies -------------------------------------------------------------------------------------

API int aclrtMemcpy(void *to, size_t, const void *from, size_t size, int kind) {
  if (!has_context()) return fail(NO_CONTEXT, without_context("aclrtMemcpy"));
  if (int status = check_no_capture("aclrtMemcpy")) return status;
  log_line("%s", copy_text(kind, size, "sync").c_str());
  move_bytes(to, from, size, kind);
  return 0;
}

API int aclrtMemcpyAsync(void *to, size_t, const void *from, size_t size, int kind, void *stream) {
  return submit(stream, "aclrtMemcpyAsync",
                {copy_text(kind, size, "async"), [=] { move_bytes(to, from, size, kind); }});
}

API int aclrtMemset(void *to, size_t, int value, size_t size) {
  if (int status = check_no_capture("aclrtMemset")) return status;
  log_line("memset %zu sync", size);
  memset(to, value, size);
  return 0;
}

API int aclrtMemsetAsync(void *to, size_t, int value, size_t size, void *stream) {
  return submit(stream, "aclrtMemsetAsync",
                {"memset " + std::to_string(size) + " async", [=] { memset(to, value, size); }});
}

// ---- streams and events -------------------------------------------------------------------------

API int aclrtCreateStream(void **stream) {
  *stream = new char;
  return 0;
}

API int aclrtCreateStreamWithConfig(void **stream, uint32_t, uint32_t) {
  return aclrtCreateStream(stream);
}

API int aclrtSynchronizeStream(void *) { return wait_on_host("stream"); }
API int aclrtSynchronizeStreamWithTimeout(void *, int) { return wait_on_host("stream"); }
API int aclrtSynchronizeDevice() { return wait_on_host("device"); }
API int aclrtSynchronizeDeviceWithTimeout(int) { return wait_on_host("device"); }
API int aclrtSynchronizeEvent(void *) { return wait_on_host("event"); }

API int aclrtStreamQuery(void *, int *status) {
  *status = 0;          // ACL_STREAM_STATUS_COMPLETE
  return 0;
}

API int aclrtCreateEvent(void **event) {
  *event = new Event;
  return 0;
}

API int aclrtCreateEventWithFlag(void **event, uint32_t) { return aclrtCreateEvent(event); }
API int aclrtCreateEventExWithFlag(void **event, uint32_t) { return aclrtCreateEvent(event); }

API int aclrtDestroyEvent(void *event) {
  delete static_cast<Event *>(event);
  return 0;
}

API int aclrtRecordEvent(void *event, void *stream) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  auto found = captures.find(stream);
  static_cast<Event *>(event)->capture = found == captures.end() ? nullptr : found->second;
  return 0;
}

// A stream that waits for a captured one is captured with it.
API int aclrtStreamWaitEvent(void *stream, void *event) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  Graph *graph = static_cast<Event *>(event)->capture;
  for (auto &[captured, into] : captures)
    if (graph == into) {
      captures[stream] = graph;
      break;
    }
  return 0;
}

API int aclrtQueryEventStatus(void *, int *status) {
  *status = 1;          // ACL_EVENT_RECORDED_STATUS_COMPLETE
  return 0;
}

API int aclrtEventElapsedTime(float *milliseconds, void *, void *) {
  *milliseconds = 0;
  return 0;
}

API int aclrtLaunchCallback(void (*callback)(void *), void *data, int, void *stream) {
  return submit(stream, "aclrtLaunchCallback", {"", [=] { callback(data); }});
}

// Waits for a callback of a stream; there are none, and whoever asks again at once keeps a core busy.
API int aclrtProcessReport(int milliseconds) {
  usleep(1000 * (milliseconds > 0 ? std::min(milliseconds, 100) : 100));
  return 0;
}

// ---- capture ------------------------------------------------------------------------------------

API int aclmdlRICaptureBegin(void *stream, int mode) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  if (captures.count(stream))
    return fail(INVALID_ARGUMENT, "aclmdlRICaptureBegin: the stream is already captured");
  captures[stream] = new Graph;
  everywhere_forbidden += mode == EVERY_THREAD;
  here_forbidden += mode == THIS_THREAD;
  return 0;
}

API int aclmdlRICaptureEnd(void *stream, Graph **graph) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  auto found = captures.find(stream);
  if (found == captures.end())
    return fail(INVALID_ARGUMENT, "aclmdlRICaptureEnd: the stream is not captured");
  *graph = found->second;
  for (auto entry = captures.begin(); entry != captures.end();)
    entry = entry->second == *graph ? captures.erase(entry) : std::next(entry);
  // the mode is not remembered a stream: MindSpore captures one at a time
  everywhere_forbidden = 0;
  here_forbidden = 0;
  return 0;
}

API int aclmdlRICaptureGetInfo(void *stream, int *status, Graph **graph) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  auto found = captures.find(stream);
  *status = found != captures.end();    // ACL_MODEL_RI_CAPTURE_STATUS_NONE, _ACTIVE
  if (graph) *graph = found == captures.end() ? nullptr : found->second;
  return 0;
}

API int aclmdlRICaptureThreadExchangeMode(int *mode) {
  std::swap(*mode, thread_mode);
  return 0;
}

API int aclmdlRIExecuteAsync(Graph *graph, void *) {
  if (!has_context()) return fail(NO_CONTEXT, without_context("aclmdlRIExecuteAsync"));
  log_line("launch capture:replay %zu", graph->tasks.size());
  for (const Task &task : graph->tasks)
    if (int status = status_of("a captured task", task.run)) return status;
  return 0;
}

API int aclmdlRIExecute(Graph *graph, int) { return aclmdlRIExecuteAsync(graph, nullptr); }

API int aclmdlRIDestroy(Graph *graph) {
  delete graph;
  return 0;
}
