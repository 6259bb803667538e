// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "exec/attempt.h"
#include "exec/prepare.h"
#include "exec/program.h"
#include "exec/split_codes.h"
#include "exec/values.h"
#include "exec/wide_codes.h"
#include "ops/fused_gelu.h"
#include "ops/qoperator.h"

namespace qtool {

namespace {

class Compiler {
 public:
  Compiler(const Graph& graph, const OpRegistry& ops, const SessionOptions& options,
           Session::Program& program)
      : graph_(graph), ops_(ops), options_(options), program_(program),
        values_(graph, ops, program, checked_facts(graph, ops, options),
                {options.taps.begin(), options.taps.end()}),
        facts_(values_.facts()), order_(graph.topological_order()),
        needed_(needed_nodes(graph, facts_, {options.taps.begin(), options.taps.end()})),
        wanted_(wanted_layouts(graph, ops, order_)) {}

  void run() {
    for (const ValueId id : graph_.required_inputs()) values_.add_feed(id);
    add_nodes();
    add_outputs();
    program_.profile = options_.profile;
    program_.facts = values_.take_facts();
  }

 private:
  static Facts checked_facts(const Graph& graph, const OpRegistry& ops,
                             const SessionOptions& options) {
    check_ops(graph, ops);
    return infer_facts(graph, ops, {options.input_shapes});
  }

  const OpDef& def(NodeId id) const { return *ops_.find(graph_.node(id), graph_.model); }
  NodeView view_of(NodeId id) const { return view(graph_, facts_, id); }

  void add_nodes() {
    // Chains are found first; each runs where its last member stands, when all operands are there.
    std::map<NodeId, Chain> chain_at;
    std::vector<bool> covered(graph_.node_id_bound(), false);
    for (const NodeId id : order_) {
      if (skipped(id) || covered[static_cast<size_t>(id)]) continue;
      Chain chain{{id}, {-1}, false};
      if (options_.backend == Backend::onednn) {
        chain = longest_chain(graph_, ops_, facts_, id, values_.kept(), covered);
      }
      for (const NodeId member : chain.members) covered[static_cast<size_t>(member)] = true;
      chain_at.emplace(chain.members.back(), std::move(chain));
    }
    for (const NodeId id : order_) {
      const auto found = chain_at.find(id);
      if (found != chain_at.end()) add_chain(found->second);
    }
  }

  /// Not needed, known before the run, or a DequantizeLinear (which is added when somebody reads
  /// it).
  bool skipped(NodeId id) const {
    if (!needed_[static_cast<size_t>(id)]) return true;
    if (def(id).qdq == QdqRole::dequantize && !kept_by_tap(id)) return true;
    return std::ranges::all_of(graph_.node(id).outputs, [&](ValueId output) {
      return output == ValueId::none || facts_[output].constant != nullptr;
    });
  }

  bool kept_by_tap(NodeId id) const {
    return std::ranges::any_of(graph_.node(id).outputs,
                               [&](ValueId output) { return values_.kept().contains(output); });
  }

  void add_chain(const Chain& chain) {
    for (size_t begin = 0; begin < chain.members.size();) begin += add_longest_group(chain, begin);
  }

  /// Lowers as much of the chain from `begin` on as one kernel takes; how many members that were.
  size_t add_longest_group(const Chain& chain, size_t begin) {
    const NodeId anchor = chain.members[begin];
    const std::string name = graph_.describe(anchor);
    return within_frame(
        [&] { return name; },
        [&]() -> size_t {
          std::string refusal;
          const OpDef& op = def(anchor);
          if (options_.backend == Backend::onednn && op.lower != nullptr && concrete(anchor)) {
            for (const Links& links : candidates(chain, begin)) {
              if (try_group(links, refusal)) return links.length;
            }
          } else if (options_.backend == Backend::onednn) {
            refusal = op.lower == nullptr ? "no kernel but the reference"
                                          : "shapes known only at run time";
          }
          add_reference_step(anchor, refusal);
          return 1;
        });
  }

  bool concrete(NodeId id) const {
    const Node& node = graph_.node(id);
    const auto known = [&](ValueId value) {
      return value == ValueId::none || (facts_[value].type.dtype != DType::undefined &&
                                        facts_[value].type.concrete_shape().has_value());
    };
    return std::ranges::all_of(node.inputs, known) && std::ranges::all_of(node.outputs, known);
  }

  /// The groups to try, best first.
  std::vector<Links> candidates(const Chain& chain, size_t begin) const {
    const size_t most = chain.members.size() - begin;
    bool any_codes = false;
    for (const ValueId input : graph_.node(chain.members[begin]).inputs) {
      any_codes = any_codes || dequantized(graph_, ops_, facts_, input).has_value();
    }
    // A short group that computes with codes beats a long one in float.
    std::vector<Links> list;
    for (size_t length = most; any_codes && length > 0; --length)
      list.push_back({chain, begin, length, true});
    for (size_t length = most; length > 0; --length) list.push_back({chain, begin, length, false});
    return list;
  }

  bool try_group(const Links& links, std::string& refusal) {
    const Attempt attempt(graph_, ops_, values_, wanted_, links);
    Lowering lowering = def(links.anchor()).lower(attempt.context());
    if (lowering.kernel == nullptr && !lowering.alias) {
      if (refusal.empty()) refusal = lowering.refusal;
      return false;
    }
    emit(attempt, std::move(lowering), refusal);
    return true;
  }

