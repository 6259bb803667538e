// SPDX-License-Identifier: Apache-2.0
#include "onnx_io/read_graph.h"

#include <onnx/onnx_pb.h>

#include <set>

#include "onnx_io/attribute.h"
#include "onnx_io/external_data.h"
#include "onnx_io/onnx_io.h"
#include "onnx_io/tensor_proto.h"
#include "onnx_io/value_info.h"
#include "onnx_io/wire.h"

namespace qtool {

namespace {

/// Reads one graph. Names are declared first and looked up afterwards, so that the order of nodes
/// in the file does not matter and a body finds what the graphs around it define.
class GraphReader {
 public:
  GraphReader(onnx::GraphProto& proto, ExternalReader& files, GraphReader* outer)
      : proto_(proto), files_(files), outer_(outer),
        depth_(outer == nullptr ? 0 : outer->depth_ + 1) {}

  Graph read();

 private:
  ValueId declare(const std::string& name, const std::string& role);
  void declare_inputs();
  void declare_initializers();
  void declare_sparse_initializers();
  void declare_node_outputs();
  void read_node(onnx::NodeProto& proto);
  void read_attributes(onnx::NodeProto& proto, Node& node);
  SubgraphPtr read_body(onnx::GraphProto& body, const std::string& attribute, int index,
                        Node& owner);
  void read_outputs();
  void read_value_infos();

  /// Also finds values of outer graphs, which this graph then captures.
  std::optional<ValueId> resolve(const std::string& name);

