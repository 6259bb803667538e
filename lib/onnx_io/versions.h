// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace qtool {

/// The ONNX package whose message classes qtool was built with, such as "1.12.0".
std::string onnx_version();

/// protobuf, such as "3.21.12": built with, and so running, since it refuses any other at start.
std::string protobuf_version();

}  // namespace qtool
