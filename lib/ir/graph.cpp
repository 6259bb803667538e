// SPDX-License-Identifier: Apache-2.0
#include "ir/graph.h"

#include <algorithm>
#include <set>

#include "support/checked.h"

namespace qtool {

namespace {

size_t index(NodeId id) { return static_cast<size_t>(id); }
size_t index(ValueId id) { return static_cast<size_t>(id); }

template <class Visit>
void for_each_subgraph(const Node& node, const Visit& visit) {
  for (const auto& entry : node.attributes.entries()) {
    if (const auto* one = std::get_if<SubgraphPtr>(&entry.value)) visit(**one);
    if (const auto* many = std::get_if<std::vector<SubgraphPtr>>(&entry.value)) {
      for (const SubgraphPtr& graph : *many) visit(*graph);
    }
  }
}

bool mentions(const Graph& graph, std::string_view name) {
  if (graph.find_value(name)) return true;
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (node.name == name) return true;
    bool inside = false;
    for_each_subgraph(node, [&](const Graph& body) { inside = inside || mentions(body, name); });
    if (inside) return true;
  }
  return false;
}

}  // namespace

const Node& Graph::node(NodeId id) const {
  QTOOL_CHECK(has(id), "node " + std::to_string(index(id)));
  return nodes_[index(id)].node;
}
const Value& Graph::value(ValueId id) const {
  QTOOL_CHECK(has(id), "value " + std::to_string(index(id)));
  return values_[index(id)].value;
}
Node& Graph::mutable_node(NodeId id) { return const_cast<Node&>(std::as_const(*this).node(id)); }
Value& Graph::mutable_value(ValueId id) {
  return const_cast<Value&>(std::as_const(*this).value(id));
}

bool Graph::has(NodeId id) const { return index(id) < nodes_.size() && nodes_[index(id)].alive; }
bool Graph::has(ValueId id) const { return index(id) < values_.size() && values_[index(id)].alive; }

std::vector<NodeId> Graph::nodes() const {
  std::vector<NodeId> ids;
  ids.reserve(live_nodes_);
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i].alive) ids.push_back(static_cast<NodeId>(i));
  }
  return ids;
}

std::vector<ValueId> Graph::values() const {
  std::vector<ValueId> ids;
  for (size_t i = 0; i < values_.size(); ++i) {
    if (values_[i].alive) ids.push_back(static_cast<ValueId>(i));
  }
  return ids;
}

std::optional<ValueId> Graph::find_value(std::string_view wanted) const {
  const auto found = by_name_.find(wanted);
  if (found == by_name_.end()) return std::nullopt;
  return found->second;
}

bool Graph::is_output(ValueId id) const {
  return std::ranges::find(outputs_, id) != outputs_.end();
}
bool Graph::is_input(ValueId id) const { return std::ranges::find(inputs_, id) != inputs_.end(); }

Constant Graph::constant(ValueId id) const {
  const Value& v = value(id);
  if (v.constant == nullptr) return nullptr;
  return model.ir_version < 4 || !is_input(id) ? v.constant : nullptr;
}

std::vector<ValueId> Graph::required_inputs() const {
  std::vector<ValueId> ids;
  for (const ValueId id : inputs_) {
    if (value(id).constant == nullptr) ids.push_back(id);
  }
  return ids;
}

std::vector<NodeId> Graph::topological_order() const {
  enum class State : uint8_t { fresh, open, done };
  std::vector<State> state(nodes_.size(), State::fresh);
  std::vector<NodeId> order;
  order.reserve(live_nodes_);
  struct Frame {
    NodeId node;
    size_t next = 0;
  };
  std::vector<Frame> stack;
  for (size_t root = 0; root < nodes_.size(); ++root) {
    if (!nodes_[root].alive || state[root] != State::fresh) continue;
    stack.push_back({static_cast<NodeId>(root)});
    state[root] = State::open;
    while (!stack.empty()) {
      Frame& frame = stack.back();
      const Node& n = nodes_[index(frame.node)].node;
      const size_t reads = n.inputs.size() + n.captures.size();
      if (frame.next == reads) {
        state[index(frame.node)] = State::done;
        order.push_back(frame.node);
        stack.pop_back();
        continue;
      }
      const size_t slot = frame.next++;
      const ValueId read =
          slot < n.inputs.size() ? n.inputs[slot] : n.captures[slot - n.inputs.size()].outer;
      if (read == ValueId::none) continue;
      const NodeId producer = value(read).producer;
      if (producer == NodeId::none || state[index(producer)] == State::done) continue;
      if (state[index(producer)] == State::open) {
        throw input_error("the graph has a cycle through " + describe(producer));
      }
      state[index(producer)] = State::open;
      stack.push_back({producer});
    }
  }
  return order;
}

