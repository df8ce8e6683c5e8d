// The log: one line a call, in the order of the calls. log.py reads it.
//
//   plan NAME ARGUMENTS         an aclnn operator was prepared (aclnnNameGetWorkspaceSize)
//   launch NAME ARGUMENTS       an operator was launched; aclop:NAME by the older interface
//   launch capture:replay N     a captured graph of N tasks was launched
//   captured ...                a launch or copy that went into a captured graph
//   copy FROM-TO BYTES sync     (or async)
//   sync stream                 (or device, event): the host waits
//   refused NAME: REASON
//   stub NAME                   the first call of a function without behaviour
//   # SECTION                   written by tests: a section begins
#pragma once

namespace standin {

bool logging();
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace standin
