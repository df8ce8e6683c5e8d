// The device: one chip whose memory is host memory.
#include <sys/mman.h>
#include <unistd.h>

#include <mutex>
#include <unordered_map>

#include "error.h"
#include "log.h"
#include "settings.h"
#include "stream.h"

namespace standin {
namespace {

constexpr size_t MEMORY = size_t(64) << 30;     // what the device says it has
constexpr size_t PAGE = 4096;
// MindSpore reads a little behind a block, as CANN aligns sizes to 32 bytes and adds 32.
constexpr size_t MARGIN = 512;

std::mutex mutex;
std::unordered_map<void *, size_t> blocks;      // sizes of the mappings
int context;                                    // there is one; only its address counts
thread_local int current_device = 0;
thread_local bool bound = false;

void *map_pages(size_t size) {
  void *block = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return block == MAP_FAILED ? nullptr : block;
}

int allocate(const char *what, void **block, size_t size) {
  if (!has_context()) return fail(NO_CONTEXT, std::string(what) + ": the thread has no context");
  const size_t mapped = (size + MARGIN + PAGE - 1) & ~(PAGE - 1);
  *block = map_pages(mapped);
  if (!*block) return fail(INVALID_ARGUMENT, std::string(what) + ": no memory");
  std::lock_guard<std::mutex> lock(mutex);
  blocks[*block] = mapped;
  log_line("%s %zu", what, size);
  return 0;
}

// Who still uses a block that was freed has a segmentation fault.
int release(void *block) {
  std::lock_guard<std::mutex> lock(mutex);
  auto found = blocks.find(block);
  if (found == blocks.end()) return 0;
  munmap(block, found->second);
  blocks.erase(found);
  return 0;
}

void bind(int device) {
  current_device = device;
  bound = true;
}

}  // namespace

bool has_context() { return bound; }

}  // namespace standin

using namespace standin;

#define API extern "C" __attribute__((visibility("default")))

API int aclInit(const char *) { return 0; }
API int aclFinalize() { return 0; }
API const char *aclrtGetSocName() { return settings().chip_name.c_str(); }

API int aclrtGetDeviceCount(uint32_t *count) {
  *count = 1;
  return 0;
}

API int aclrtSetDevice(int device) {
  bind(device);
  return 0;
}

API int aclrtGetDevice(int *device) {
  *device = current_device;
  return 0;
}

API int aclrtGetRunMode(int *mode) {
  *mode = 1;            // ACL_HOST: called from the host, not on the device
  return 0;
}

API int aclrtCreateContext(void **created, int device) {
  bind(device);
  *created = &context;
  return 0;
}

API int aclrtSetCurrentContext(void *given) {
  bound = given != nullptr;
  return 0;
}

API int aclrtGetCurrentContext(void **current) {
  if (!bound) return NO_CONTEXT;
  *current = &context;
  return 0;
}

API int aclrtGetMemInfo(int, size_t *free_bytes, size_t *total) {
  *total = MEMORY;
  *free_bytes = MEMORY - (size_t(1) << 30);
  return 0;
}

API int aclrtMalloc(void **block, size_t size, int) {
  return allocate("malloc device", block, size);
}

API int aclrtMallocAlign32(void **block, size_t size, int) {
  return allocate("malloc device", block, size);
}

API int aclrtMallocHost(void **block, size_t size) { return allocate("malloc host", block, size); }
API int aclrtFree(void *block) { return release(block); }
API int aclrtFreeHost(void *block) { return release(block); }

// Virtual memory: an address range is usable from the start, so that mapping does nothing.
API int aclrtReserveMemAddress(void **block, size_t size, size_t, void *, uint64_t) {
  *block = map_pages(size);
  return *block ? 0 : fail(INVALID_ARGUMENT, "aclrtReserveMemAddress: no memory");
}

API int aclrtReleaseMemAddress(void *) { return 0; }

API int aclrtMallocPhysical(void **handle, size_t size, const void *, uint64_t) {
  *handle = new size_t(size);
  log_line("malloc physical %zu", size);
  return 0;
}

API int aclrtFreePhysical(void *handle) {
  delete static_cast<size_t *>(handle);
  return 0;
}

API int aclrtMapMem(void *, size_t, size_t, void *, uint64_t) { return 0; }
API int aclrtUnmapMem(void *) { return 0; }

API int aclrtDeviceGetBareTgid(int *id) {
  *id = getpid();
  return 0;
}

API int aclrtDeviceCanAccessPeer(int *can, int, int) {
  *can = 0;
  return 0;
}

API int aclrtDeviceGetStreamPriorityRange(int *least, int *greatest) {
  *least = 7;
  *greatest = 0;
  return 0;
}

API int aclrtGetDeviceResLimit(int, int, uint32_t *value) {
  *value = 24;          // cores
  return 0;
}

API void *aclrtAllocatorCreateDesc() { return &context; }
