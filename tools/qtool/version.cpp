// SPDX-License-Identifier: Apache-2.0
#include "command.h"
#include "kernels/onednn/primitives.h"

namespace qtool {

std::string version_text() {
  return "qtool " QTOOL_VERSION " (" QTOOL_COMMIT ")\noneDNN " + onednn::version() + ", " +
         onednn::instruction_set();
}

}  // namespace qtool