  onnx::GraphProto& proto_;
  ExternalReader& files_;
  GraphReader* outer_;
  int depth_;
  Graph graph_;
  std::map<ValueId, onnx::GraphProto> entries_;
};

std::string quoted(const std::string& name) { return '"' + name + '"'; }

std::string describe(const onnx::NodeProto& node) {
  if (!node.name().empty()) return "node " + node.op_type() + ' ' + quoted(node.name());
  for (const std::string& output : node.output()) {
    if (!output.empty()) return "node " + node.op_type() + " that makes " + quoted(output);
  }
  return "node " + node.op_type();
}

Graph GraphReader::read() {
  if (depth_ > kMaxSubgraphDepth) {
    throw input_error("graphs are nested deeper than " + std::to_string(kMaxSubgraphDepth));
  }
  graph_.name = proto_.name();
  if (!proto_.name().empty()) proto_.clear_name();
  declare_inputs();
  declare_initializers();
  declare_sparse_initializers();
  declare_node_outputs();
  for (auto& node : *proto_.mutable_node()) {
    within_frame([&, text = describe(node)] { return text; }, [&] { read_node(node); });
  }
  proto_.clear_node();
  read_outputs();
  read_value_infos();
  for (auto& [id, entries] : entries_) settle_entries(entries, graph_.annotations(id));
  graph_.residue = serialized(proto_);
  graph_.topological_order();  // throws where there is a cycle
  return std::move(graph_);
}

ValueId GraphReader::declare(const std::string& name, const std::string& role) {
  if (name.empty()) throw input_error("a value has no name: " + role);
  if (graph_.find_value(name)) {
    throw input_error(
        "the value " + quoted(name) + " is defined twice, the second time as " + role,
        "A value has one origin: an input, an initializer or one output of one node.");
  }
  return graph_.add_value(name);
}

void GraphReader::declare_inputs() {
  for (auto& entry : *proto_.mutable_input()) {
    const ValueId id = declare(entry.name(), "graph input");
    graph_.add_input(id);
    entry.Swap(entries_[id].add_input());
  }
  proto_.clear_input();
}

void GraphReader::declare_initializers() {
  for (auto& proto : *proto_.mutable_initializer()) {
    const std::string name = proto.name();
    const std::optional<ValueId> known = graph_.find_value(name);
    // Listed among the inputs too: required up to IR 3, a default for the input since.
    const bool input =
        known && entries_.contains(*known) && graph_.value(*known).constant == nullptr;
    const ValueId id = input ? *known : declare(name, "initializer");
    TensorAttribute taken = within_frame([&] { return "initializer " + quoted(name); },
                                         [&] { return take_tensor(proto, files_); });
    Value& value = graph_.annotations(id);
    value.type = TensorType(taken.tensor->dtype(), taken.tensor->shape());
    value.constant = std::move(taken.tensor);
    value.constant_residue = std::move(taken.residue);
  }
  proto_.clear_initializer();
}

void GraphReader::declare_sparse_initializers() {
  for (auto& proto : *proto_.mutable_sparse_initializer()) {
    const ValueId id = declare(proto.values().name(), "sparse initializer");
    proto.mutable_values()->clear_name();
    graph_.annotations(id).constant_residue = serialized(proto);
  }
  proto_.clear_sparse_initializer();
}

void GraphReader::declare_node_outputs() {
  for (const auto& node : proto_.node()) {
    for (const std::string& output : node.output()) {
      if (!output.empty()) declare(output, "output of " + describe(node));
    }
  }
}

std::optional<ValueId> GraphReader::resolve(const std::string& name) {
  const std::optional<ValueId> own = graph_.find_value(name);
  if (own || outer_ == nullptr || name.empty() || !outer_->resolve(name)) return own;
  const ValueId id = graph_.add_value(name);
  graph_.annotations(id).captured = true;
  return id;
}

void GraphReader::read_node(onnx::NodeProto& proto) {
  if (proto.op_type().empty()) throw input_error("it has no op type");
  Node node;
  node.op = {plain_domain(proto.domain()), proto.op_type()};
  node.name = proto.name();
  for (const std::string& input : proto.input()) {
    const std::optional<ValueId> id = resolve(input);
    if (!id && !input.empty()) {
      throw input_error("it reads the value " + quoted(input) + ", which nothing defines");
    }
    node.inputs.push_back(id.value_or(ValueId::none));
  }
  for (const std::string& output : proto.output()) {
    node.outputs.push_back(graph_.find_value(output).value_or(ValueId::none));
  }
  read_attributes(proto, node);
  proto.clear_input();
  proto.clear_output();
  proto.clear_attribute();
  proto.clear_op_type();
  // What is left of name and domain tells a field that was set to "" or to the long form.
  if (!node.name.empty()) proto.clear_name();
  if (!node.op.domain.empty()) proto.clear_domain();
  node.residue = serialized(proto);
  graph_.add_node(std::move(node));
}

void GraphReader::read_attributes(onnx::NodeProto& proto, Node& node) {
  std::set<std::string> seen;
  for (auto& attribute : *proto.mutable_attribute()) {
    const std::string name = attribute.name();
    if (name.empty()) throw input_error("an attribute has no name");
    if (!seen.insert(name).second)
      throw input_error("it has the attribute " + quoted(name) + " twice");
    within_frame(
        [&] { return "attribute " + quoted(name); },
        [&] {
          node.attributes.append(take_attribute(
              attribute, files_, [&](onnx::GraphProto& body, const std::string& owner, int index) {
                return read_body(body, owner, index, node);
              }));
        });
  }
}

SubgraphPtr GraphReader::read_body(onnx::GraphProto& body, const std::string& attribute, int index,
                                   Node& owner) {
  auto graph = std::make_shared<const Graph>(GraphReader(body, files_, this).read());
  for (const ValueId inner : graph->values()) {
    const Value& value = graph->value(inner);
    if (value.captured) owner.captures.push_back({attribute, index, inner, *resolve(value.name)});
  }
  return graph;
}

void GraphReader::read_outputs() {
  for (auto& entry : *proto_.mutable_output()) {
    const std::optional<ValueId> id = resolve(entry.name());
    if (!id)
      throw input_error("the graph's output " + quoted(entry.name()) + " is made by nothing");
    graph_.add_output(*id);
    entry.Swap(entries_[*id].add_output());
  }
  proto_.clear_output();
}

/// Entries for values that the graph does not have, or a second one for the same, stay behind.
void GraphReader::read_value_infos() {
  onnx::GraphProto left;
  for (auto& entry : *proto_.mutable_value_info()) {
    const std::optional<ValueId> id = graph_.find_value(entry.name());
    const bool fits = id && entries_[*id].value_info_size() == 0;
    entry.Swap(fits ? entries_[*id].add_value_info() : left.add_value_info());
  }
  proto_.mutable_value_info()->Swap(left.mutable_value_info());
}

}  // namespace

Graph read_graph(onnx::GraphProto& proto, ExternalReader& files) {
  return GraphReader(proto, files, nullptr).read();
}

}  // namespace qtool
