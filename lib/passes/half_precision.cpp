// SPDX-License-Identifier: Apache-2.0
#include "passes/half_precision.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>

#include "ir/fresh_names.h"

namespace qtool {

namespace {

constexpr float kLargestHalf = 65504;
constexpr float kLeastHalf = 0x1p-24F;  ///< half of it and less becomes 0

/// Ops of ai.onnx that have no float16 form in some opset from 13 on, or (normalization of mean and
/// variance) none in ONNX Runtime.
const std::set<std::string, std::less<>> kFloatOnly = {
    "Celu",
    "CumSum",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "IsInf",
    "MeanVarianceNormalization",
    "MelWeightMatrix",
    "NonMaxSuppression",
    "QLinearConv",
    "QLinearMatMul",
    "QuantizeLinear",
    "Range",
};

/// An input that is float32 whatever the others are.
bool is_float_slot(const Node& node, size_t slot) {
  return (node.op.type == "Resize" && slot == 2) || (node.op.type == "Upsample" && slot == 1);
}

bool has_bodies(const Node& node) {
  return std::ranges::any_of(node.attributes.entries(), [](const Attributes::Entry& entry) {
    return std::holds_alternative<SubgraphPtr>(entry.value);
  });
}

struct Magnitudes {
  float largest = 0;
  int64_t vanishing = 0;  ///< elements other than 0 that become 0
};

Magnitudes magnitudes(const Tensor& tensor) {
  Magnitudes result;
  for (const float x : tensor.data<float>()) {
    const float size = std::abs(x);
    if (std::isfinite(size)) result.largest = std::max(result.largest, size);
    if (size > 0 && size <= kLeastHalf / 2) ++result.vanishing;
  }
  return result;
}

class Halving {
 public:
  Halving(Graph& graph, const OpRegistry& ops, const HalfOptions& options)
      : graph_(graph), ops_(ops), options_(options), facts_(infer_facts(graph, ops)), names_(graph),
        stays_(graph.node_id_bound(), true) {}

  ModeReport run() {
    const std::vector<NodeId> order = graph_.topological_order();
    for (const NodeId id : order) decide(id);
    for (const ValueId id : graph_.required_inputs()) halve_input(id);
    for (const NodeId id : order) {
      if (!stays_[static_cast<size_t>(id)]) halve(id);
    }
    for (const ValueId id : now_half_) restore_for_float_readers(id);
    graph_.erase_dead();
    check_types();
    if (vanished_ > 0) {
      report_.notes.push_back(fmt::format(
          "{} weights are smaller than half of the least float16, 6e-8: now 0", vanished_));
    }
    return std::move(report_);
  }

 private:
  bool is_float(ValueId id) const {
    return id != ValueId::none && facts_[id].type.dtype == DType::float32;
  }

  /// An integer that may be an extent or an index.
  bool is_count(ValueId id) const {
    const DType dtype = facts_[id].type.dtype;
    return dtype == DType::int32 || dtype == DType::int64 || dtype == DType::uint32 ||
           dtype == DType::uint64 || dtype == DType::int16 || dtype == DType::uint16;
  }

  // ---- what stays -------------------------------------------------------------------------------

  void decide(NodeId id) {
    const Node& node = graph_.node(id);
    const bool touches = std::ranges::any_of(node.inputs, [&](ValueId v) { return is_float(v); }) ||
                         std::ranges::any_of(node.outputs, [&](ValueId v) { return is_float(v); });
    if (!touches && !has_bodies(node)) return;
    std::string reason = why_float(id);
    if (reason.empty()) {
      stays_[static_cast<size_t>(id)] = false;
      ++report_.converted;
    } else {
      report_.kept.emplace_back(graph_.describe(id), std::move(reason));
    }
  }

  std::string why_float(NodeId id) const {
    const Node& node = graph_.node(id);
    const auto at = static_cast<size_t>(id);
    if (at < options_.excluded.size() && !options_.excluded[at].empty())
      return options_.excluded[at];
    if (has_bodies(node)) return node.op.type + " has bodies";
    if (!node.op.domain.empty() || ops_.find(node, graph_.model) == nullptr)
      return fmt::format("qtool does not know that {} takes float16", to_string(node.op));
    const bool reads_float32 =
        std::ranges::any_of(node.inputs, [&](ValueId v) { return is_float(v); });
    if (!reads_float32 && node.op.type != "Cast") return "it makes float32 of other types";
    if (kFloatOnly.contains(node.op.type)) return node.op.type + " has no float16 form";
    if (node.op.type == "Cast" && (is_count(node.inputs[0]) || is_count(node.outputs[0])))
      return "float16 has no whole numbers beyond 2048";
    if (node.op.type == "LayerNormalization" && node.outputs.size() > 1)
      return "its statistics are float32";
    for (const ValueId value : node.inputs) {
      if (auto reason = value_problem(value); !reason.empty()) return reason;
    }
    for (const ValueId value : node.outputs) {
      if (auto reason = value_problem(value); !reason.empty()) return reason;
      if (value != ValueId::none && facts_[value].type.dtype == DType::undefined)
        return "the type of its result is not known";
      if (value != ValueId::none && is_captured(value)) return "a body reads its result";
    }
    return {};
  }

  bool is_captured(ValueId id) const {
    return std::ranges::any_of(graph_.value(id).uses,
                               [](const Use& use) { return use.slot >= kCaptureSlot; });
  }

