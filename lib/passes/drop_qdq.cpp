// SPDX-License-Identifier: Apache-2.0
// before: %q = QuantizeLinear(%x, s, z), %y = DequantizeLinear(%q, s, z); DequantizeLinear(codes)
// after:  readers of %y read %x, or %y = Clip(%x, 0, highest s) where z is the lowest code and %x
//         may be negative; the constant that DequantizeLinear makes of constant codes
// when:   scales and zero points are constants, one a tensor or one a channel, and the same in both
// maths:  clip(round(x / s) + z) s - z s without the rounding. Where the grid begins at zero it may
//         stand for a Relu or Clip that went; its other ends only bound what data has.
#include <algorithm>
#include <set>

#include "numerics/affine.h"
#include "passes/passes.h"

namespace qtool {

namespace {

const OpKey kQuantize{"", "QuantizeLinear"};
const OpKey kDequantize{"", "DequantizeLinear"};

Constant known(const Graph& graph, const Node& node, size_t slot) {
  const bool given = node.inputs.size() > slot && node.inputs[slot] != ValueId::none;
  return given ? graph.constant(node.inputs[slot]) : nullptr;
}

/// Scales and zero points of one Q or DQ.
struct Grid {
  std::vector<double> scale;
  std::vector<double> zero_point;  ///< as many
  DType codes = DType::undefined;
  int64_t axis = 1;
  friend bool operator==(const Grid&, const Grid&) = default;
};

std::optional<Grid> grid_of(const Graph& graph, const Node& node, DType codes) {
  const Constant scale = known(graph, node, 1);
  if (scale == nullptr || scale->shape().size() > 1) return std::nullopt;
  Grid grid{to_doubles(*scale), {}, codes, 1};
  if (grid.scale.size() > 1) grid.axis = node.attributes.integer("axis", 1);
  if (node.inputs.size() < 3 || node.inputs[2] == ValueId::none) {
    grid.zero_point.resize(grid.scale.size());
  } else {
    const Constant zero = known(graph, node, 2);
    if (zero == nullptr || zero->size() != scale->size()) return std::nullopt;
    grid.zero_point = to_doubles(*zero);
    grid.codes = zero->dtype();
  }
  return grid;
}

// ---- codes that are constants -------------------------------------------------------------------

std::optional<Tensor> elements(const Graph& graph, const Node& node) {
  const Constant codes = known(graph, node, 0);
  if (codes == nullptr || !is_integer(codes->dtype())) return std::nullopt;
  const auto grid = grid_of(graph, node, codes->dtype());
  if (!grid || grid->codes != codes->dtype()) return std::nullopt;
  const Shape& shape = codes->shape();
  const auto rank = static_cast<int64_t>(shape.size());
  int64_t inner = std::max<int64_t>(codes->size(), 1);
  const auto channels = static_cast<int64_t>(grid->scale.size());
  if (channels != 1) {
    const int64_t axis = grid->axis < 0 ? grid->axis + rank : grid->axis;
    if (axis < 0 || axis >= rank || shape[static_cast<size_t>(axis)] != channels)
      return std::nullopt;
    inner = 1;
    for (int64_t i = axis + 1; i < rank; ++i) inner *= shape[static_cast<size_t>(i)];
  }
  const std::vector<double> from = to_doubles(*codes);
  Tensor made(DType::float32, shape);
  const auto to = made.data<float>();
  for (size_t i = 0; i < from.size(); ++i) {
    const auto channel = static_cast<size_t>(static_cast<int64_t>(i) / inner % channels);
    to[i] = static_cast<float>((from[i] - grid->zero_point[channel]) * grid->scale[channel]);
  }
  return made;
}

int fold_codes(Graph& graph) {
  int count = 0;
  for (const NodeId id : graph.topological_order()) {
    const Node& node = graph.node(id);
    if (node.op != kDequantize || node.outputs.empty() || graph.is_output(node.outputs[0]))
      continue;
    auto made = elements(graph, node);
    if (!made) continue;
    const ValueId result = node.outputs[0];
    graph.erase(id);
    graph.set_constant(result, make_constant(std::move(*made)));
    graph.annotations(result).listed = false;
    ++count;
  }
  return count;
}

// ---- activations --------------------------------------------------------------------------------

/// Values that are not negative for what made them, as far as one can tell; graph inputs pass for
/// such, since it is their data that says so. Grows in topological order.
class NotNegative {
 public:
  bool contains(const Graph& graph, ValueId id) const {
    return graph.value(id).producer == NodeId::none || found_.contains(id);
  }
  void add(ValueId id) { found_.insert(id); }
  void add_results(const Graph& graph, const Node& node) {
    if (makes(graph, node)) found_.insert(node.outputs.begin(), node.outputs.end());
  }

