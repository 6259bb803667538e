// SPDX-License-Identifier: Apache-2.0
#include "rounding/moments.h"

#include <algorithm>

#include "exec/session.h"
#include "rounding/gptq.h"
#include "support/parallel.h"

namespace qtool {

namespace {

constexpr size_t kBatch = 4;

/// Weights of as many results as there are columns (in each group): each picks one.
Tensor picking(const LinearLayer& layer, const ColumnRange& columns) {
  Shape shape = layer.weights;
  shape[static_cast<size_t>(layer.axis)] = static_cast<int64_t>(columns.count * layer.groups);
  Tensor weights(DType::float32, shape);
  const WeightMatrix matrix(shape, layer.axis);
  for (size_t r = 0; r < matrix.rows; ++r)
    weights.data<float>()[matrix.at(r, columns.first + r % columns.count)] = 1;
  return weights;
}

/// The node alone, reading "x" and giving "y".
Graph patches(const Graph& whole, const LinearLayer& layer, Tensor weights, const Shape& shape) {
  Graph graph;
  graph.model.ir_version = whole.model.ir_version;
  graph.model.opsets = whole.model.opsets;
  const ValueId x = graph.add_value("x", TensorType(DType::float32, shape));
  graph.add_input(x);
  const ValueId w = graph.add_constant("w", make_constant(std::move(weights)));
  Node node = whole.node(layer.node);
  node.inputs.assign(2, ValueId::none);
  node.inputs.at(static_cast<size_t>(layer.data_slot)) = x;
  node.inputs.at(static_cast<size_t>(layer.weight_slot)) = w;
  const ValueId y = graph.add_value("y");
  node.outputs = {y};
  graph.add_node(std::move(node));
  graph.add_output(y);
  return graph;
}

/// Adds x x^T of `count` rows of `columns` to the moments.
void add(std::span<const float> rows, size_t count, size_t columns, std::span<double> moments) {
  parallel_for(static_cast<int64_t>(columns), 8, [&](int64_t begin, int64_t end) {
    std::vector<float> sum(columns);
    for (size_t i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
      std::ranges::fill(sum, 0.0F);
      for (size_t r = 0; r < count; ++r) {
        const float* row = rows.data() + r * columns;
        const float x = row[i];
        if (x == 0) continue;
        for (size_t j = 0; j < columns; ++j) sum[j] += x * row[j];
      }
      for (size_t j = 0; j < columns; ++j) moments[i * columns + j] += static_cast<double>(sum[j]);
    }
  });
}

}  // namespace

std::optional<LinearLayer> linear_layer(const Graph& graph, const OpRegistry& ops,
                                        const Facts& facts, NodeId id, int weight_slot,
                                        const Shape& weights) {
  const Node& node = graph.node(id);
  const OpDef* def = ops.find(node, graph.model);
  if (def == nullptr || def->quant.inputs.empty() || weight_slot > 1 || weights.size() < 2)
    return {};
  const auto& rules = def->quant.inputs;
  const auto rule = [&](int slot) {
    return rules[std::min(static_cast<size_t>(slot), rules.size() - 1)];
  };
  LinearLayer layer;
  layer.node = id;
  layer.weight_slot = weight_slot;
  layer.data_slot = 1 - weight_slot;
  if (rule(layer.data_slot).role != OperandRole::activation ||
      rule(weight_slot).role != OperandRole::weight || rule(weight_slot).channel_axis == nullptr) {
    return {};
  }
  layer.axis =
      rule(weight_slot).channel_axis(NodeView(graph, id, facts, graph.model.opset(node.op.domain)));
  layer.weights = weights;
  layer.groups = static_cast<size_t>(std::max<int64_t>(1, node.attributes.integer("group", 1)));
  const bool matrix = weights.size() == 2;
  // Convolutions count results in front; those of transposed ones overlap.
  if (layer.axis < 0 || (!matrix && layer.axis != 0)) return {};
  return layer;
}

std::vector<double> second_moments(const Graph& graph, const OpRegistry& ops,
                                   const LinearLayer& layer, const SampleStore& data, size_t most,
                                   const ColumnRange& range) {
  const size_t columns = range.count;
  std::vector<double> moments(layer.groups * columns * columns, 0.0);
  const size_t samples = std::min(most, data.samples());
  std::optional<Session> session;
  size_t batch_of_session = 0;
  std::vector<float> rows;
  const size_t batch = data.form() == RowForm::whole ? 1 : kBatch;
  for (size_t first = 0; first < samples; first += batch) {
    const size_t count = std::min(batch, samples - first);
    TensorMap feeds;
    feeds.emplace("x", data.read(first, count));
    if (!session || batch_of_session != count) {
      session.emplace(patches(graph, layer, picking(layer, range), feeds.at("x").shape()), ops,
                      SessionOptions{});
      batch_of_session = count;
    }
    const Tensor y = std::move(session->run(feeds).at("y"));
    const auto values = y.data<float>();
    if (layer.weights.size() == 2) {
      add(values, values.size() / columns, columns, moments);
      continue;
    }
    const size_t channels = layer.groups * columns;
    const size_t positions = values.size() / count / channels;
    rows.resize(positions * columns);
    for (size_t n = 0; n < count; ++n) {
      for (size_t g = 0; g < layer.groups; ++g) {
        for (size_t c = 0; c < columns; ++c) {
          const float* from = values.data() + ((n * layer.groups + g) * columns + c) * positions;
          for (size_t p = 0; p < positions; ++p) rows[p * columns + c] = from[p];
        }
        add(rows, positions, columns,
            std::span(moments).subspan(g * columns * columns, columns * columns));
      }
    }
  }
  return moments;
}

std::vector<double> channel_means(const SampleStore& results, size_t channels, bool last,
                                  size_t batch) {
  const Shape row = results.read(0, 1).shape();
  if (row.size() < 2 || static_cast<size_t>(last ? row.back() : row[1]) != channels) return {};
  size_t inner = 1;
  for (size_t d = 2; d < row.size(); ++d) inner *= static_cast<size_t>(row[d]);
  std::vector<double> sums(channels, 0);
  size_t counted = 0;
  if (results.form() == RowForm::whole) batch = 1;
  for (size_t first = 0; first < results.samples(); first += batch) {
    const Tensor some = results.read(first, std::min(batch, results.samples() - first));
    const auto values = some.data<float>();
    for (size_t i = 0; i < values.size(); ++i)
      sums[last ? i % channels : i / inner % channels] += static_cast<double>(values[i]);
    counted += values.size() / channels;
  }
  for (double& sum : sums) sum /= static_cast<double>(counted);
  return sums;
}

}  // namespace qtool
