// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "exec/group.h"
#include "exec/program.h"
#include "exec/split_codes.h"
#include "kernels/host/copy.h"
#include "ops/fused_gelu.h"
#include "ops/qoperator.h"
#include "support/text.h"

namespace qtool {

namespace {

/// One attempt at a group: the first `length` links of a chain, with or without the Q/DQ around.
struct Attempt {
  size_t length;
  bool codes;
};

class Compiler {
 public:
  Compiler(const Graph& graph, const OpRegistry& ops, const SessionOptions& options,
           Session::Program& program)
      : graph_(graph), ops_(ops), options_(options), program_(program),
        kept_(options.taps.begin(), options.taps.end()) {}

  void run() {
    check_ops(graph_);
    facts_ = infer_facts(graph_, ops_, {options_.input_shapes});
    order_ = graph_.topological_order();
    stored_.resize(graph_.value_id_bound());
    find_needed();
    find_wanted_layouts();
    add_feeds();
    add_nodes();
    add_outputs();
    program_.profile = options_.profile;
    program_.facts = std::move(facts_);
  }

 private:
  const OpDef& def(NodeId id) const { return *ops_.find(graph_.node(id), graph_.model); }
  NodeView view_of(NodeId id) const { return view(graph_, facts_, id); }

  void check_ops(const Graph& graph) const {
    for (const NodeId id : graph.nodes()) {
      const Node& node = graph.node(id);
      for (const auto& entry : node.attributes.entries()) {
        if (const auto* body = std::get_if<SubgraphPtr>(&entry.value)) check_ops(**body);
      }
      if (ops_.find(node, graph_.model) != nullptr) continue;
      throw unsupported_error(
          graph.describe(id) + ": qtool does not know " + to_string(node.op) + " of opset " +
              std::to_string(graph_.model.opset(node.op.domain)),
          "Such a model can be inspected but not run. The README lists the ops that qtool runs.");
    }
  }

  /// Nodes whose results reach an output or a tap.
  void find_needed() {
    needed_.assign(graph_.node_id_bound(), false);
    std::vector<ValueId> work(graph_.outputs().begin(), graph_.outputs().end());
    work.insert(work.end(), kept_.begin(), kept_.end());
    while (!work.empty()) {
      const ValueId value = work.back();
      work.pop_back();
      const NodeId producer = graph_.value(value).producer;
      if (producer == NodeId::none || needed_[static_cast<size_t>(producer)]) continue;
      if (facts_[value].constant != nullptr) continue;
      needed_[static_cast<size_t>(producer)] = true;
      for (const ValueId input : graph_.node(producer).inputs) {
        if (input != ValueId::none) work.push_back(input);
      }
      for (const Capture& capture : graph_.node(producer).captures) work.push_back(capture.outer);
    }
  }

  /// channels_last for values that end up, through ops that keep what they get, in one that wants
  /// it.
  void find_wanted_layouts() {
    wanted_.assign(graph_.value_id_bound(), Layout::plain);
    for (auto it = order_.rbegin(); it != order_.rend(); ++it) {
      const OpDef& op = def(*it);
      const Node& node = graph_.node(*it);
      const bool wants = op.taste == LayoutTaste::channels_last ||
                         (op.taste == LayoutTaste::any && !node.outputs.empty() &&
                          node.outputs[0] != ValueId::none &&
                          wanted_[static_cast<size_t>(node.outputs[0])] == Layout::channels_last);
      if (!wants) continue;
      for (const ValueId input : node.inputs) {
        if (input != ValueId::none) wanted_[static_cast<size_t>(input)] = Layout::channels_last;
      }
    }
  }

  void add_feeds() {
    for (const ValueId id : graph_.required_inputs()) {
      const TensorType& type = facts_[id].type;
      const std::string& name = graph_.value(id).name;
      const auto shape = type.concrete_shape();
      if (!shape) {
        throw input_error("the input \"" + name + "\" is " + to_string(type) +
                              ": its open extents must be fixed before it can run",
                          "Give a batch size, or data that has them.");
      }
      if (bits(type.dtype) == 0) {
        throw unsupported_error("the input \"" + name + "\" is " + to_string(type) +
                                ": qtool feeds numbers only");
      }
      Buffer buffer;
      buffer.kind = Buffer::Kind::feed;
      buffer.feed = program_.input_names.size();
      buffer.bytes = storage_bytes(type.dtype, element_count(*shape));
      stored_of(id).push_back({add_buffer(std::move(buffer)), Layout::plain});
      program_.input_names.push_back(name);
      program_.input_types.push_back(type);
      if (kept_.contains(id)) {
        program_.input_taps.push_back({id, type.dtype, *shape, stored_of(id)[0]});
      }
    }
  }

