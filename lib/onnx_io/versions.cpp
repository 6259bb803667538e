// SPDX-License-Identifier: Apache-2.0
#include "onnx_io/versions.h"

#include <google/protobuf/stubs/common.h>

namespace qtool {

namespace {

/// 3021012 is 3.21.12.
std::string version_of(int number) {
  return std::to_string(number / 1'000'000) + '.' + std::to_string(number / 1000 % 1000) + '.' +
         std::to_string(number % 1000);
}

}  // namespace

std::string onnx_version() { return QTOOL_ONNX_VERSION; }

std::string protobuf_version() { return version_of(GOOGLE_PROTOBUF_VERSION); }

}  // namespace qtool
