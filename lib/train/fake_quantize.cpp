// SPDX-License-Identifier: Apache-2.0
#include "train/fake_quantize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "ops/along_axis.h"
#include "ops/gradient.h"
#include "ops/gradients/grids.h"
#include "quant/settle.h"
#include "support/disjoint_sets.h"

namespace qtool {

namespace {

/// EWGS: a gradient that points away from the code is up to a tenth larger, one that points to it
/// as much smaller.
constexpr float kSteer = 0.2F;

size_t at(NodeId id) { return static_cast<size_t>(id); }

class Inserter {
 public:
  Inserter(TrainableGraph start, const OpRegistry& ops, const QuantPlan& plan,
           const GridOptions& options)
      : ops_(ops), plan_(plan), options_(options), ties_(plan.placements.size()),
        moved_(start.graph.node_id_bound()) {
    result_.trainable = std::move(start);
    graph().model.opsets[kTrainingDomain] = 1;
    for (const NodeId id : plan.moved) moved_[at(id)] = true;
    facts_ = infer_facts(graph(), ops);
  }

  QuantizedTraining run() {
    tie_moves();
    find_bounds();
    if (bounds_weights()) {
      for (const Placement& placement : plan_.placements) bound_weight(placement);
    }
    for (size_t i = 0; i < plan_.placements.size(); ++i) {
      if (ties_.root(i) == i) add_parameters(i);
    }
    for (const RemovedNode& removed : plan_.removed) remove(removed.node);
    for (size_t i = 0; i < plan_.placements.size(); ++i) place(i);
    if (!plan_.float_biases) {
      for (const BiasPlacement& bias : plan_.biases) place_bias(bias);
    }
    std::ranges::sort(result_.grids, {}, &LearnedGrid::placement);
    return std::move(result_);
  }

 private:
  Graph& graph() { return result_.trainable.graph; }
  std::vector<Parameter>& parameters() { return result_.trainable.parameters; }
  const OpDef* def(NodeId id) { return ops_.find(graph().node(id), graph().model); }

  /// What a node that moves codes reads and makes has one grid.
  void tie_moves() {
    std::map<Use, size_t, bool (*)(const Use&, const Use&)> readers([](const Use& a, const Use& b) {
      return std::pair(a.node, a.slot) < std::pair(b.node, b.slot);
    });
    std::map<ValueId, size_t> made;
    for (size_t i = 0; i < plan_.placements.size(); ++i) {
      for (const Use& use : plan_.placements[i].uses) readers.emplace(use, i);
      if (plan_.placements[i].kind == Placement::Kind::activation) {
        made.emplace(plan_.placements[i].value, i);
      }
    }
    std::vector<NodeId> tying = plan_.moved;
    for (const NodeId id : plan_.quantized) {
      if (def(id)->quant.shares_params) tying.push_back(id);
    }
    for (const NodeId id : tying) {
      std::optional<size_t> first;
      const auto tie = [&](size_t placement) {
        if (first) ties_.join(*first, placement);
        first = placement;
      };
      const Node& node = graph().node(id);
      for (size_t slot = 0; slot < node.inputs.size(); ++slot) {
        const auto found = readers.find({id, static_cast<int>(slot)});
        if (found != readers.end()) tie(found->second);
      }
      for (const ValueId output : node.outputs) {
        if (const auto found = made.find(output); found != made.end()) tie(found->second);
      }
    }
  }

  /// What removed nodes let through, by the set of placements that must imply it.
  void find_bounds() {
    for (const RemovedNode& removed : plan_.removed) {
      const OpDef* record = def(removed.node);
      const ValueId result = graph().node(removed.node).outputs.at(0);
      const NodeView view(graph(), removed.node, facts_,
                          graph().model.opset(graph().node(removed.node).op.domain));
      const auto kept = record->quant.keeps == nullptr ? std::nullopt : record->quant.keeps(view);
      for (size_t i = 0; kept && i < plan_.placements.size(); ++i) {
        if (plan_.placements[i].value == result) kept_[ties_.root(i)].push_back(*kept);
      }
    }
  }

  bool bounds_weights() const {
    return options_.quantizer == Quantizer::pact || options_.quantizer == Quantizer::dorefa;
  }

