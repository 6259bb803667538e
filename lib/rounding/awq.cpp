// SPDX-License-Identifier: Apache-2.0
#include "rounding/awq.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "exec/session_runner.h"
#include "passes/divide_channels.h"
#include "quant/algorithms/weight_only.h"
#include "quant/names.h"
#include "support/parallel.h"

namespace qtool {

namespace {

constexpr int kSteps = 20;
constexpr double kWorth = 0.98;  ///< of the error without
constexpr double kFarthest = 1e4;

/// Products by what they read; only of floats with a constant matrix.
std::map<ValueId, std::vector<NodeId>> products(const Graph& graph) {
  std::map<ValueId, std::vector<NodeId>> found;
  for (const NodeId id : graph.nodes()) {
    if (product_weights(graph, id)) found[graph.node(id).inputs[0]].push_back(id);
  }
  return found;
}

/// Weights turned to [results, channels], their grid's axis and all.
struct Product {
  Tensor weights;  ///< as stored
  bool channels_last = false;
  size_t channels = 0;
  size_t results = 0;

  size_t at(size_t n, size_t j) const { return channels_last ? n * channels + j : j * results + n; }
};

Product product_of(const Graph& graph, NodeId id) {
  const auto shape = product_weights(graph, id);
  Product product;
  product.weights = graph.constant(graph.node(id).inputs[1])->clone();
  product.channels_last = shape->channels_last;
  product.channels = static_cast<size_t>(shape->channels);
  product.results = static_cast<size_t>(product.weights.size()) / product.channels;
  return product;
}

/// Squared error of x (Q(w s) / s - w) over all rows.
double error(const Product& product, const Tensor& x, const std::vector<double>& scale,
             const WeightGrid& grid) {
  Tensor scaled = product.weights.clone();
  const auto w = scaled.data<float>();
  for (size_t n = 0; n < product.results; ++n) {
    for (size_t j = 0; j < product.channels; ++j)
      w[product.at(n, j)] *= static_cast<float>(scale[j]);
  }
  const Tensor rounded = fake_quantize(scaled, weight_grid(scaled, grid));
  const size_t rows = static_cast<size_t>(x.shape()[0]);
  std::vector<double> sums(product.results, 0);
  parallel_for(static_cast<int64_t>(product.results), 4, [&](int64_t begin, int64_t end) {
    std::vector<float> d(product.channels);
    for (auto n = static_cast<size_t>(begin); n < static_cast<size_t>(end); ++n) {
      for (size_t j = 0; j < d.size(); ++j) {
        const size_t i = product.at(n, j);
        d[j] = (rounded.data<float>()[i] - w[i]) / static_cast<float>(scale[j]);
      }
      for (size_t r = 0; r < rows; ++r) {
        const float* row = x.data<float>().data() + r * d.size();
        float sum = 0;
        for (size_t j = 0; j < d.size(); ++j) sum += row[j] * d[j];
        sums[n] += static_cast<double>(sum) * static_cast<double>(sum);
      }
    }
  });
  double total = 0;
  for (const double each : sums) total += each;
  return total;
}

std::vector<double> mean_sizes(const Tensor& x) {
  const auto channels = static_cast<size_t>(x.shape()[1]);
  std::vector<double> sizes(channels, 0);
  const auto values = x.data<float>();
  for (size_t i = 0; i < values.size(); ++i)
    sizes[i % channels] += std::abs(static_cast<double>(values[i]));
  for (double& size : sizes) size /= static_cast<double>(x.shape()[0]);
  return sizes;
}

/// Around 1: the least and the largest factor are each other's inverse, as in the paper's code.
std::vector<double> scale_for(const std::vector<double>& sizes, double exponent) {
  std::vector<double> scale;
  for (const double size : sizes) scale.push_back(std::max(std::pow(size, exponent), 1e-4));
  const auto [least, most] = std::ranges::minmax(scale);
  const double middle = std::sqrt(least * most);
  for (double& each : scale)
    each = static_cast<double>(
        static_cast<float>(std::clamp(each / middle, 1 / kFarthest, kFarthest)));
  return scale;
}

}  // namespace

ProductRows rows_of_products(const Graph& graph, const OpRegistry& ops, const FeedSource& samples,
                             size_t most) {
  Graph tapped = graph;
  const Facts facts = infer_facts(graph, ops);
  const auto by_input = products(graph);
  std::map<std::string, ValueId> names;
  for (const auto& [value, nodes] : by_input) {
    if (facts[value].type.dtype != DType::float32 || graph.constant(value) != nullptr) continue;
    names.emplace(graph.value(value).name, value);
    if (!tapped.is_output(value) && !tapped.is_input(value)) tapped.add_output(value);
  }
  const auto runner = open_session(std::make_shared<const Graph>(std::move(tapped)), ops);
  std::map<ValueId, std::vector<float>> gathered;
  std::map<ValueId, size_t> seen;
  std::map<ValueId, size_t> stride;
  while (const auto batch = samples()) {
    const TensorMap outputs = runner->run(batch->inputs);
    for (const auto& [name, id] : names) {
      const auto made = outputs.find(name);
      const Tensor& x = made != outputs.end() ? made->second : batch->inputs.at(name);
      const auto channels = static_cast<size_t>(x.shape().back());
      const size_t rows = static_cast<size_t>(x.size()) / std::max<size_t>(channels, 1);
      std::vector<float>& kept = gathered[id];
      size_t& step = stride.emplace(id, 1).first->second;
      for (size_t r = 0; r < rows; ++r) {
        if (seen[id]++ % step != 0) continue;
        const float* row = x.data<float>().data() + r * channels;
        kept.insert(kept.end(), row, row + channels);
        if (kept.size() / channels < 2 * most) continue;
        // Every other row goes, and from here on every other one is taken.
        for (size_t k = 1; k < most; ++k)
          std::copy_n(kept.data() + 2 * k * channels, channels, kept.data() + k * channels);
        kept.resize(most * channels);
        step *= 2;
      }
    }
  }
  ProductRows rows;
  for (auto& [id, kept] : gathered) {
    const auto channels = static_cast<size_t>(product_weights(graph, by_input.at(id)[0])->channels);
    const auto count = static_cast<int64_t>(kept.size() / channels);
    rows.emplace(id, Tensor::of<float>({count, static_cast<int64_t>(channels)}, kept));
  }
  return rows;
}

std::vector<Smoothing> find_awq(const Graph& graph, const OpRegistry& ops, const Recipe& recipe,
                                const ProductRows& rows) {
  const QuantPlan plan = plan_weights(graph, ops, recipe);
  const std::set<NodeId> planned(plan.quantized.begin(), plan.quantized.end());
  const std::map<NodeId, WeightGrid> wished = wished_grids(graph, ops, recipe);
  const NodeKeys keys(graph);
  std::vector<Smoothing> found;
  for (const auto& [value, nodes] : products(graph)) {
    const auto x = rows.find(value);
    const bool all = std::ranges::all_of(nodes, [&](NodeId id) { return planned.contains(id); });
    if (x == rows.end() || !all || divided_at_source(graph, value, nodes).empty()) continue;
    std::vector<Product> each;
    std::vector<WeightGrid> grids;
    for (const NodeId id : nodes) {
      each.push_back(product_of(graph, id));
      grids.push_back(wished.at(id));
    }
    const std::vector<double> sizes = mean_sizes(x->second);
    const auto total = [&](const std::vector<double>& scale) {
      double sum = 0;
      for (size_t p = 0; p < each.size(); ++p) sum += error(each[p], x->second, scale, grids[p]);
      return sum;
    };
    const double before = total(std::vector<double>(sizes.size(), 1));
    double least = before;
    Smoothing smoothing;
    int exponent = 0;
    for (int i = 1; i <= kSteps; ++i) {
      const std::vector<double> scale = scale_for(sizes, static_cast<double>(i) / kSteps);
      const double now = total(scale);
      if (!(now < least)) continue;
      least = now;
      exponent = i;
      smoothing.scale.assign(scale.begin(), scale.end());
    }
    if (!(least < kWorth * before)) continue;
    smoothing.tensor = graph.value(value).name;
    for (const NodeId id : nodes) smoothing.nodes.push_back(keys.key(id));
    smoothing.absorbed = true;
    smoothing.reason = fmt::format(
        "awq: {:.1f} dB less error of the products, with exponent {:.2f}",
        10 * std::log10(before / std::max(least, 1e-300)), static_cast<double>(exponent) / kSteps);
    found.push_back(std::move(smoothing));
  }
  return found;
}

}  // namespace qtool
