// SPDX-License-Identifier: Apache-2.0
// ValueInfoProto and Value. A value can have several entries in a file: as graph input, as graph
// output (for each time it is listed) and in value_info. They travel together as a GraphProto that
// holds nothing else; where they say more than Value::type, that message is Value::type_residue.
#pragma once

#include "ir/graph.h"

namespace onnx {
class GraphProto;
class ValueInfoProto;
}  // namespace onnx

namespace qtool {

/// Fills type, listed and type_residue of the value from its entries; value.constant must be set.
void settle_entries(onnx::GraphProto& entries, Value& value);

/// The entries as they were read, with the value's present type where it was edited.
onnx::GraphProto entries_of(const Value& value);

/// Name and type alone.
onnx::ValueInfoProto plain_entry(const std::string& name, const TensorType& type);

}  // namespace qtool