  /// All who read the weight read what BoundedWeights makes of it. The parameter becomes what that
  /// makes the float model's weight of: 0.95 of tanh's range is used.
  void bound_weight(const Placement& placement) {
    const auto found = std::ranges::find(parameters(), placement.value, &Parameter::id);
    if (found == parameters().end() || found->kind != Parameter::Kind::weight) return;
    if (bounded_.contains(placement.value)) return;
    Parameter& weight = *found;
    const AlongAxis span = channels_of(placement.params, weight.value.shape());
    const auto w = weight.value.data<float>();
    weight.bound.assign(placement.params.scale.size(), 0.0F);
    weight.axis = placement.params.axis;
    const auto bound_of = [&](size_t i) -> float& {
      return weight.bound[i / static_cast<size_t>(span.inner) % weight.bound.size()];
    };
    for (size_t i = 0; i < w.size(); ++i) bound_of(i) = std::max(bound_of(i), std::abs(w[i]));
    for (size_t i = 0; i < w.size(); ++i) {
      const float bound = bound_of(i);
      if (bound > 0) w[i] = bound * std::atanh(0.95F * w[i] / bound);
    }
    const ValueId bounds = add_fresh_value(graph(), weight.name + "_bound");
    const Shape shape = weight.axis ? Shape{static_cast<int64_t>(weight.bound.size())} : Shape{};
    graph().set_constant(bounds, make_constant(Tensor::of<float>(shape, weight.bound)));
    Node node;
    node.op = {kTrainingDomain, "BoundedWeights"};
    if (weight.axis) node.attributes.set("axis", static_cast<int64_t>(*weight.axis));
    const ValueId made = add_fresh_value(graph(), weight.name);
    graph().replace_uses(placement.value, made);
    node.inputs = {placement.value, bounds};
    node.outputs = {made};
    graph().add_node(std::move(node));
    bounded_.emplace(placement.value, made);
  }

  static AlongAxis channels_of(const QuantParams& params, const Shape& shape) {
    if (!params.axis) return {{element_count(shape)}, 1};
    return {shape, *params.axis};
  }

  bool power_of_two(const Placement& placement) const {
    return placement.kind == Placement::Kind::activation ? options_.power_of_two_activations
                                                         : options_.power_of_two_weights;
  }

  /// The largest scale with which the grid lies in the range.
  static float largest_scale(QuantParams params, const Range& kept) {
    const auto above = static_cast<float>(params.type.highest() - params.zero_point[0]);
    const auto below = static_cast<float>(params.zero_point[0] - params.type.lowest());
    float most = std::numeric_limits<float>::max();
    if (above > 0) most = std::min(most, kept.high / above);
    if (below > 0) most = std::min(most, -kept.low / below);
    const auto outside = [&](float scale) {
      params.scale[0] = scale;
      const Range range = params.representable();
      return range.low < kept.low || range.high > kept.high;
    };
    for (int step = 0; step < 8 && outside(most); ++step) most = std::nextafter(most, 0.0F);
    return std::max(most, kMinScale);
  }

