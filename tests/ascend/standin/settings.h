// The environment variables STANDIN_LOG, STANDIN_COMPUTE, STANDIN_COMPUTE_LIMIT, STANDIN_LIMITS and
// STANDIN_SOC, and the chips they name.
#pragma once
#include <cstdint>
#include <string>

namespace standin {

// One bit each, so that a table can name several.
enum Chip {
  ASCEND_910A = 1,      // Atlas training products
  ASCEND_310P = 2,      // Atlas inference products
  ASCEND_910B = 4,      // Atlas A2
  ASCEND_910_93 = 8,    // Atlas A3
  OTHER_CHIP = 16,
};

struct Settings {
  bool compute = false;         // STANDIN_COMPUTE: operators compute; otherwise they are recorded
  int64_t compute_limit = 0;    // STANDIN_COMPUTE_LIMIT: but compute if no tensor has more elements
  bool limits = true;           // STANDIN_LIMITS: refuse what public documents exclude
  std::string chip_name;        // STANDIN_SOC
  Chip chip = OTHER_CHIP;
};

const Settings &settings();

}  // namespace standin
