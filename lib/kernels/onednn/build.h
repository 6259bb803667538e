// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace qtool::onednn {

/// The oneDNN whose headers qtool was built with, such as "2.6.3"; version() is the one that runs.
std::string built_version();

}  // namespace qtool::onednn
