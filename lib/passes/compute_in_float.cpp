// SPDX-License-Identifier: Apache-2.0
// before: %x: float16 -> %y: float16 = Conv(%x, %w: float16)
// after:  %x: float16 -> %x_float = Cast(%x); %y_float = Conv(%x_float, %w: float);
//         %y: float16 = Cast(%y_float)
// when:   a value is float16 or bfloat16, in the graph or in a body; the graph's inputs and outputs
//         keep their names and types, all else becomes float32
// maths:  every half is a float32, so nothing is lost but the rounding of intermediate results; a
//         Cast to halves and back in between rounds no more. Float64 is left: the references
//         compute in it.
#include <algorithm>
#include <map>

#include "passes/passes.h"

namespace qtool {

namespace {

bool is_half_type(DType dtype) { return dtype == DType::float16 || dtype == DType::bfloat16; }

/// Attributes that name the element type of a result.
constexpr std::string_view kTypeAttributes[] = {"to", "dtype", "output_datatype"};

/// One graph and its bodies.
class Widening {
 public:
  explicit Widening(Graph& graph) : graph_(graph) {}

  /// Constants, types and attributes; returns how many were changed.
  int widen() {
    for (const ValueId id : graph_.values()) widen_value(id);
    for (const NodeId id : graph_.nodes()) widen_node(id);
    return changed_;
  }

 private:
  void widen_value(ValueId id) {
    const Value& value = graph_.value(id);
    if (value.constant != nullptr && is_half_type(value.constant->dtype())) {
      const bool listed = value.listed;
      graph_.set_constant(id, make_constant(cast(*value.constant, DType::float32)));
      graph_.annotations(id).listed = listed;
      ++changed_;
    } else if (is_half_type(value.type.dtype)) {
      graph_.set_type(id, {DType::float32, value.type.shape});
      ++changed_;
    }
  }

  void widen_node(NodeId id) {
    // What is set while entries are walked would move them.
    const auto view = graph_.node(id).attributes.entries();
    const std::vector<Attributes::Entry> entries(view.begin(), view.end());
    for (const Attributes::Entry& entry : entries) {
      if (const auto* number = std::get_if<int64_t>(&entry.value)) {
        const bool names_type =
            std::ranges::find(kTypeAttributes, entry.name) != std::end(kTypeAttributes);
        if (!names_type || (*number != static_cast<int64_t>(DType::float16) &&
                            *number != static_cast<int64_t>(DType::bfloat16))) {
          continue;
        }
        set(id, entry.name, static_cast<int64_t>(DType::float32));
      } else if (const auto* tensor = std::get_if<TensorAttribute>(&entry.value)) {
        if (tensor->tensor == nullptr || !is_half_type(tensor->tensor->dtype())) continue;
        set(id, entry.name,
            TensorAttribute{make_constant(cast(*tensor->tensor, DType::float32)), tensor->name,
                            ""});
      } else if (const auto* body = std::get_if<SubgraphPtr>(&entry.value)) {
        Graph copy = **body;
        if (Widening(copy).widen() == 0) continue;
        set(id, entry.name, std::make_shared<const Graph>(std::move(copy)));
      }
    }
  }

  void set(NodeId id, const std::string& name, Attribute value) {
    graph_.attributes(id).set(name, std::move(value));
    ++changed_;
  }

  Graph& graph_;
  int changed_ = 0;
};

void add_cast(Graph& graph, ValueId from, ValueId to, DType dtype) {
  Node node;
  node.op = {"", "Cast"};
  node.name = graph.unique_name(graph.value(to).name + "_cast");
  node.attributes.set("to", static_cast<int64_t>(dtype));
  node.inputs = {from};
  node.outputs = {to};
  graph.add_node(std::move(node));
}

ValueId add_float_copy(Graph& graph, ValueId id) {
  return graph.add_value(graph.unique_name(graph.value(id).name + "_float"),
                         {DType::float32, graph.value(id).type.shape});
}

/// Everything inside reads a float copy of the input.
void convert_input(Graph& graph, ValueId id) {
  const ValueId inner = add_float_copy(graph, id);
  graph.replace_uses(id, inner);
  add_cast(graph, id, inner, DType::float32);
}

/// What makes the output makes a float value instead, of which the output is a copy.
void convert_output(Graph& graph, ValueId id, DType dtype) {
  const ValueId inner = add_float_copy(graph, id);
  graph.replace_uses(id, inner);
  if (const Constant constant = graph.value(id).constant) {
    graph.set_constant(inner, constant);
    graph.set_constant(id, nullptr);
  } else {
    graph.set_output(graph.value(id).producer, graph.value(id).producer_slot, inner);
  }
  add_cast(graph, inner, id, dtype);
  graph.set_type(id, {dtype, graph.value(id).type.shape});
}

class ComputeInFloat final : public Pass {
 public:
  std::string_view name() const override { return "compute_in_float"; }

  int run(Graph& graph, const PassContext& context) const override {
    if (!has_halves(graph)) return 0;
    // The type of an output that the file does not declare follows from its producer.
    const Facts facts = infer_facts(graph, context.ops);
    std::map<ValueId, DType> inputs;
    std::map<ValueId, DType> outputs;
    for (const ValueId id : graph.required_inputs()) {
      if (is_half_type(facts[id].type.dtype)) inputs.emplace(id, facts[id].type.dtype);
    }
    for (const ValueId id : graph.outputs()) {
      const bool made = graph.value(id).producer != NodeId::none || graph.constant(id) != nullptr;
      if (made && is_half_type(facts[id].type.dtype)) outputs.emplace(id, facts[id].type.dtype);
    }
    const int changed = Widening(graph).widen();
    for (const auto& [id, dtype] : outputs) convert_output(graph, id, dtype);
    for (const auto& [id, dtype] : inputs) {
      graph.set_type(id, {dtype, graph.value(id).type.shape});
      convert_input(graph, id);
    }
    return changed;
  }

 private:
  static bool has_halves(const Graph& graph) {
    const bool value = std::ranges::any_of(graph.values(), [&](ValueId id) {
      const Value& v = graph.value(id);
      return is_half_type(v.type.dtype) ||
             (v.constant != nullptr && is_half_type(v.constant->dtype()));
    });
    return value || std::ranges::any_of(graph.nodes(), [&](NodeId id) {
             return std::ranges::any_of(
                 graph.node(id).attributes.entries(), [](const Attributes::Entry& entry) {
                   const auto* number = std::get_if<int64_t>(&entry.value);
                   const auto* body = std::get_if<SubgraphPtr>(&entry.value);
                   const bool cast_to_half =
                       number != nullptr && entry.name == "to" && (*number == 10 || *number == 16);
                   return cast_to_half || (body != nullptr && has_halves(**body));
                 });
           });
  }
};

}  // namespace

PassPtr compute_in_float() { return std::make_shared<ComputeInFloat>(); }

}  // namespace qtool