std::string Graph::describe(NodeId id) const {
  const Node& n = node(id);
  if (!n.name.empty()) return to_string(n.op) + " \"" + n.name + '"';
  for (const ValueId output : n.outputs) {
    if (output != ValueId::none)
      return to_string(n.op) + " that makes \"" + value(output).name + '"';
  }
  return to_string(n.op);
}

ValueId Graph::add_value(std::string wanted, TensorType type) {
  QTOOL_CHECK(!wanted.empty() && !by_name_.contains(wanted), "value name \"" + wanted + '"');
  const auto id = static_cast<ValueId>(narrow<uint32_t>(values_.size()));
  by_name_.emplace(wanted, id);
  ValueSlot slot;
  slot.value.name = std::move(wanted);
  slot.value.type = std::move(type);
  values_.push_back(std::move(slot));
  return id;
}

ValueId Graph::add_constant(std::string wanted, Constant tensor) {
  const ValueId id = add_value(std::move(wanted), TensorType(tensor->dtype(), tensor->shape()));
  mutable_value(id).constant = std::move(tensor);
  return id;
}

NodeId Graph::add_node(Node added) {
  const auto id = static_cast<NodeId>(narrow<uint32_t>(nodes_.size()));
  for (size_t i = 0; i < added.inputs.size(); ++i) {
    if (added.inputs[i] != ValueId::none) {
      mutable_value(added.inputs[i]).uses.push_back({id, static_cast<int>(i)});
    }
  }
  for (size_t i = 0; i < added.captures.size(); ++i) {
    mutable_value(added.captures[i].outer).uses.push_back({id, kCaptureSlot + static_cast<int>(i)});
  }
  for (size_t i = 0; i < added.outputs.size(); ++i) {
    if (added.outputs[i] == ValueId::none) continue;
    Value& output = mutable_value(added.outputs[i]);
    QTOOL_CHECK(output.producer == NodeId::none, "\"" + output.name + "\" has a producer already");
    output.producer = id;
    output.producer_slot = static_cast<int>(i);
  }
  nodes_.push_back({std::move(added)});
  ++live_nodes_;
  return id;
}

void Graph::add_input(ValueId id) {
  QTOOL_CHECK(has(id), "input");
  inputs_.push_back(id);
}
void Graph::drop_input(ValueId id) { std::erase(inputs_, id); }
void Graph::add_output(ValueId id) {
  QTOOL_CHECK(has(id), "output");
  outputs_.push_back(id);
}

void Graph::drop_use(ValueId id, const Use& use) {
  auto& uses = mutable_value(id).uses;
  const auto found = std::ranges::find(uses, use);
  QTOOL_CHECK(found != uses.end(), "the use is listed");
  uses.erase(found);
}

void Graph::set_input(NodeId id, int slot, ValueId read) {
  Node& n = mutable_node(id);
  ValueId* place = nullptr;
  if (slot >= kCaptureSlot) {
    place = &n.captures.at(static_cast<size_t>(slot - kCaptureSlot)).outer;
  } else {
    if (static_cast<size_t>(slot) >= n.inputs.size()) {
      n.inputs.resize(static_cast<size_t>(slot) + 1, ValueId::none);
    }
    place = &n.inputs[static_cast<size_t>(slot)];
  }
  if (*place != ValueId::none) drop_use(*place, {id, slot});
  *place = read;
  if (read != ValueId::none) mutable_value(read).uses.push_back({id, slot});
}

void Graph::set_output(NodeId id, int slot, ValueId made) {
  Node& n = mutable_node(id);
  if (static_cast<size_t>(slot) >= n.outputs.size()) {
    n.outputs.resize(static_cast<size_t>(slot) + 1, ValueId::none);
  }
  ValueId& place = n.outputs[static_cast<size_t>(slot)];
  if (place != ValueId::none) mutable_value(place).producer = NodeId::none;
  place = made;
  if (made == ValueId::none) return;
  Value& output = mutable_value(made);
  QTOOL_CHECK(output.producer == NodeId::none, "\"" + output.name + "\" has a producer already");
  output.producer = id;
  output.producer_slot = slot;
}

