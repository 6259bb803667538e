// SPDX-License-Identifier: Apache-2.0
#include "rounding/learn_rounding.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "ops/gradient.h"
#include "quant/names.h"
#include "rounding/gptq.h"
#include "rounding/moments.h"
#include "rounding/seqmse.h"

namespace qtool {

namespace {

constexpr double kDamping = 0.01;
constexpr size_t kMostSamples = 256;  ///< of which second moments are taken

class Learner {
 public:
  Learner(const Graph& graph, const QuantPlan& plan, const FeedSource& samples, size_t count,
          const RoundingOptions& options)
      : graph_(graph), plan_(plan), options_(options), count_(count), budget_(options.memory),
        reference_(gather(graph, samples, count, budget_)), quantized_(reference_) {
    prepare();
  }

  RoundedModel run() {
    const auto shapes = batch_shapes(reference_, graph_, options_.batch);
    const Facts float_facts = infer_facts(graph_, training_ops(), {shapes});
    const Facts facts = infer_facts(model(), training_ops(), {shapes});
    const SegmentGraphs graphs{
        graph_, float_facts, model(), facts, static_cast<int64_t>(options_.batch), [&](NodeId id) {
          return layers_.contains(id);
        }};
    const std::vector<Segment> all = segments(graphs, options_.granularity);
    RoundedModel result;
    for (size_t s = 0; s < all.size(); ++s) {
      within_frame(
          [&] {
            return all[s].layers.empty() ? std::string("the last nodes")
                                         : model().describe(all[s].layers[0]);
          },
          [&] { visit(graphs, all[s], s, all.size(), result.notes); });
    }
    result.batch = batch_;
    result.graph = with_learned_constants(graph_, parameters());
    result.plan = learned_plan(result.graph, builtin_ops(), plan_, training_);
    return result;
  }

 private:
  Graph& model() { return training_.trainable.graph; }
  std::vector<Parameter>& parameters() { return training_.trainable.parameters; }

  /// The quantized graph with Relus and Clips where they were, weights bare, parameters constant.
  void prepare() {
    QuantPlan whole = plan_;
    whole.removed.clear();
    GridOptions grids;
    grids.learn_zero_points = false;
    training_ = insert_fake_quant(trainable(graph_, training_ops()), training_ops(), whole, grids);
    bound_scales();
    for (size_t p = 0; p < parameters().size(); ++p) by_value_.emplace(parameters()[p].id, p);
    const OpKey fake_quantize{kTrainingDomain, "FakeQuantize"};
    for (const NodeId id : model().nodes()) {
      const Node& node = model().node(id);
      if (node.op != fake_quantize) continue;
      const auto weight = by_value_.find(node.inputs[0]);
      const bool bare = weight != by_value_.end() &&
                        parameters()[weight->second].kind == Parameter::Kind::weight &&
                        model().value(node.inputs[0]).uses.size() == 1;
      const auto placed = std::ranges::find_if(plan_.placements, [&](const Placement& each) {
        return each.value == node.inputs[0] && each.kind == Placement::Kind::constant;
      });
      if (!bare || placed == plan_.placements.end()) continue;
      for (const Use& use : model().value(node.outputs[0]).uses) layers_.insert(use.node);
      params_of_.emplace(weight->second, placed->params);
      const ValueId source = node.inputs[0];
      const ValueId rounded = node.outputs[0];
      model().replace_uses(rounded, source);
      model().erase(id);
      model().erase(rounded);
    }
    if (params_of_.empty()) {
      throw unsupported_error("no weight is quantized, so that there is no rounding to learn",
                              "qtool ptq --dry-run says what is.");
    }
    for (Parameter& parameter : parameters()) {
      model().drop_input(parameter.id);
      // Weights and biases begin as in the float graph, and lie there.
      const bool learned =
          parameter.kind == Parameter::Kind::weight || parameter.kind == Parameter::Kind::bias;
      keep(parameter,
           learned ? graph_.constant(parameter.id) : make_constant(std::move(parameter.value)));
    }
  }

  /// The parameter's value is the model's constant: one copy, which is read only.
  void keep(Parameter& parameter, Constant constant) {
    parameter.value = Tensor::in_place(constant->dtype(), constant->shape(),
                                       {constant->raw(), constant->bytes()}, constant);
    model().set_constant(parameter.id, std::move(constant));
  }
  void keep(Parameter& parameter) { keep(parameter, make_constant(std::move(parameter.value))); }