 private:
  bool makes(const Graph& graph, const Node& node) const {
    static const std::set<std::string, std::less<>> always{"Relu", "Sigmoid", "Softmax", "Abs",
                                                           "HardSigmoid"};
    static const std::set<std::string, std::less<>> as_read{
        "MaxPool",   "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Flatten", "Reshape",
        "Transpose", "Squeeze",     "Unsqueeze",         "Slice",         "Split",   "Gather",
        "Concat",    "Add",         "Identity"};
    if (!node.op.domain.empty() || node.inputs.empty()) return false;
    if (always.contains(node.op.type)) return true;
    if (node.op.type == "Clip") {
      const Constant lowest = known(graph, node, 1);
      return lowest != nullptr && lowest->size() == 1 && to_doubles(*lowest)[0] >= 0;
    }
    if (!as_read.contains(node.op.type)) return false;
    const bool all = node.op.type == "Concat" || node.op.type == "Add";
    return std::all_of(node.inputs.begin(), all ? node.inputs.end() : node.inputs.begin() + 1,
                       [&](ValueId input) { return contains(graph, input); });
  }

  std::set<ValueId> found_;
};

struct Pair {
  NodeId dequantize;
  ValueId input;
  ValueId output;
  Range range;
};

std::optional<Pair> pair_at(const Graph& graph, NodeId id) {
  const Node& node = graph.node(id);
  if (node.op != kDequantize || node.inputs.empty() || node.outputs.empty()) return std::nullopt;
  const NodeId producer = graph.value(node.inputs[0]).producer;
  if (producer == NodeId::none || graph.node(producer).op != kQuantize) return std::nullopt;
  const Node& quantize = graph.node(producer);
  const auto before = grid_of(graph, quantize, DType::uint8);
  const auto after = grid_of(graph, node, DType::uint8);
  if (!before || !after || !(*before == *after)) return std::nullopt;
  const DType codes = after->codes;
  if (!is_integer(codes) || bits(codes) > 16) return std::nullopt;
  Pair pair{id, quantize.inputs.at(0), node.outputs[0], {-1, 1}};
  if (after->scale.size() == 1) {
    const int half = 1 << (bits(codes) - 1);
    const double lowest = is_signed(codes) ? -half : 0;
    const double highest = lowest + 2 * half - 1;
    pair.range = {static_cast<float>((lowest - after->zero_point[0]) * after->scale[0]),
                  static_cast<float>((highest - after->zero_point[0]) * after->scale[0])};
  }
  return pair;
}

ValueId bound(Graph& graph, float value) {
  return graph.add_constant(graph.unique_name("bound"), make_constant(Tensor::scalar(value)));
}

void drop(Graph& graph, const Pair& pair, bool clip) {
  const std::string name = graph.node(pair.dequantize).name;
  graph.erase(pair.dequantize);
  if (!clip && !graph.is_output(pair.output)) {
    graph.replace_uses(pair.output, pair.input);
    graph.erase(pair.output);
    return;
  }
  Node node;
  node.name = name;
  node.op = {"", clip ? "Clip" : "Identity"};
  node.inputs = {pair.input};
  node.outputs = {pair.output};
  if (clip) {
    node.inputs.push_back(bound(graph, 0));
    node.inputs.push_back(bound(graph, pair.range.high));
  }
  graph.add_node(std::move(node));
}

class DropQdq final : public Pass {
 public:
  std::string_view name() const override { return "drop_qdq"; }

  int run(Graph& graph, const PassContext&) const override {
    int count = fold_codes(graph);
    NotNegative not_negative;
    for (const NodeId id : graph.topological_order()) {
      const auto pair = pair_at(graph, id);
      if (!pair) {
        not_negative.add_results(graph, graph.node(id));
        continue;
      }
      const bool clip = pair->range.low == 0 && !not_negative.contains(graph, pair->input);
      drop(graph, *pair, clip);
      if (clip) not_negative.add(pair->output);
      ++count;
    }
    graph.erase_dead();
    return count;
  }
};

}  // namespace

PassPtr drop_qdq() { return std::make_shared<DropQdq>(); }

}  // namespace qtool