void Graph::set_graph_output(size_t position, ValueId id) {
  QTOOL_CHECK(has(id) && position < outputs_.size(), "graph output");
  outputs_[position] = id;
}

void Graph::set_constant(ValueId id, Constant tensor) {
  Value& v = mutable_value(id);
  if (tensor != nullptr) v.type = TensorType(tensor->dtype(), tensor->shape());
  v.constant = std::move(tensor);
  v.constant_residue.clear();
}

void Graph::set_type(ValueId id, TensorType type) {
  mutable_value(id).type = std::move(type);
  mutable_value(id).type_residue.clear();
}

Attributes& Graph::attributes(NodeId id) { return mutable_node(id).attributes; }
void Graph::set_op(NodeId id, OpKey op) { mutable_node(id).op = std::move(op); }
void Graph::set_node_name(NodeId id, std::string wanted) {
  mutable_node(id).name = std::move(wanted);
}
Value& Graph::annotations(ValueId id) { return mutable_value(id); }

void Graph::replace_uses(ValueId from, ValueId to) {
  const std::vector<Use> all = value(from).uses;
  replace_uses(from, to, all);
}

void Graph::replace_uses(ValueId from, ValueId to, std::span<const Use> only) {
  const std::vector<Use> chosen(only.begin(), only.end());
  for (const Use& use : chosen) {
    QTOOL_CHECK(std::ranges::find(value(from).uses, use) != value(from).uses.end(),
                "use to replace");
    set_input(use.node, use.slot, to);
  }
}

void Graph::erase(NodeId id) {
  Node& n = mutable_node(id);
  for (size_t i = 0; i < n.inputs.size(); ++i) set_input(id, static_cast<int>(i), ValueId::none);
  for (size_t i = 0; i < n.captures.size(); ++i) {
    set_input(id, kCaptureSlot + static_cast<int>(i), ValueId::none);
  }
  for (const ValueId output : n.outputs) {
    if (output != ValueId::none) mutable_value(output).producer = NodeId::none;
  }
  nodes_[index(id)] = {};
  nodes_[index(id)].alive = false;
  --live_nodes_;
}

void Graph::erase(ValueId id) {
  const Value& v = value(id);
  QTOOL_CHECK(v.producer == NodeId::none && v.uses.empty() && !is_output(id) && !is_input(id),
              "\"" + v.name + "\" is still in use");
  by_name_.erase(v.name);
  values_[index(id)] = {};
  values_[index(id)].alive = false;
}

size_t Graph::erase_dead() {
  std::vector<NodeId> work = nodes();
  size_t erased = 0;
  while (!work.empty()) {
    const NodeId id = work.back();
    work.pop_back();
    if (!has(id)) continue;
    const Node n = node(id);
    const bool read = std::ranges::any_of(n.outputs, [&](ValueId output) {
      return output != ValueId::none && (!value(output).uses.empty() || is_output(output));
    });
    if (read) continue;
    erase(id);
    ++erased;
    for (const ValueId input : n.inputs) {
      if (input != ValueId::none && value(input).producer != NodeId::none) {
        work.push_back(value(input).producer);
      }
    }
    for (const Capture& capture : n.captures) {
      if (value(capture.outer).producer != NodeId::none)
        work.push_back(value(capture.outer).producer);
    }
  }
  for (const ValueId id : values()) {
    const Value& v = value(id);
    if (v.producer == NodeId::none && v.uses.empty() && !is_output(id) && !is_input(id)) erase(id);
  }
  return erased;
}

std::string Graph::unique_name(std::string_view stem) const {
  std::string candidate(stem);
  for (int suffix = 1; mentions(*this, candidate); ++suffix) {
    candidate = std::string(stem) + '_' + std::to_string(suffix);
  }
  return candidate;
}

int64_t ModelInfo::opset(std::string_view domain) const {
  const auto found = opsets.find(std::string(domain));
  return found == opsets.end() ? 0 : found->second;
}

}  // namespace qtool