  void add_nodes() {
    // Chains are found first; each runs where its last member stands, when all operands are there.
    std::map<NodeId, Chain> chain_at;
    std::vector<bool> covered(graph_.node_id_bound(), false);
    for (const NodeId id : order_) {
      if (skipped(id) || covered[static_cast<size_t>(id)]) continue;
      Chain chain{{id}, {-1}, false};
      if (options_.backend == Backend::onednn) {
        chain = longest_chain(graph_, ops_, facts_, id, kept_, covered);
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
                               [&](ValueId output) { return kept_.contains(output); });
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
            for (const Attempt& attempt : attempts(chain, begin)) {
              if (try_group(chain, begin, attempt, refusal)) return attempt.length;
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

  std::vector<Attempt> attempts(const Chain& chain, size_t begin) const {
    const NodeId anchor = chain.members[begin];
    const size_t most = chain.members.size() - begin;
    bool any_codes = false;
    for (const ValueId input : graph_.node(anchor).inputs) {
      any_codes = any_codes || dequantized(graph_, ops_, facts_, input).has_value();
    }
    // A short group that computes with codes beats a long one in float.
    std::vector<Attempt> list;
    for (size_t length = most; any_codes && length > 0; --length) list.push_back({length, true});
    for (size_t length = most; length > 0; --length) list.push_back({length, false});
    return list;
  }

  // ---- one attempt ----------------------------------------------------------------------------

  struct Operands {
    std::vector<ValueId> values;  ///< kernel order: slots, then residuals
    std::vector<std::optional<QuantParams>> params;
  };

  bool try_group(const Chain& chain, size_t begin, const Attempt& attempt, std::string& refusal) {
    const NodeId anchor = chain.members[begin];
    const NodeId last = chain.members[begin + attempt.length - 1];
    const NodeView node = view_of(anchor);
    LowerContext context{node, {}, {}, {}};
    Operands operands;
    for (const ValueId input : graph_.node(anchor).inputs)
      add_operand(operands, input, attempt.codes);
    std::optional<QuantParams> result_params;
    std::vector<PostOp> posts;
    for (size_t i = begin + 1; i < begin + attempt.length; ++i) {
      const NodeId member = chain.members[i];
      if (def(member).qdq == QdqRole::quantize) {
        result_params = constant_params(view_of(member));
        continue;
      }
      posts.push_back(*def(member).post_op(view_of(member)));
      if (const int slot = chain.residual_slots[i]; slot >= 0) {
        add_operand(operands, graph_.node(member).inputs[static_cast<size_t>(slot)], attempt.codes);
      }
    }
    // Filled in when the operands' places in memory no longer move.
    const size_t slots = graph_.node(anchor).inputs.size();
    for (size_t i = 0; i < slots; ++i) context.inputs.push_back(lower_input(operands, i));
    size_t residual = slots;
    for (const PostOp& post : posts) {
      GroupPostOp group_post{post, {}};
      if (post.kind == PostOp::Kind::add) group_post.operand = lower_input(operands, residual++);
      context.post_ops.push_back(std::move(group_post));
    }
    for (size_t i = 0; i < graph_.node(anchor).outputs.size(); ++i) {
      const ValueId value = i == 0 ? graph_.node(last).outputs[0] : graph_.node(anchor).outputs[i];
      context.outputs.push_back(lower_output(value));
    }
    context.outputs[0].params = result_params ? &*result_params : nullptr;

    Lowering lowering = def(anchor).lower(context);
    if (lowering.kernel == nullptr && !lowering.alias) {
      if (refusal.empty()) refusal = lowering.refusal;
      return false;
    }
    emit(chain, begin, attempt, context, operands, std::move(lowering), refusal);
    return true;
  }

  void add_operand(Operands& operands, ValueId value, bool codes) const {
    if (codes) {
      if (auto found = dequantized(graph_, ops_, facts_, value)) {
        operands.values.push_back(found->codes);
        operands.params.emplace_back(std::move(found->params));
        return;
      }
    }
    operands.values.push_back(value);
    operands.params.emplace_back(std::nullopt);
  }

  LowerInput lower_input(const Operands& operands, size_t i) {
    LowerInput input;
    const ValueId value = operands.values[i];
    if (value == ValueId::none) return input;
    input.present = true;
    input.dtype = facts_[value].type.dtype;
    input.shape = *facts_[value].type.concrete_shape();
    input.layout = current_layout(value);
    input.constant = known_constant(value);
    input.params = operands.params[i] ? &*operands.params[i] : nullptr;
    return input;
  }

  LowerOutput lower_output(ValueId value) const {
    LowerOutput output;
    if (value == ValueId::none) return output;
    output.present = true;
    output.dtype = facts_[value].type.dtype;
    output.shape = *facts_[value].type.concrete_shape();
    output.wanted = wanted_[static_cast<size_t>(value)];
    return output;
  }

  /// The elements if known; dequantizes constant codes on demand.
  Constant known_constant(ValueId value) {
    if (facts_[value].constant != nullptr) return facts_[value].constant;
    const auto codes = dequantized(graph_, ops_, facts_, value);
    if (!codes || facts_[codes->codes].constant == nullptr) return nullptr;
    const NodeId producer = graph_.value(value).producer;
    std::vector<Constant> held;
    std::vector<const Tensor*> inputs;
    for (const ValueId input : graph_.node(producer).inputs) {
      held.push_back(input == ValueId::none ? nullptr : facts_[input].constant);
      inputs.push_back(held.back().get());
    }
    std::vector<Tensor> results = evaluate(def(producer), view_of(producer), inputs);
    facts_[value].constant = make_constant(std::move(results.at(0)));
    return facts_[value].constant;
  }

  Layout current_layout(ValueId value) const {
    const auto& places = stored_[static_cast<size_t>(value)];
    for (const Stored& place : places) {
      if (place.layout == Layout::channels_last) return place.layout;
    }
    if (!places.empty()) return places[0].layout;
    const NodeId producer = graph_.value(value).producer;
    const bool lazy = producer != NodeId::none && facts_[value].constant == nullptr &&
                      def(producer).qdq == QdqRole::dequantize;
    return lazy ? current_layout(graph_.node(producer).inputs[0]) : Layout::plain;
  }

  // ---- emitting -------------------------------------------------------------------------------

  void emit(const Chain& chain, size_t begin, const Attempt& attempt, const LowerContext& context,
            const Operands& operands, Lowering lowering, const std::string& refusal) {
    const NodeId anchor = chain.members[begin];
    const NodeId last = chain.members[begin + attempt.length - 1];
    Step step;
    for (size_t i = 0; i < operands.values.size(); ++i) {
      const bool packed =
          std::ranges::find(lowering.packed, static_cast<int>(i)) != lowering.packed.end();
      const ValueId value = operands.values[i];
      if (packed || value == ValueId::none) {
        step.inputs.push_back(-1);
        continue;
      }
      const Layout layout =
          i < lowering.input_layouts.size() ? lowering.input_layouts[i] : current_layout(value);
      step.inputs.push_back(place(value, layout).buffer);
    }
    const ValueId result = graph_.node(last).outputs[0];
    if (lowering.alias) {
      const Layout layout =
          lowering.output_layouts.empty() ? Layout::plain : lowering.output_layouts[0];
      stored_of(result).push_back({step.inputs[0], layout});
      add_tap(result, program_.steps.empty() ? program_.input_taps : program_.steps.back().taps);
      return;
    }
    for (size_t i = 0; i < context.outputs.size(); ++i) {
      if (!context.outputs[i].present) {
        step.outputs.push_back(-1);
        continue;
      }
      const ValueId value = i == 0 ? result : graph_.node(anchor).outputs[i];
      const Layout layout =
          i < lowering.output_layouts.size() ? lowering.output_layouts[i] : Layout::plain;
      step.outputs.push_back(add_result(value, layout));
      add_tap(value, step.taps);
    }
    step.kernel = std::move(lowering.kernel);
    step.copy_to_output = lowering.in_place;
    step.may_overwrite = lowering.may_overwrite;
    step.info = describe(chain, begin, attempt, context);
    step.info.kernel = step.kernel->description();
    if (const ValueId shown = first_result(chain, begin, attempt); shown != ValueId::none) {
      step.info.layout = stored_of(shown).back().layout;
    }
    step.info.fallback = refusal;
    program_.macs += step.info.macs;
    program_.steps.push_back(std::move(step));
  }

  /// The group's first output that is not left out, or none.
  ValueId first_result(const Chain& chain, size_t begin, const Attempt& attempt) const {
    const ValueId result = graph_.node(chain.members[begin + attempt.length - 1]).outputs[0];
    return result != ValueId::none ? result : first_output(chain.members[begin]);
  }

  ValueId first_output(NodeId id) const {
    const auto& outputs = graph_.node(id).outputs;
    const auto present =
        std::ranges::find_if(outputs, [](ValueId output) { return output != ValueId::none; });
    return present == outputs.end() ? ValueId::none : *present;
  }

  StepInfo describe(const Chain& chain, size_t begin, const Attempt& attempt,
                    const LowerContext& context) const {
    StepInfo info;
    const NodeId anchor = chain.members[begin];
    info.name = graph_.node(anchor).name.empty() ? graph_.value(first_output(anchor)).name
                                                 : graph_.node(anchor).name;
    for (size_t i = begin; i < begin + attempt.length; ++i) {
      info.op += (i > begin ? " + " : "") + to_string(graph_.node(chain.members[i]).op);
    }
    for (const LowerInput& input : context.inputs) {
      if (!input.present || info.types.size() > 24) continue;
      info.types += (info.types.empty() ? "" : ",") + std::string(qtool::name(input.dtype));
    }
    const auto shown = std::ranges::find_if(context.outputs, &LowerOutput::present);
    if (shown != context.outputs.end()) {
      info.types += " -> " + std::string(qtool::name(shown->dtype));
      info.shape = to_string(shown->shape);
    }
    info.integer = context.inputs.empty() ? false : context.inputs[0].params != nullptr;
    if (def(anchor).macs != nullptr) info.macs = def(anchor).macs(view_of(anchor));
    return info;
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
      step.outputs.push_back(add_result(output, Layout::plain));
      add_tap(output, step.taps);
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
    const TensorType& shown = facts_[first_output(id)].type;
    step.info.types = std::string(qtool::name(shown.dtype));
    step.info.shape = to_string(shown);
    if (step.def->macs != nullptr) step.info.macs = step.def->macs(view_of(id));
    program_.macs += step.info.macs;
    program_.steps.push_back(std::move(step));
    if (program_.graph == nullptr) program_.graph = std::make_shared<const Graph>(graph_);
  }

  /// The value in a layout: as it is, converted, dequantized on demand, or a constant.
  Stored place(ValueId value, Layout layout) {
    const auto shape = facts_[value].type.concrete_shape();
    if (stored_of(value).empty()) {
      if (const Constant constant = known_constant(value)) {
        Buffer buffer;
        buffer.kind = Buffer::Kind::constant;
        buffer.bytes = constant->bytes();
        buffer.constant = constant;
        stored_of(value).push_back({add_buffer(std::move(buffer)), Layout::plain});
      } else {
        const NodeId producer = graph_.value(value).producer;
        QTOOL_CHECK(producer != NodeId::none && def(producer).qdq == QdqRole::dequantize,
                    "\"" + graph_.value(value).name + "\" is read before it is made");
        add_longest_group({{producer}, {-1}, false}, 0);
      }
    }
    for (const Stored& stored : stored_of(value)) {
      if (stored.layout == layout || (shape && same_order(*shape, stored.layout, layout)))
        return stored;
    }
    return convert(value, *shape, layout);
  }

  Stored convert(ValueId value, const Shape& shape, Layout layout) {
    const Stored from = stored_of(value)[0];
    const DType dtype = facts_[value].type.dtype;
    Step step;
    step.inputs = {from.buffer};
    step.kernel =
        make_layout_conversion(shape, static_cast<size_t>(bits(dtype) / 8), from.layout, layout);
    step.outputs = {add_result(value, layout)};
    step.info.name = graph_.value(value).name;
    step.info.op = "(layout)";
    step.info.kernel = step.kernel->description();
    step.info.types = std::string(qtool::name(dtype));
    step.info.shape = to_string(shape);
    step.info.layout = layout;
    program_.steps.push_back(std::move(step));
    return stored_of(value).back();
  }

  int add_result(ValueId value, Layout layout) {
    Buffer buffer;
    const auto shape = facts_[value].type.concrete_shape();
    const DType dtype = facts_[value].type.dtype;
    if (shape && dtype != DType::undefined && dtype != DType::string) {
      buffer.bytes = storage_bytes(dtype, element_count(*shape));
    } else {
      buffer.kind = Buffer::Kind::dynamic;
    }
    stored_of(value).push_back({add_buffer(std::move(buffer)), layout});
    return stored_of(value).back().buffer;
  }

  int add_buffer(Buffer buffer) {
    program_.buffers.push_back(std::move(buffer));
    return static_cast<int>(program_.buffers.size()) - 1;
  }

  void add_tap(ValueId value, std::vector<TapPoint>& taps) {
    if (!kept_.contains(value)) return;
    const auto shape = facts_[value].type.concrete_shape();
    taps.push_back(
        {value, facts_[value].type.dtype, shape.value_or(Shape{}), stored_of(value).back()});
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

  std::vector<Stored>& stored_of(ValueId id) { return stored_[static_cast<size_t>(id)]; }

  const Graph& graph_;
  const OpRegistry& ops_;
  const SessionOptions& options_;
  Session::Program& program_;
  std::set<ValueId> kept_;
  Facts facts_;
  std::vector<NodeId> order_;
  std::vector<bool> needed_;
  std::vector<Layout> wanted_;
  std::vector<std::vector<Stored>> stored_;
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
  const Graph& qdq = expanded ? *expanded : graph;
  const std::set<ValueId> kept(options.taps.begin(), options.taps.end());
  const auto split = with_split_codes(qdq, ops, kept);
  const Graph& moved = split ? *split : qdq;
  const auto fused = with_gelu(moved, kept);
  Compiler(fused ? *fused : moved, ops, options, program).run();
}

}  // namespace qtool
