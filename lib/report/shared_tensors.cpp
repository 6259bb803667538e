// SPDX-License-Identifier: Apache-2.0
#include "report/shared_tensors.h"

#include <algorithm>
#include <map>
#include <set>

namespace qtool {

namespace {

/// Links of a chain that one kernel may compute: an activation or two, an addition.
constexpr int kLongestChain = 4;

/// What insert_qdq adds to a tensor's name for its codes.
constexpr std::string_view kCodesSuffix = "_quantized";

class Pairing {
 public:
  Pairing(const Graph& reference, const Graph& candidate, const OpRegistry& ops)
      : reference_(reference), candidate_(candidate), ops_(ops),
        facts_(infer_facts(candidate, ops)) {}

  std::vector<SharedTensor> run() {
    const std::vector<NodeId> order = candidate_.topological_order();
    for (const NodeId id : order) {
      if (role(id) == QdqRole::quantize) add_quantized(id);
    }
    for (const NodeId id : order) {
      for (const ValueId value : candidate_.node(id).outputs) {
        if (value != ValueId::none) add_float(value);
      }
    }
    std::map<NodeId, size_t> place;
    for (const NodeId id : order) place.emplace(id, place.size() + 1);
    const auto when = [&](const SharedTensor& tensor) {
      const NodeId producer = candidate_.value(tensor.source).producer;
      return producer == NodeId::none ? 0 : place.at(producer);
    };
    std::stable_sort(found_.begin(), found_.end(),
                     [&](const auto& a, const auto& b) { return when(a) < when(b); });
    return std::move(found_);
  }

 private:
  QdqRole role(NodeId id) const {
    const OpDef* def = ops_.find(candidate_.node(id), candidate_.model);
    return def == nullptr ? QdqRole::none : def->qdq;
  }

  std::optional<ValueId> counterpart(const std::string& name) const {
    const auto value = reference_.find_value(name);
    if (!value || reference_.value(*value).constant != nullptr) return std::nullopt;
    return value;
  }

  SharedTensor described(const std::string& name, ValueId reference, ValueId source) const {
    SharedTensor tensor;
    tensor.name = name;
    tensor.reference = reference;
    tensor.source = source;
    const NodeId producer = candidate_.value(source).producer;
    if (producer == NodeId::none) return tensor;
    tensor.node = candidate_.node(producer).name;
    tensor.op = to_string(candidate_.node(producer).op);
    return tensor;
  }

  /// Narrow grids in 8-bit codes end at a Clip in front of the codes.
  Range let_through(ValueId source, Range range) const {
    const NodeId producer = candidate_.value(source).producer;
    if (producer == NodeId::none) return range;
    const OpDef* def = ops_.find(candidate_.node(producer), candidate_.model);
    if (def == nullptr || def->post_op == nullptr) return range;
    const auto op = def->post_op(NodeView(candidate_, producer, facts_, candidate_.model.opset()));
    if (!op || op->kind != PostOp::Kind::clip) return range;
    return {std::max(range.low, op->alpha), std::min(range.high, op->beta)};
  }

  void add_quantized(NodeId quantizer) {
    const Node& node = candidate_.node(quantizer);
    if (node.inputs.empty() || node.outputs.empty() || node.outputs[0] == ValueId::none) return;
    const ValueId source = node.inputs[0];
    const ValueId codes = node.outputs[0];
    if (source == ValueId::none || facts_[source].constant != nullptr) return;
    const auto params =
        constant_params(NodeView(candidate_, quantizer, facts_, candidate_.model.opset()));
    if (!params || !params->per_tensor()) return;
    // A graph output keeps its name behind the DequantizeLinear.
    std::vector<ValueId> names{source};
    for (const Use& use : candidate_.value(codes).uses) {
      if (use.slot == 0 && role(use.node) == QdqRole::dequantize)
        names.push_back(candidate_.node(use.node).outputs.at(0));
    }
    std::vector<std::string> known;
    for (const ValueId id : names) known.push_back(candidate_.value(id).name);
    // In QOperator form there are no floats that could have the name.
    const std::string& coded = candidate_.value(codes).name;
    if (coded.ends_with(kCodesSuffix))
      known.push_back(coded.substr(0, coded.size() - kCodesSuffix.size()));
    for (const std::string& name : known) {
      const auto reference = counterpart(name);
      if (!reference || !taken_.insert(name).second) continue;
      SharedTensor tensor = described(name, *reference, source);
      tensor.candidate = codes;
      tensor.params = *params;
      tensor.represented = let_through(source, params->representable());
      tensor.quantizer = quantizer;
      found_.push_back(std::move(tensor));
      return;
    }
  }

