// Errors: a status other than 0 for the caller, a sentence for aclGetRecentErrMsg.
#pragma once
#include <functional>
#include <stdexcept>
#include <string>

namespace standin {

constexpr int INVALID_ARGUMENT = 161002;        // ACLNN_ERR_PARAM_INVALID
constexpr int NO_CONTEXT = 107002;              // ACL_ERROR_RT_CONTEXT_NULL
constexpr int CAPTURE_FORBIDS = 107031;         // ACL_ERROR_RT_STREAM_CAPTURE_...

// An operator does not do what is asked: because public documents exclude it, or because nobody
// has written it here. The two are told apart by the sentence.
struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[noreturn]] void refuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Runs `body`; an exception becomes the status, and its sentence the recent error message.
int status_of(const std::string &name, const std::function<void()> &body);

int fail(int status, const std::string &sentence);

}  // namespace standin