  /// A Clip that the plan takes away stays implied if its grid does not grow.
  void bound_scales() {
    for (const RemovedNode& removed : plan_.removed) {
      const ValueId result = graph_.node(removed.node).outputs.at(0);
      for (const LearnedGrid& grid : training_.grids) {
        Parameter& scale = parameters()[grid.scale];
        if (plan_.placements[grid.placement].value == result)
          scale.highest = scale.value.data<float>()[0];
      }
    }
  }

  void visit(const SegmentGraphs& graphs, const Segment& segment, size_t number, size_t count,
             std::vector<std::string>& notes) {
    std::vector<ValueId> wanted = segment.float_kept;
    for (const ValueId id : segment.targets) {
      if (std::ranges::find(wanted, id) == wanted.end()) wanted.push_back(id);
    }
    Stores reference = reference_;
    lead(graph_, builtin_ops(), graphs.float_facts, segment.float_nodes, segment.float_inputs,
         wanted, count_, options_.batch, budget_, reference);
    if (!segment.layers.empty()) {
      const std::string name = own_name(model(), segment.layers[0]);
      if (options_.begin) options_.begin(number, count, name);
      notes.push_back(name + (options_.learning == Learning::reconstruction
                                  ? learn(graphs, segment, reference)
                                  : solve(graphs, segment)));
    }
    lead(model(), training_ops(), graphs.facts, segment.nodes, segment.inputs, segment.kept, count_,
         options_.batch, budget_, quantized_);
    reference_ = std::move(reference);
    drop(graphs, segment);
  }

  /// What no later segment reads goes.
  void drop(const SegmentGraphs& graphs, const Segment& segment) {
    done_.insert(segment.nodes.begin(), segment.nodes.end());
    const auto unread = [&](const Graph& graph) {
      return [&](const auto& entry) {
        return std::ranges::all_of(graph.value(entry.first).uses,
                                   [&](const Use& use) { return done_.contains(use.node); });
      };
    };
    std::erase_if(reference_, unread(graphs.float_graph));
    std::erase_if(quantized_, unread(graphs.quantized));
  }

  std::string learn(const SegmentGraphs& graphs, const Segment& segment, const Stores& reference) {
    SegmentTask task{graphs, segment, quantized_, reference, count_, {}, {}};
    std::vector<RoundedWeight> weights;
    std::set<size_t> seen;
    for (const NodeId id : segment.nodes) {
      for (const ValueId input : model().node(id).inputs) {
        const auto found = by_value_.find(input);
        if (found == by_value_.end() || trained_.contains(found->second)) continue;
        if (!seen.insert(found->second).second) continue;
        Parameter& parameter = parameters()[found->second];
        if (const auto params = params_of_.find(found->second); params != params_of_.end()) {
          weights.push_back({&parameter, &params->second});
        } else if (parameter.kind == Parameter::Kind::bias) {
          task.biases.push_back(&parameter);
        } else if (options_.learn_scales && parameter.kind == Parameter::Kind::scale &&
                   parameter.value.size() == 1 && rounds_data(id)) {
          task.scales.push_back(&parameter);
        } else {
          seen.erase(found->second);
        }
      }
    }
    trained_.insert(seen.begin(), seen.end());
    const SegmentResult result = train_segment(task, weights, options_.training);
    batch_ = std::min(batch_, result.batch);
    for (const size_t p : seen) {
      if (params_of_.contains(p)) keep_scales(p);
    }
    for (const size_t p : seen) keep(parameters()[p]);
    return fmt::format(
        ": error {:.3g} of the power, to nearest {:.3g}; {:.1f} % of the weights "
        "rounded otherwise",
        result.after, result.before, 100 * result.changed);
  }

  struct Layer {
    NodeId node;
    size_t weight;  ///< in the parameters
    int slot;
    std::optional<size_t> bias;
  };