  void add_float(ValueId value) {
    const std::string& name = candidate_.value(value).name;
    const auto reference = counterpart(name);
    if (!reference || taken_.contains(name) || facts_[value].constant != nullptr) return;
    const DType dtype = facts_[value].type.dtype;
    if (dtype != DType::float32 || waits_for_codes(value)) return;
    taken_.insert(name);
    SharedTensor tensor = described(name, *reference, value);
    tensor.candidate = value;
    found_.push_back(std::move(tensor));
  }

  bool waits_for_codes(ValueId value) const {
    for (int i = 0; i < kLongestChain; ++i) {
      const auto& uses = candidate_.value(value).uses;
      if (uses.size() != 1 || candidate_.is_output(value) || uses[0].slot >= kCaptureSlot)
        return false;
      if (role(uses[0].node) == QdqRole::quantize) return true;
      const Node& next = candidate_.node(uses[0].node);
      if (next.outputs.size() != 1) return false;
      value = next.outputs[0];
    }
    return false;
  }

  const Graph& reference_;
  const Graph& candidate_;
  const OpRegistry& ops_;
  Facts facts_;
  std::set<std::string> taken_;
  std::vector<SharedTensor> found_;
};

}  // namespace

std::vector<SharedTensor> shared_tensors(const Graph& reference, const Graph& candidate,
                                         const OpRegistry& ops) {
  return Pairing(reference, candidate, ops).run();
}

CutGraph cut_at(const Graph& candidate, const std::vector<SharedTensor>& tensors) {
  CutGraph cut{candidate, std::vector<std::string>(tensors.size())};
  Graph& graph = cut.graph;
  std::map<ValueId, ValueId> fed;  // by source: two quantizers of one tensor read the same floats
  for (size_t i = 0; i < tensors.size(); ++i) {
    const SharedTensor& tensor = tensors[i];
    if (graph.value(tensor.source).producer == NodeId::none) continue;  // an input is fed anyway
    ValueId& input = fed.try_emplace(tensor.source, ValueId::none).first->second;
    if (input == ValueId::none) {
      input = graph.add_value(graph.unique_name(tensor.name + "_as_float"),
                              TensorType(DType::float32, std::nullopt));
      graph.add_input(input);
    }
    cut.inputs[i] = graph.value(input).name;
    if (tensor.quantizer == NodeId::none) continue;
    // The codes that are looked at come from the layer, those that are read from the input.
    Node again = graph.node(tensor.quantizer);
    again.name = graph.unique_name(again.name + "_of_float");
    again.inputs[0] = input;
    const ValueId codes = graph.add_value(graph.unique_name(tensor.name + "_float_codes"));
    again.outputs = {codes};
    graph.replace_uses(tensor.candidate, codes);
    graph.add_node(std::move(again));
  }
  std::set<NodeId> quantizers;
  for (const SharedTensor& tensor : tensors) quantizers.insert(tensor.quantizer);
  for (const auto& [source, input] : fed) {
    std::vector<Use> readers;
    for (const Use& use : graph.value(source).uses) {
      if (!(use.slot == 0 && quantizers.contains(use.node))) readers.push_back(use);
    }
    if (!readers.empty()) graph.replace_uses(source, input, readers);
  }
  return cut;
}

}  // namespace qtool
