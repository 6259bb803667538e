// SPDX-License-Identifier: Apache-2.0
// before: %y = my.Block(%x, %w) {alpha=2}, and the model defines my.Block(a, b, c) => (d)
// after:  the function's nodes, a and b being %x and %w, c left out, d being %y
// when:   the op is a function of the model that qtool has no record for, in the graph or in a
//         body; names that are in use get a number; an attribute that refers to one of the
//         function's has the caller's value, else the default, else it is left out
// maths:  none. A function may be written for other opsets than the model: refused where that
//         makes a difference for one of its nodes. A function that calls itself is refused.
#include <algorithm>

#include "onnx_io/functions.h"
#include "ops/body.h"
#include "passes/passes.h"
#include "support/text.h"

namespace qtool {

namespace {

/// Nodes that calls of calls may lay into one model.
constexpr size_t kMostNodes = size_t{1} << 18;

/// The caller's value of a function's attribute, or its default, or null.
const Attribute* argument(const Attributes& call, const Attributes& defaults,
                          const std::string& name) {
  const Attribute* given = call.find(name);
  return given != nullptr ? given : defaults.find(name);
}

/// Puts the values that the call has in the place of references to attributes, in bodies too.
void bind_attributes(Graph& body, const Attributes& call, const Attributes& defaults) {
  for (const NodeId id : body.nodes()) {
    const auto view = body.node(id).attributes.entries();
    const std::vector<Attributes::Entry> entries(view.begin(), view.end());
    for (const Attributes::Entry& entry : entries) {
      if (const auto* inner = std::get_if<SubgraphPtr>(&entry.value)) {
        Graph copy = **inner;
        bind_attributes(copy, call, defaults);
        body.attributes(id).set(entry.name, std::make_shared<const Graph>(std::move(copy)));
        continue;
      }
      const std::string name = referenced_attribute(entry.value);
      if (name.empty()) continue;
      const Attribute* value = argument(call, defaults, name);
      body.attributes(id).erase(entry.name);
      if (value != nullptr) body.attributes(id).set(entry.name, *value);
    }
  }
}

class Inliner {
 public:
  Inliner(const std::vector<LocalFunction>& functions, const OpRegistry& ops, ModelInfo& model)
      : functions_(functions), ops_(ops), model_(model) {}

  /// Inlines all calls in the graph and its bodies; how many there were.
  int run(Graph& graph) {
    int calls = 0;
    TakenNames names(graph);
    for (const NodeId id : graph.nodes()) {
      calls += run_in_bodies(graph, id);
      const LocalFunction* function = called(graph.node(id));
      if (function == nullptr) continue;
      const std::string described = graph.describe(id);
      within_frame([&] { return described; }, [&] { replace(graph, id, *function, names); });
      ++calls;
    }
    return calls;
  }

 private:
  const LocalFunction* called(const Node& node) const {
    const auto found = std::ranges::find(functions_, node.op, &LocalFunction::key);
    if (found == functions_.end() || ops_.find(node, model_) != nullptr) return nullptr;
    return &*found;
  }

  int run_in_bodies(Graph& graph, NodeId id) {
    int calls = 0;
    const auto view = graph.node(id).attributes.entries();
    const std::vector<Attributes::Entry> entries(view.begin(), view.end());
    for (const Attributes::Entry& entry : entries) {
      const auto* body = std::get_if<SubgraphPtr>(&entry.value);
      if (body == nullptr) continue;
      Graph copy = **body;
      const int here = run(copy);
      if (here > 0)
        graph.attributes(id).set(entry.name, std::make_shared<const Graph>(std::move(copy)));
      calls += here;
    }
    return calls;
  }

  void replace(Graph& graph, NodeId id, const LocalFunction& function, TakenNames& names) {
    const Node call = graph.node(id);
    if (call.inputs.size() > function.body.inputs().size() ||
        call.outputs.size() > function.body.outputs().size()) {
      throw input_error(fmt::format("the call has {} inputs and {} outputs, the function {} and {}",
                                    call.inputs.size(), call.outputs.size(),
                                    function.body.inputs().size(), function.body.outputs().size()));
    }
    Graph body = expanded(function, call.attributes);
    std::map<ValueId, ValueId> bound;
    for (size_t i = 0; i < body.inputs().size(); ++i) {
      bound.emplace(body.inputs()[i], i < call.inputs.size() ? call.inputs[i] : ValueId::none);
    }
    const std::string prefix = (call.name.empty() ? function.key.type : call.name) + '/';
    graph.erase(id);
    inline_body(graph, body, std::move(bound), call.outputs, prefix, names);
  }

  /// The function's body with these attributes, the calls in it inlined.
  Graph expanded(const LocalFunction& function, const Attributes& call) {
    if (std::ranges::find(stack_, &function) != stack_.end()) {
      std::vector<std::string> chain;
      for (const LocalFunction* one : stack_) chain.push_back(to_string(one->key));
      chain.push_back(to_string(function.key));
      throw input_error("a function calls itself: " + join(chain, " -> "),
                        "ONNX's functions must not be recursive.");
    }
    import_opsets(function);
    Graph body = function.body;
    bind_attributes(body, call, function.defaults);
    stack_.push_back(&function);
    run(body);
    stack_.pop_back();
    nodes_ += body.node_count();
    if (nodes_ > kMostNodes)
      throw input_error(fmt::format("calls of functions add more than {} nodes", kMostNodes));
    return body;
  }

  /// The function's nodes are read by the model's opsets from now on.
  void import_opsets(const LocalFunction& function) {
    for (const auto& [domain, version] : function.opsets) model_.opsets.emplace(domain, version);
    check_versions(function, function.body);
  }

  void check_versions(const LocalFunction& function, const Graph& body) const {
    for (const NodeId id : body.nodes()) {
      const Node& node = body.node(id);
      for (const auto& entry : node.attributes.entries()) {
        if (const auto* inner = std::get_if<SubgraphPtr>(&entry.value))
          check_versions(function, **inner);
      }
      const auto meant = function.opsets.find(node.op.domain);
      const int64_t has = model_.opset(node.op.domain);
      if (meant == function.opsets.end() || meant->second == has) continue;
      if (ops_.find(node.op, meant->second) == ops_.find(node.op, has)) continue;
      throw unsupported_error(
          fmt::format("the function {} means {} of opset {}, the model imports opset {}",
                      to_string(function.key), to_string(node.op), meant->second, has),
          "Export the model with one opset.");
    }
  }

  const std::vector<LocalFunction>& functions_;
  const OpRegistry& ops_;
  ModelInfo& model_;
  std::vector<const LocalFunction*> stack_;
  size_t nodes_ = 0;
};

class InlineFunctions final : public Pass {
 public:
  std::string_view name() const override { return "inline_functions"; }
  int run(Graph& graph, const PassContext& context) const override {
    const std::vector<LocalFunction> functions = local_functions(graph.model);
    if (functions.empty()) return 0;
    ModelInfo model = graph.model;
    const int calls = Inliner(functions, context.ops, model).run(graph);
    graph.model = std::move(model);
    return calls;
  }
};

}  // namespace

PassPtr inline_functions() { return std::make_shared<InlineFunctions>(); }

}  // namespace qtool