  std::string value_problem(ValueId id) const {
    if (!is_float(id)) return {};
    const std::string& name = graph_.value(id).name;
    float largest = 0;
    if (const Constant constant = graph_.constant(id)) {
      const Magnitudes found = magnitudes(*constant);
      if (constant->size() == 1 && found.vanishing > 0)
        return fmt::format("its constant {} would be 0", constant->data<float>()[0]);
      largest = found.largest;
    } else if (const auto seen = options_.largest.find(name); seen != options_.largest.end()) {
      largest = seen->second;
    }
    if (largest <= kLargestHalf) return {};
    return fmt::format("\"{}\" reaches {:.6g}, float16 ends at 65504", name, largest);
  }

  // ---- the edit ---------------------------------------------------------------------------------

  bool reads_float(const Use& use) const {
    if (use.slot >= kCaptureSlot || stays_[static_cast<size_t>(use.node)]) return true;
    return is_float_slot(graph_.node(use.node), static_cast<size_t>(use.slot));
  }
  bool has_float_reader(ValueId id) const {
    return std::ranges::any_of(graph_.value(id).uses,
                               [&](const Use& use) { return reads_float(use); });
  }

  void add_cast(ValueId from, ValueId to, DType dtype) {
    Node node;
    node.name = names_.take(graph_.value(to).name + "_cast");
    node.op = {"", "Cast"};
    node.attributes.set("to", static_cast<int64_t>(dtype));
    node.inputs = {from};
    node.outputs = {to};
    graph_.add_node(std::move(node));
  }

  void make_half(ValueId id) {
    graph_.set_type(id, {DType::float16, graph_.value(id).type.shape});
    half_.emplace(id, id);
    now_half_.push_back(id);
  }

  void halve_input(ValueId id) {
    if (options_.half_io && is_float(id) && graph_.constant(id) == nullptr && !is_captured(id))
      make_half(id);
  }

  ValueId half_of(ValueId id) {
    if (const auto found = half_.find(id); found != half_.end()) return found->second;
    const Value& value = graph_.value(id);
    if (const Constant constant = graph_.constant(id)) {
      vanished_ += magnitudes(*constant).vanishing;
      Constant halves = make_constant(cast(*constant, DType::float16));
      const bool alone = !has_float_reader(id) && !graph_.is_output(id) && !graph_.is_input(id);
      if (alone) {
        graph_.set_constant(id, std::move(halves));
        half_.emplace(id, id);
        return id;
      }
      return half_.emplace(id, graph_.add_constant(names_.take(value.name + "_half"), halves))
          .first->second;
    }
    const ValueId copy =
        graph_.add_value(names_.take(value.name + "_half"), {DType::float16, value.type.shape});
    add_cast(id, copy, DType::float16);
    return half_.emplace(id, copy).first->second;
  }

  void halve(NodeId id) {
    const std::vector<ValueId> inputs = graph_.node(id).inputs;
    for (size_t slot = 0; slot < inputs.size(); ++slot) {
      if (is_float(inputs[slot]) && !is_float_slot(graph_.node(id), slot))
        graph_.set_input(id, static_cast<int>(slot), half_of(inputs[slot]));
    }
    halve_cast(id);
    const std::vector<ValueId> outputs = graph_.node(id).outputs;
    for (size_t slot = 0; slot < outputs.size(); ++slot) {
      if (!is_float(outputs[slot])) continue;
      if (graph_.is_output(outputs[slot]) && !options_.half_io) {
        const Value& value = graph_.value(outputs[slot]);
        const ValueId inner =
            graph_.add_value(names_.take(value.name + "_half"), {DType::float16, value.type.shape});
        graph_.set_output(id, static_cast<int>(slot), inner);
        add_cast(inner, outputs[slot], DType::float32);
        half_.emplace(outputs[slot], inner);
      } else {
        make_half(outputs[slot]);
      }
    }
  }

  /// Of a Cast to float32.
  void halve_cast(NodeId id) {
    if (graph_.node(id).op.type != "Cast") return;
    if (graph_.node(id).attributes.integer("to", 0) == static_cast<int64_t>(DType::float32))
      graph_.attributes(id).set("to", static_cast<int64_t>(DType::float16));
  }

  /// Readers that stay in float32 get a copy of what is float16 now.
  void restore_for_float_readers(ValueId id) {
    std::vector<Use> readers;
    std::ranges::copy_if(graph_.value(id).uses, std::back_inserter(readers),
                         [&](const Use& use) { return reads_float(use); });
    if (readers.empty()) return;
    const ValueId copy = graph_.add_value(names_.take(graph_.value(id).name + "_float"),
                                          {DType::float32, graph_.value(id).type.shape});
    graph_.replace_uses(id, copy, readers);
    add_cast(id, copy, DType::float32);
  }

  void check_types() const {
    const Facts now = infer_facts(graph_, ops_);
    for (const ValueId id : graph_.values()) {
      const DType inferred = now[id].type.dtype;
      const DType declared = graph_.value(id).type.dtype;
      QTOOL_CHECK(
          inferred == DType::undefined || declared == DType::undefined || inferred == declared,
          "float16: the type of " + graph_.value(id).name);
    }
  }

  Graph& graph_;
  const OpRegistry& ops_;
  const HalfOptions& options_;
  Facts facts_;
  FreshNames names_;
  std::vector<bool> stays_;          ///< by node id
  std::map<ValueId, ValueId> half_;  ///< the float16 form of a value, itself or a copy
  std::vector<ValueId> now_half_;    ///< values that became float16 themselves
  int64_t vanished_ = 0;
  ModeReport report_;
};

}  // namespace

ModeReport to_float16(Graph& graph, const OpRegistry& ops, const HalfOptions& options) {
  return Halving(graph, ops, options).run();
}

}  // namespace qtool