  std::vector<Layer> layers_of(const Segment& segment) {
    std::vector<Layer> found;
    for (const NodeId id : segment.layers) {
      std::optional<Layer> layer;
      std::optional<size_t> bias;
      const std::vector<ValueId>& inputs = model().node(id).inputs;
      for (size_t slot = 0; slot < inputs.size(); ++slot) {
        ValueId source = inputs[slot];
        if (source == ValueId::none) continue;
        const NodeId rounding = model().value(source).producer;
        if (rounding != NodeId::none && model().node(rounding).op.domain == kTrainingDomain)
          source = model().node(rounding).inputs[0];
        const auto parameter = by_value_.find(source);
        if (parameter == by_value_.end()) continue;
        if (params_of_.contains(parameter->second)) {
          layer = Layer{id, parameter->second, static_cast<int>(slot), {}};
        } else if (parameters()[parameter->second].kind == Parameter::Kind::bias) {
          bias = parameter->second;
        }
      }
      if (!layer) continue;
      layer->bias = bias;
      found.push_back(*layer);
    }
    return found;
  }

  /// A value of the quantized model within the segment, for all samples.
  std::shared_ptr<SampleStore> led(const SegmentGraphs& graphs, const Segment& segment,
                                   ValueId value) {
    Stores stores = quantized_;
    if (!stores.contains(value)) {
      lead(model(), training_ops(), graphs.facts, segment.nodes, segment.inputs, std::array{value},
           count_, options_.batch, budget_, stores);
    }
    return stores.at(value);
  }

  /// The weights, then the biases, layer by layer.
  std::string solve(const SegmentGraphs& graphs, const Segment& segment) {
    std::string note;
    for (const Layer& layer : layers_of(segment)) {
      const ValueId result = model().node(layer.node).outputs[0];
      const bool keeps = options_.keep_means && !options_.measure_bias && layer.bias &&
                         !trained_.contains(layer.weight) && trained_.insert(*layer.bias).second;
      std::vector<double> wanted;
      if (keeps) wanted = means(*led(graphs, segment, result), layer);
      if (trained_.insert(layer.weight).second) note += round(graphs, segment, layer);
      if (keeps) note += move_biases(layer, wanted, means(*led(graphs, segment, result), layer));
      if (options_.measure_bias && layer.bias && trained_.insert(*layer.bias).second)
        note += correct(graphs, segment, layer);
      if (options_.training.advance) options_.training.advance(1);
    }
    return note.empty() ? ": rounded to nearest" : note;
  }

  struct Product {
    LinearLayer linear;
    WeightMatrix matrix;
  };

  std::optional<Product> product(const SegmentGraphs& graphs, const Layer& layer) {
    const Shape& shape = parameters()[layer.weight].value.shape();
    const auto linear =
        linear_layer(model(), training_ops(), graphs.facts, layer.node, layer.slot, shape);
    if (!linear) return std::nullopt;
    return Product{*linear, WeightMatrix(shape, linear->axis)};
  }

  std::shared_ptr<SampleStore> data_of(const SegmentGraphs& graphs, const Segment& segment,
                                       const Product& product) {
    const Node& node = model().node(product.linear.node);
    return led(graphs, segment, node.inputs[static_cast<size_t>(product.linear.data_slot)]);
  }

  /// To nearest, or as SeqMSE and GPTQ have it, which read the same second moments.
  std::string round(const SegmentGraphs& graphs, const Segment& segment, const Layer& layer) {
    Parameter& weight = parameters()[layer.weight];
    Tensor rounded = weight.value.clone();
    const bool feeds_back = options_.learning == Learning::second_moments;
    std::string note;
    if (feeds_back || options_.search_scales) {
      const auto product = this->product(graphs, layer);
      note = product ? by_moments(graphs, segment, layer, *product, rounded)
                     : ": no plain product, rounded to nearest";
    }
    weight.value = fake_quantize(rounded, params_of_.at(layer.weight));
    keep(weight);
    return note;
  }

