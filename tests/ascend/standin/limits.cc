#include "limits.h"
namespace standin {
void check_limits(const Call &call, Chip chip) {}
}