  void emit(const Attempt& attempt, Lowering lowering, const std::string& refusal) {
    Step step;
    const std::vector<ValueId>& operands = attempt.operands();
    for (size_t i = 0; i < operands.size(); ++i) {
      const bool packed =
          std::ranges::find(lowering.packed, static_cast<int>(i)) != lowering.packed.end();
      const ValueId value = operands[i];
      if (packed || value == ValueId::none) {
        step.inputs.push_back(-1);
        continue;
      }
      const Layout layout =
          i < lowering.input_layouts.size() ? lowering.input_layouts[i] : values_.layout(value);
      step.inputs.push_back(place(value, layout).buffer);
    }
    const auto output_layout = [&](size_t i) {
      return i < lowering.output_layouts.size() ? lowering.output_layouts[i] : Layout::plain;
    };
    if (lowering.alias) {
      const ValueId result = attempt.output(0);
      values_.places(result).push_back({step.inputs[0], output_layout(0)});
      values_.add_tap(result,
                      program_.steps.empty() ? program_.input_taps : program_.steps.back().taps);
      return;
    }
    step.info = attempt.describe();
    const LowerContext& context = attempt.context();
    for (size_t i = 0; i < context.outputs.size(); ++i) {
      if (!context.outputs[i].present) {
        step.outputs.push_back(-1);
        continue;
      }
      const bool first = std::ranges::all_of(step.outputs, [](int buffer) { return buffer < 0; });
      if (first) step.info.layout = output_layout(i);
      step.outputs.push_back(values_.add_result(attempt.output(i), output_layout(i)));
      values_.add_tap(attempt.output(i), step.taps);
    }
    step.kernel = std::move(lowering.kernel);
    step.copy_to_output = lowering.in_place;
    step.may_overwrite = lowering.may_overwrite;
    step.info.kernel = step.kernel->description();
    step.info.fallback = refusal;
    program_.macs += step.info.macs;
    program_.steps.push_back(std::move(step));
  }

  void add_reference_step(NodeId id, const std::string& refusal) {
    Step step;
    const Node& node = graph_.node(id);
    for (const ValueId input : node.inputs) {
      step.inputs.push_back(input == ValueId::none ? -1 : place(input, Layout::plain).buffer);
    }
    for (const Capture& capture : node.captures) {
      step.inputs.push_back(place(capture.outer, Layout::plain).buffer);
    }
    for (const ValueId output : node.outputs) {
      if (output == ValueId::none) {
        step.outputs.push_back(-1);
        continue;
      }
      step.outputs.push_back(values_.add_result(output, Layout::plain));
      values_.add_tap(output, step.taps);
    }
    step.def = &def(id);
    step.node = id;
    if (Bodies::any(node)) {
      step.bodies =
          std::make_unique<Bodies>(node, graph_.model, ops_, options_.backend, program_.body_runs);
    }
    step.info.name = node.name.empty() ? graph_.describe(id) : node.name;
    step.info.op = to_string(node.op);
    step.info.kernel = "reference";
    step.info.reference = true;
    step.info.fallback = refusal;
    const TensorType& shown = facts_[first_output(graph_, id)].type;
    step.info.types = std::string(qtool::name(shown.dtype));
    step.info.shape = to_string(shown);
    if (step.def->macs != nullptr) step.info.macs = step.def->macs(view_of(id));
    program_.macs += step.info.macs;
    program_.steps.push_back(std::move(step));
    if (program_.graph == nullptr) program_.graph = std::make_shared<const Graph>(graph_);
  }

  /// The value in a layout: as it is, converted, dequantized on demand, or a constant.
  Stored place(ValueId value, Layout layout) {
    if (values_.places(value).empty()) {
      if (const Constant constant = values_.known_constant(value)) {
        values_.add_constant(value, constant);
      } else {
        const NodeId producer = graph_.value(value).producer;
        QTOOL_CHECK(producer != NodeId::none && def(producer).qdq == QdqRole::dequantize,
                    "\"" + graph_.value(value).name + "\" is read before it is made");
        add_longest_group({{producer}, {-1}, false}, 0);
      }
    }
    return values_.in_layout(value, layout);
  }

  void add_outputs() {
    for (const ValueId id : graph_.outputs()) {
      const int buffer = place(id, Layout::plain).buffer;
      const auto shape = facts_[id].type.concrete_shape();
      const std::string& name = graph_.value(id).name;
      program_.outputs.push_back(
          {name, id, facts_[id].type.dtype, shape.value_or(Shape{}), buffer});
      program_.output_names.push_back(name);
    }
  }

  const Graph& graph_;
  const OpRegistry& ops_;
  const SessionOptions& options_;
  Session::Program& program_;
  Values values_;
  const Facts& facts_;
  std::vector<NodeId> order_;
  std::vector<bool> needed_;
  std::vector<Layout> wanted_;
};

}  // namespace

void compile(const Graph& graph, const OpRegistry& ops, const SessionOptions& options,
             Session::Program& program) {
  if (options.backend == Backend::reference) {
    Compiler(graph, ops, options, program).run();
    return;
  }
  std::optional<Graph> expanded;
  if (has_qoperators(graph)) expand_qoperators(expanded.emplace(graph));
  const Graph& given = expanded ? *expanded : graph;
  const auto widened = with_wide_codes(given, ops);
  const Graph& qdq = widened ? *widened : given;
  const std::set<ValueId> kept(options.taps.begin(), options.taps.end());
  const auto split = with_split_codes(qdq, ops, kept);
  const Graph& moved = split ? *split : qdq;
  const auto fused = with_gelu(moved, kept);
  Compiler(fused ? *fused : moved, ops, options, program).run();
}

}  // namespace qtool