  void add_parameters(size_t root) {
    const Placement& placement = plan_.placements[root];
    const QuantParams& params = placement.params;
    const std::string name = graph().value(placement.value).name;  // values move when one is added
    const Shape shape =
        params.per_tensor() ? Shape{} : Shape{static_cast<int64_t>(params.scale.size())};
    Parameter scale;
    scale.kind = Parameter::Kind::scale;
    scale.name = name + "_scale";
    scale.value = Tensor::of<float>(shape, params.scale);
    const float least = *std::ranges::min_element(params.scale);
    scale.lowest = std::max(kMinScale, least * 0x1p-10F);
    const auto bounds = kept_.find(root);
    const bool bounded = bounds != kept_.end();
    for (const Range& kept : bounded ? bounds->second : std::vector<Range>{}) {
      scale.highest = std::min(scale.highest, largest_scale(params, kept));
    }
    const bool activation = placement.kind == Placement::Kind::activation;
    if (power_of_two(placement) && bounded) {
      scale.highest = std::exp2(std::floor(std::log2(scale.highest)));
    }
    bool learned_scale = options_.learn_scales && !frozen(root);
    if (bounded_.contains(placement.value)) {
      const auto weight = std::ranges::find(parameters(), placement.value, &Parameter::id);
      const auto values = scale.value.data<float>();
      for (size_t c = 0; c < values.size(); ++c) {
        const float steps = static_cast<float>(params.type.highest());
        values[c] = std::max(weight->bound[c] / steps, kMinScale);
        if (power_of_two(placement)) values[c] = raised_scale(double{values[c]}, true);
      }
      learned_scale = false;
    }
    if (activation && options_.quantizer == Quantizer::dorefa) learned_scale = false;
    scale.decays = activation && options_.quantizer == Quantizer::pact;
    const size_t scale_index = add(std::move(scale), learned_scale);
    scale_of_[root] = scale_index;
    scale_value_[root] = parameters()[scale_index].id;
    if (power_of_two(placement)) {
      Node node;
      node.op = {kTrainingDomain, "PowerOfTwo"};
      node.inputs = {parameters()[scale_index].id};
      node.outputs = {add_fresh_value(graph(), name + "_scale")};
      scale_value_[root] = node.outputs[0];
      graph().add_node(std::move(node));
    }
    const int32_t zero = params.zero_point[0];
    const bool inside = zero > params.type.lowest() && zero < params.type.highest();
    const bool learned = options_.learn_zero_points && inside && !bounded && !frozen(root) &&
                         params.per_tensor() && !params.type.is_signed && activation &&
                         options_.quantizer != Quantizer::dorefa;
    std::vector<float> zeros(params.zero_point.begin(), params.zero_point.end());
    Tensor value = Tensor::of<float>(shape, zeros);
    if (learned) {
      Parameter parameter;
      parameter.kind = Parameter::Kind::zero_point;
      parameter.name = name + "_zero_point";
      parameter.value = std::move(value);
      parameter.lowest = static_cast<float>(params.type.lowest());
      parameter.highest = static_cast<float>(params.type.highest());
      zero_of_[root] = add(std::move(parameter), options_.learn_scales);
    } else if (std::ranges::any_of(zeros, [](float z) { return z != 0; })) {
      const ValueId id = add_fresh_value(graph(), name + "_zero_point");
      graph().set_constant(id, make_constant(std::move(value)));
      fixed_zero_.emplace(root, id);
    }
  }

  /// Whether none but frozen nodes read what is on this grid.
  bool frozen(size_t root) {
    if (!options_.frozen) return false;
    for (size_t i = 0; i < plan_.placements.size(); ++i) {
      const Placement& placement = plan_.placements[i];
      const bool read = !std::ranges::all_of(
          placement.uses, [&](const Use& use) { return options_.frozen(use.node); });
      if (ties_.root(i) == root && (placement.output || read)) return false;
    }
    return true;
  }

  size_t add(Parameter parameter, bool learned) {
    parameter.id = add_fresh_value(graph(), parameter.name);
    graph().set_type(parameter.id, TensorType(DType::float32, parameter.value.shape()));
    if (learned) {
      graph().add_input(parameter.id);
    } else {
      graph().set_constant(parameter.id, make_constant(parameter.value.clone()));
    }
    parameters().push_back(std::move(parameter));
    return parameters().size() - 1;
  }

  void remove(NodeId id) {
    const ValueId input = graph().node(id).inputs.at(0);
    const ValueId result = graph().node(id).outputs.at(0);
    const NodeId producer = graph().value(input).producer;
    const int slot = graph().value(input).producer_slot;
    graph().erase(id);
    graph().set_output(producer, slot, result);
    graph().erase(input);
  }

  /// 1 / sqrt(n Q). PACT learns the grid's end, Q scales: a step of it is 1 / Q of a scale, and
  /// its gradient 1 / Q of the scale's.
  float share(const Placement& placement) {
    const TensorType& type = facts_[placement.value].type;
    double elements = 1;
    const bool activation = placement.kind == Placement::Kind::activation;
    for (size_t d = activation ? 1 : 0; type.shape && d < type.shape->size(); ++d) {
      elements *= static_cast<double>((*type.shape)[d].value.value_or(1));
    }
    const QuantParams& params = placement.params;
    elements /= static_cast<double>(params.scale.size());
    const int32_t zero = params.zero_point[0];
    const int32_t steps = std::max(params.type.highest() - zero, zero - params.type.lowest());
    const bool end = options_.quantizer == Quantizer::pact && activation;
    if (end) return static_cast<float>(1 / (static_cast<double>(steps) * steps));
    return static_cast<float>(1 / std::sqrt(std::max(elements, 1.0) * steps));
  }