  std::string by_moments(const SegmentGraphs& graphs, const Segment& segment, const Layer& layer,
                         const Product& product, Tensor& weights) {
    const size_t columns = product.matrix.columns;
    const bool feeds_back = options_.learning == Learning::second_moments;
    const bool searches = options_.search_scales && columns <= options_.most_columns;
    std::string note = options_.search_scales && !searches ? ": too wide, its scales stay" : "";
    if (!feeds_back && !searches) return note;
    const auto data = data_of(graphs, segment, product);
    double damping = 0;
    for (size_t first = 0; first < columns; first += options_.most_columns) {
      const size_t count = std::min(options_.most_columns, columns - first);
      const std::vector<double> moments = second_moments(model(), training_ops(), product.linear,
                                                         *data, kMostSamples, {first, count});
      if (searches) note += choose_scales(layer, product, moments);
      if (!feeds_back) continue;
      damping = std::max(damping, gptq(weights, product.matrix, params_of_.at(layer.weight),
                                       moments, kDamping, product.linear.groups, first));
    }
    return feeds_back ? note + fmt::format(": damping {:.3g}", damping) : note;
  }

  std::string choose_scales(const Layer& layer, const Product& product,
                            const std::vector<double>& moments) {
    QuantParams& params = params_of_.at(layer.weight);
    const std::vector<float> before = params.scale;
    params.scale = seqmse(parameters()[layer.weight].value, product.matrix, params, moments);
    keep_scales(layer.weight);
    size_t changed = 0;
    for (size_t i = 0; i < before.size(); ++i) changed += before[i] != params.scale[i] ? 1 : 0;
    return fmt::format(": {} of {} scales changed", changed, before.size());
  }

  /// A weight's scales, which were learned, where the plan and its bias's rounding find them.
  void keep_scales(size_t weight) {
    for (const LearnedGrid& grid : training_.grids) {
      if (plan_.placements[grid.placement].value != parameters()[weight].id) continue;
      Parameter& scale = parameters()[grid.scale];
      const std::vector<float>& learned = params_of_.at(weight).scale;
      if (static_cast<size_t>(scale.value.size()) != learned.size()) continue;
      scale.value = Tensor::of<float>(scale.value.shape(), learned);
      keep(scale);
    }
  }

  std::string correct(const SegmentGraphs& graphs, const Segment& segment, const Layer& layer) {
    const ValueId result = model().node(layer.node).outputs[0];
    Stores exact = reference_;
    lead(graph_, builtin_ops(), graphs.float_facts, segment.float_nodes, segment.float_inputs,
         std::array{result}, count_, options_.batch, budget_, exact);
    return move_biases(layer, means(*exact.at(result), layer),
                       means(*led(graphs, segment, result), layer));
  }

  /// Matrix products count channels in the last dimension, convolutions behind the batch.
  std::vector<double> means(const SampleStore& results, const Layer& layer) {
    const auto channels = static_cast<size_t>(parameters()[*layer.bias].value.size());
    const bool last = parameters()[layer.weight].value.rank() == 2;
    return channel_means(results, channels, last, options_.batch);
  }

  /// By what the means are to be and are.
  std::string move_biases(const Layer& layer, std::span<const double> wanted,
                          std::span<const double> found) {
    if (wanted.empty() || found.size() != wanted.size()) return "";
    Parameter& bias = parameters()[*layer.bias];
    bias.value = bias.value.clone();
    const auto elements = bias.value.data<float>();
    double largest = 0;
    for (size_t c = 0; c < elements.size(); ++c) {
      const double shift = wanted[c] - found[c];
      largest = std::max(largest, std::abs(shift));
      elements[c] += static_cast<float>(shift);
    }
    keep(bias);
    return fmt::format(": biases move by up to {:.3g}", largest);
  }

  bool rounds_data(NodeId id) {
    const OpKey fake_quantize{kTrainingDomain, "FakeQuantize"};
    const Node& node = model().node(id);
    return node.op == fake_quantize && model().constant(node.inputs[0]) == nullptr;
  }

  const Graph& graph_;
  const QuantPlan& plan_;
  const RoundingOptions& options_;
  size_t count_;
  size_t batch_ = options_.training.batch;
  MemoryBudget budget_;
  Stores reference_;
  Stores quantized_;
  QuantizedTraining training_;
  std::map<ValueId, size_t> by_value_;       ///< parameters
  std::map<size_t, QuantParams> params_of_;  ///< of parameters that are rounded weights
  std::set<NodeId> layers_;
  std::set<NodeId> done_;
  std::set<size_t> trained_;
};

}  // namespace

RoundedModel learn_rounding(const Graph& graph, const QuantPlan& plan, const FeedSource& samples,
                            size_t count, const RoundingOptions& options) {
  return Learner(graph, plan, samples, count, options).run();
}

}  // namespace qtool
