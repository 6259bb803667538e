// SPDX-License-Identifier: Apache-2.0
#include "version.h"

#include "kernels/onednn/build.h"
#include "kernels/onednn/primitives.h"
#include "onnx_io/versions.h"

namespace qtool {

std::string program_version() { return QTOOL_VERSION " (" QTOOL_COMMIT ")"; }

std::map<std::string, std::string> library_versions() {
  std::string onednn = onednn::version();
  if (onednn != onednn::built_version()) onednn += " (built with " + onednn::built_version() + ')';
  return {{"oneDNN", onednn + ", " + onednn::instruction_set()},
          {"onnx", onnx_version()},
          {"protobuf", protobuf_version()}};
}

std::string version_text() {
  std::string text = "qtool " + program_version();
  for (const auto& [name, version] : library_versions()) text += '\n' + name + ' ' + version;
  return text;
}

}  // namespace qtool
