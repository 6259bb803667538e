// SPDX-License-Identifier: Apache-2.0
// AttributeProto and Attributes::Entry. A residue holds what the message says beyond name, type and
// value; a `type` in it says that a scalar zero was left out of the file. A missing type (IR 1) is
// added when writing.
#pragma once

#include <functional>

#include "ir/graph.h"

namespace onnx {
class AttributeProto;
class GraphProto;
}  // namespace onnx

namespace qtool {

class ExternalReader;
class ExternalWriter;

/// Reads or writes the body that stands at this index of the attribute.
using ReadBody =
    std::function<SubgraphPtr(onnx::GraphProto&, const std::string& attribute, int index)>;
using WriteBody =
    std::function<void(const Graph&, const std::string& attribute, int index, onnx::GraphProto&)>;

/// Takes the value out of the message. Errors (input): see load_model.
Attributes::Entry take_attribute(onnx::AttributeProto& proto, ExternalReader& files,
                                 const ReadBody& read);

void write_attribute(const Attributes::Entry& entry, ExternalWriter* external,
                     const WriteBody& write, onnx::AttributeProto& proto);

}  // namespace qtool
