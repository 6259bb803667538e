// SPDX-License-Identifier: Apache-2.0
// GraphProto to Graph.
#pragma once

#include "ir/graph.h"

namespace onnx {
class GraphProto;
}

namespace qtool {

class ExternalReader;

/// Takes the message apart. Errors (input): see load_model.
Graph read_graph(onnx::GraphProto& proto, ExternalReader& files);

/// "ai.onnx" is the long form of "".
inline std::string plain_domain(const std::string& domain) {
  return domain == "ai.onnx" ? "" : domain;
}

}  // namespace qtool
