// SPDX-License-Identifier: Apache-2.0
// Graph to GraphProto.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"

namespace onnx {
class GraphProto;
}

namespace qtool {

class ExternalWriter;

/// An initializer whose elements follow its description: raw_data is not copied into a message.
/// `raw` lies in the graph.
struct PendingInitializer {
  std::string description;  ///< a serialised TensorProto without raw_data
  std::string_view raw;
};

/// Fills the message with all but the initializers that it returns, which are the graph's dense
/// ones in order. `external` may be null.
std::vector<PendingInitializer> write_graph(const Graph& graph, ExternalWriter* external,
                                            onnx::GraphProto& proto);

}  // namespace qtool
