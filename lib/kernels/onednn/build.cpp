// SPDX-License-Identifier: Apache-2.0
#include "kernels/onednn/build.h"

#include <dnnl_version.h>

namespace qtool::onednn {

std::string built_version() {
  return std::to_string(DNNL_VERSION_MAJOR) + '.' + std::to_string(DNNL_VERSION_MINOR) + '.' +
         std::to_string(DNNL_VERSION_PATCH);
}

}  // namespace qtool::onednn
