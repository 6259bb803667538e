// SPDX-License-Identifier: Apache-2.0
#include "onnx_io/write_graph.h"

#include <onnx/onnx_pb.h>

#include <map>
#include <set>

#include "onnx_io/attribute.h"
#include "onnx_io/read_graph.h"
#include "onnx_io/tensor_proto.h"
#include "onnx_io/value_info.h"
#include "onnx_io/wire.h"

namespace qtool {

namespace {

using Names = std::map<ValueId, std::string>;

class GraphWriter {
 public:
  /// `captured` holds the names that the outer graph gives to what this one captures.
  GraphWriter(const Graph& graph, const Names& captured, ExternalWriter* external,
              onnx::GraphProto& proto)
      : graph_(graph), external_(external), proto_(proto) {
    choose_names(captured);
  }

  void write_structure();
  std::vector<PendingInitializer> pending_initializers();
  void write_initializers();

 private:
  void choose_names(const Names& captured);
  const std::string& name_of(ValueId id) const { return names_.at(id); }
  std::string name_or_blank(ValueId id) const { return id == ValueId::none ? "" : name_of(id); }
  void write_node(const Node& node, onnx::NodeProto& proto);
  void write_body(const Node& owner, const Graph& body, const std::string& attribute, int index,
                  onnx::GraphProto& proto);
  void write_entries();

  const Graph& graph_;
  ExternalWriter* external_;
  onnx::GraphProto& proto_;
  Names names_;
};

/// What is captured has its outer name, which an edit outside may have changed to one that a value
/// in here has; that value then makes way.
void GraphWriter::choose_names(const Names& captured) {
  std::set<std::string> taken;
  for (const auto& [id, name] : captured) taken.insert(name);
  for (const ValueId id : graph_.values()) {
    const Value& value = graph_.value(id);
    if (value.captured && captured.contains(id)) {
      names_[id] = captured.at(id);
      continue;
    }
    std::string name = value.name;
    for (int i = 1; taken.contains(name); ++i) {
      name = graph_.unique_name(value.name + "_inner" + std::to_string(i));
    }
    names_[id] = name;
  }
}

void GraphWriter::write_structure() {
  if (!graph_.residue.empty()) restore(proto_, graph_.residue);
  if (!graph_.name.empty()) proto_.set_name(graph_.name);
  for (const NodeId id : graph_.topological_order())
    write_node(graph_.node(id), *proto_.add_node());
  write_entries();
  for (const ValueId id : graph_.values()) {
    const Value& value = graph_.value(id);
    if (value.constant != nullptr || value.constant_residue.empty()) continue;
    auto& sparse = *proto_.add_sparse_initializer();
    restore(sparse, value.constant_residue);
    sparse.mutable_values()->set_name(name_of(id));
  }
}

void GraphWriter::write_node(const Node& node, onnx::NodeProto& proto) {
  if (!node.residue.empty()) restore(proto, node.residue);
  for (const ValueId id : node.inputs) proto.add_input(name_or_blank(id));
  for (const ValueId id : node.outputs) proto.add_output(name_or_blank(id));
  if (!node.name.empty()) proto.set_name(node.name);
  proto.set_op_type(node.op.type);
  if (plain_domain(proto.domain()) != node.op.domain) proto.set_domain(node.op.domain);
  for (const auto& entry : node.attributes.entries()) {
    write_attribute(
        entry, external_,
        [&](const Graph& body, const std::string& attribute, int index, onnx::GraphProto& into) {
          write_body(node, body, attribute, index, into);
        },
        *proto.add_attribute());
  }
}

void GraphWriter::write_body(const Node& owner, const Graph& body, const std::string& attribute,
                             int index, onnx::GraphProto& proto) {
  Names captured;
  for (const Capture& capture : owner.captures) {
    if (capture.attribute == attribute && capture.index == index) {
      captured[capture.inner] = name_of(capture.outer);
    }
  }
  GraphWriter writer(body, captured, external_, proto);
  writer.write_structure();
  writer.write_initializers();
}

/// Entries of the same value in the same list are matched in order.
void GraphWriter::write_entries() {
  const auto add = [&](auto& list, auto& kept, int position, ValueId id) {
    auto& entry = *list.Add();
    if (position < kept.size()) {
      entry.Swap(kept.Mutable(position));
    } else {
      entry = plain_entry({}, graph_.value(id).type);
    }
    entry.set_name(name_of(id));
  };
  for (const ValueId id : graph_.inputs()) {
    onnx::GraphProto kept = entries_of(graph_.value(id));
    add(*proto_.mutable_input(), *kept.mutable_input(), 0, id);
  }
  std::map<ValueId, int> seen;
  for (const ValueId id : graph_.outputs()) {
    onnx::GraphProto kept = entries_of(graph_.value(id));
    add(*proto_.mutable_output(), *kept.mutable_output(), seen[id]++, id);
  }
  for (const ValueId id : graph_.values()) {
    if (!graph_.value(id).listed) continue;
    onnx::GraphProto kept = entries_of(graph_.value(id));
    add(*proto_.mutable_value_info(), *kept.mutable_value_info(), 0, id);
  }
}

std::vector<PendingInitializer> GraphWriter::pending_initializers() {
  std::vector<PendingInitializer> pending;
  for (const ValueId id : graph_.values()) {
    const Value& value = graph_.value(id);
    if (value.constant == nullptr) continue;
    onnx::TensorProto proto;
    const auto raw = describe_tensor(*value.constant, value.constant_residue, external_, proto);
    proto.set_name(name_of(id));
    // An empty raw_data is worth writing too: it tells where the elements would be.
    if (raw && raw->empty()) proto.set_raw_data("");
    pending.push_back({serialized(proto), raw.value_or(std::string_view())});
  }
  return pending;
}

void GraphWriter::write_initializers() {
  for (const ValueId id : graph_.values()) {
    const Value& value = graph_.value(id);
    if (value.constant == nullptr) continue;
    auto& proto = *proto_.add_initializer();
    write_tensor(*value.constant, value.constant_residue, external_, proto);
    proto.set_name(name_of(id));
  }
}

}  // namespace

std::vector<PendingInitializer> write_graph(const Graph& graph, ExternalWriter* external,
                                            onnx::GraphProto& proto) {
  GraphWriter writer(graph, {}, external, proto);
  writer.write_structure();
  return writer.pending_initializers();
}

}  // namespace qtool
