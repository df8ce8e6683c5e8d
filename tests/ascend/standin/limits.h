// What public CANN documents exclude, for operators that this project launches.
#pragma once
#include "call.h"
#include "settings.h"

namespace standin {

// Refused, with the document named, for a call that `chip` does not support.
void check_limits(const Call &call, Chip chip);

}  // namespace standin