  void place(size_t i) {
    const Placement& placement = plan_.placements[i];
    const size_t root = ties_.root(i);
    LearnedGrid grid{i, scale_of_.at(root), {}, power_of_two(plan_.placements[root])};
    if (const auto found = zero_of_.find(root); found != zero_of_.end()) {
      grid.zero_point = found->second;
    }
    result_.grids.push_back(grid);
    const NodeId producer = graph().value(placement.value).producer;
    // What was moved lies on the grid already.
    if (producer != NodeId::none && at(producer) < moved_.size() && moved_[at(producer)]) return;
    Node node;
    node.op = {kTrainingDomain, "FakeQuantize"};
    node.attributes.set("lowest", static_cast<int64_t>(placement.params.type.lowest()));
    node.attributes.set("highest", static_cast<int64_t>(placement.params.type.highest()));
    node.attributes.set("share", share(placement));
    if (placement.params.axis) {
      node.attributes.set("axis", static_cast<int64_t>(*placement.params.axis));
    }
    if (options_.quantizer == Quantizer::pact) node.attributes.set("outside_only", int64_t{1});
    if (options_.quantizer == Quantizer::ewgs) node.attributes.set("steer", kSteer);
    ValueId source = placement.value;
    if (const auto bounded = bounded_.find(source); bounded != bounded_.end()) {
      source = bounded->second;
    }
    const ValueId fresh = add_fresh_value(graph(), graph().value(placement.value).name);
    ValueId result = fresh;
    if (placement.output) {
      source = fresh;
      result = placement.value;
      const int slot = graph().value(placement.value).producer_slot;
      graph().set_output(producer, slot, source);
    } else {
      graph().replace_uses(source, result, placement.uses);
    }
    node.inputs = {source, scale_value_.at(root)};
    if (grid.zero_point) node.inputs.push_back(parameters()[*grid.zero_point].id);
    if (const auto fixed = fixed_zero_.find(root); fixed != fixed_zero_.end()) {
      node.inputs.push_back(fixed->second);
    }
    node.outputs = {result};
    graph().add_node(std::move(node));
  }

  void place_bias(const BiasPlacement& bias) {
    const BiasOperands operands = bias_operands(graph(), ops_, plan_, bias);
    const auto scale_of = [&](size_t placement) { return scale_value_.at(ties_.root(placement)); };
    Node node;
    node.op = {kTrainingDomain, "RoundBias"};
    node.inputs = {bias.value, scale_of(operands.data), scale_of(operands.weights)};
    node.outputs = {add_fresh_value(graph(), graph().value(bias.value).name)};
    graph().replace_uses(bias.value, node.outputs[0], std::array{bias.use});
    graph().add_node(std::move(node));
  }

  const OpRegistry& ops_;
  const QuantPlan& plan_;
  const GridOptions& options_;
  DisjointSets ties_;  ///< placements that share their parameters
  std::vector<bool> moved_;
  Facts facts_;
  QuantizedTraining result_;
  std::map<size_t, std::vector<Range>> kept_;  ///< by the lowest of tied placements, as the rest
  std::map<ValueId, ValueId> bounded_;         ///< what BoundedWeights makes, by weight
  std::map<size_t, size_t> scale_of_;
  std::map<size_t, ValueId> scale_value_;  ///< the parameter, or what PowerOfTwo makes of it
  std::map<size_t, size_t> zero_of_;
  std::map<size_t, ValueId> fixed_zero_;
};

}  // namespace

Quantizer parse_quantizer(const std::string& text) {
  if (text == "lsq") return Quantizer::lsq;
  if (text == "ewgs") return Quantizer::ewgs;
  if (text == "pact") return Quantizer::pact;
  if (text == "dorefa") return Quantizer::dorefa;
  throw usage_error("there is no quantizer \"" + text + '"', "It is lsq, ewgs, pact or dorefa.");
}

QuantizedTraining insert_fake_quant(TrainableGraph float_graph, const OpRegistry& ops,
                                    const QuantPlan& plan, const GridOptions& options) {
  return Inserter(std::move(float_graph), ops, plan, options).run();
}

}  // namespace qtool
