// SPDX-License-Identifier: Apache-2.0
// Two layers whose errors are worked out by plain loops here.
#include "report/compare.h"

#include <cmath>

#include "catch.h"
#include "report/shared_tensors.h"

using namespace qtool;

namespace {

using Floats = std::vector<float>;

constexpr float kInputScale = 0.25F;
constexpr float kHiddenScale = 0.125F;  // 127 steps reach 15.875: 20 is beyond

/// x [1,2] -> MatMul -> h [1,3] -> Relu -> r -> MatMul -> y [1,2]; quantized: Q/DQ at x and r.
struct Network {
  Graph graph;

  /// `clip` stands in front of r's codes, as where a narrow grid is stored in 8 bits.
  explicit Network(bool quantized, std::optional<Range> clip = {}) {
    graph.model.opsets[""] = 13;
    ValueId value = graph.add_value("x", TensorType(DType::float32, Shape{1, 2}));
    graph.add_input(value);
    if (quantized) value = around(value, kInputScale);
    value = node("MatMul", {value, weights("w1", {2, 3}, {1, 2, -3, 0.5F, 8, 1})}, "h");
    value = node("Relu", {value}, "r");
    if (quantized && clip) value = clipped(value, *clip);
    if (quantized) value = around(value, kHiddenScale);
    value = node("MatMul", {value, weights("w2", {3, 2}, {1, -1, 0.25F, 0.5F, 3, 2})}, "y");
    graph.add_output(value);
  }

  ValueId weights(const char* name, Shape shape, Floats elements) {
    return graph.add_constant(name, make_constant(Tensor::of<float>(std::move(shape), elements)));
  }

  ValueId node(const char* op, std::vector<ValueId> inputs, const std::string& output) {
    const ValueId value = graph.add_value(output);
    Node made;
    made.name = "make_" + output;
    made.op = {"", op};
    made.inputs = std::move(inputs);
    made.outputs = {value};
    graph.add_node(std::move(made));
    return value;
  }

  ValueId clipped(ValueId value, Range range) {
    const ValueId low = graph.add_constant("low", make_constant(Tensor::scalar(range.low)));
    const ValueId high = graph.add_constant("high", make_constant(Tensor::scalar(range.high)));
    return node("Clip", {value, low, high}, graph.value(value).name + "_clipped");
  }

  ValueId around(ValueId value, float scale) {
    std::string name = graph.value(value).name;
    const bool behind_clip = name == "r_clipped";
    if (behind_clip) name = "r";
    const ValueId s = graph.add_constant(name + "_s", make_constant(Tensor::scalar(scale)));
    const ValueId z = graph.add_constant(name + "_z", make_constant(Tensor::scalar<int8_t>(0)));
    const ValueId codes =
        node("QuantizeLinear", {value, s, z}, name + (behind_clip ? "_quantized" : "_codes"));
    return node("DequantizeLinear", {codes, s, z}, name + "_again");
  }
};

Floats product(const Floats& x, const Floats& w, size_t columns) {
  Floats y(columns, 0.F);
  for (size_t i = 0; i < x.size(); ++i) {
    for (size_t j = 0; j < columns; ++j) y[j] += x[i] * w[i * columns + j];
  }
  return y;
}

Floats rounded(Floats x, float scale) {
  for (float& v : x) v = std::clamp(std::nearbyint(v / scale), -128.F, 127.F) * scale;
  return x;
}

Floats hidden(const Floats& x) {
  Floats h = product(x, {1, 2, -3, 0.5F, 8, 1}, 3);
  for (float& v : h) v = std::max(v, 0.F);
  return h;
}

Floats output(const Floats& r) { return product(r, {1, -1, 0.25F, 0.5F, 3, 2}, 2); }

double sqnr(const std::vector<Floats>& reference, const std::vector<Floats>& other) {
  double signal = 0;
  double noise = 0;
  for (size_t n = 0; n < reference.size(); ++n) {
    for (size_t i = 0; i < reference[n].size(); ++i) {
      signal += std::pow(double{reference[n][i]}, 2);
      noise += std::pow(double{other[n][i]} - double{reference[n][i]}, 2);
    }
  }
  return 10 * std::log10(signal / noise);
}

const std::vector<Floats> kSamples{{0.3F, 2.6F}, {-1.1F, 0.4F}, {2.2F, 0.7F}};

std::map<std::string, LayerError> compared(std::optional<Range> clip = {}) {
  TensorComparison comparison(std::make_shared<Graph>(Network(false).graph),
                              std::make_shared<Graph>(Network(true, clip).graph), builtin_ops());
  for (const Floats& sample : kSamples) {
    TensorMap feeds;
    feeds.emplace("x", Tensor::of<float>({1, 2}, sample));
    comparison.add(feeds);
  }
  std::map<std::string, LayerError> layers;
  for (const LayerError& layer : comparison.result()) layers.emplace(layer.tensor, layer);
  return layers;
}

}  // namespace

TEST_CASE("compare: the error that arrives and the layer's own are those worked out by hand") {
  const auto layers = compared();
  std::vector<Floats> x, x_rounded, r, r_arrived, r_own, y, y_arrived, y_own;
  for (const Floats& sample : kSamples) {
    x.push_back(sample);
    x_rounded.push_back(rounded(sample, kInputScale));
    r.push_back(hidden(sample));
    r_arrived.push_back(rounded(hidden(x_rounded.back()), kHiddenScale));
    y.push_back(output(r.back()));
    y_arrived.push_back(output(r_arrived.back()));
    y_own.push_back(output(rounded(r.back(), kHiddenScale)));
  }
  REQUIRE(layers.size() == 3);  // h only waits for its Relu and QuantizeLinear
  const auto close = [](double value) { return Approx(value).epsilon(1e-4); };
  CHECK(*layers.at("x").sqnr_db == close(sqnr(x, x_rounded)));
  CHECK(*layers.at("r").sqnr_db == close(sqnr(r, r_arrived)));
  CHECK(*layers.at("r").added_sqnr_db == close(sqnr(r, r_arrived)));  // all of it is its own
  CHECK(*layers.at("y").sqnr_db == close(sqnr(y, y_arrived)));
  CHECK(*layers.at("y").added_sqnr_db == close(sqnr(y, y_own)));
  CHECK(*layers.at("y").added_sqnr_db != *layers.at("y").sqnr_db);
  CHECK(layers.at("r").node == "make_r");
  CHECK(layers.at("r").op == "Relu");
  CHECK(layers.at("y").node == "make_y");
}

TEST_CASE("compare: a node in QOperator form is looked at by its codes") {
  Network net(true);
  Graph& graph = net.graph;
  const NodeId first = graph.value(*graph.find_value("h")).producer;
  // w1 is whole in steps of 0.5; the result has steps of 0.25.
  const auto constant = [&](const char* name, auto value) {
    return graph.add_constant(name, make_constant(Tensor::scalar(value)));
  };
  Node node;
  node.name = "coded";
  node.op = {"", "QLinearMatMul"};
  node.inputs = {*graph.find_value("x_codes"),
                 *graph.find_value("x_s"),
                 *graph.find_value("x_z"),
                 graph.add_constant(
                     "w1_codes", make_constant(Tensor::of<int8_t>({2, 3}, {2, 4, -6, 1, 16, 2}))),
                 constant("w1_s", 0.5F),
                 constant("w1_z", int8_t{0}),
                 constant("h_s", 0.25F),
                 constant("h_z", int8_t{0})};
  const ValueId codes = graph.add_value("h_quantized");
  node.outputs = {codes};
  graph.add_node(std::move(node));
  Node back;
  back.name = "back";
  back.op = {"", "DequantizeLinear"};
  back.inputs = {codes, *graph.find_value("h_s"), *graph.find_value("h_z")};
  const ValueId again = graph.add_value("h_again");
  back.outputs = {again};
  graph.replace_uses(*graph.find_value("h"), again);
  graph.add_node(std::move(back));
  graph.erase(first);
  graph.erase_dead();

  TensorComparison comparison(std::make_shared<Graph>(Network(false).graph),
                              std::make_shared<Graph>(graph), builtin_ops());
  std::vector<Floats> h, h_arrived;
  for (const Floats& sample : kSamples) {
    TensorMap feeds;
    feeds.emplace("x", Tensor::of<float>({1, 2}, sample));
    comparison.add(feeds);
    h.push_back(product(sample, {1, 2, -3, 0.5F, 8, 1}, 3));
    h_arrived.push_back(
        rounded(product(rounded(sample, kInputScale), {1, 2, -3, 0.5F, 8, 1}, 3), 0.25F));
  }
  bool found = false;
  for (const LayerError& layer : comparison.result()) {
    if (layer.tensor != "h") continue;
    found = true;
    CHECK(*layer.sqnr_db == Approx(sqnr(h, h_arrived)).epsilon(1e-4));
  }
  CHECK(found);
}

TEST_CASE("compare: saturation counts what the codes cannot represent, not zeros of a Relu") {
  const auto layers = compared();
  // r of the first sample is 1.6, 21.4, 1.7; of the others all is below 15.9.
  CHECK(*layers.at("r").saturated == Approx(1.0 / 9));
  CHECK(*layers.at("x").saturated == 0);
  // The codes reach from -16 to 15.875; bins go a quarter of that further, 0.996 wide.
  const LayerHistogram& h = *layers.at("r").histogram;
  CHECK(h.range_low == -16);
  CHECK(h.range_high == 15.875);
  CHECK(h.low == Approx(-23.96875));
  CHECK(h.high == Approx(23.84375));
  uint64_t total = 0;
  for (const uint64_t count : h.counts) total += count;
  CHECK(total == 9);
  CHECK(h.counts.at(45) == 1);  // 21.4 is 45.5 bins from the lowest
  CHECK(!layers.at("y").saturated);
}

TEST_CASE("compare: a Clip in front of the codes ends what they represent") {
  const auto layers = compared(Range{0, 1.625F});
  // Half a step above the end still rounds to it.
  double beyond = 0;
  for (const Floats& sample : kSamples) {
    for (const float r : hidden(sample)) beyond += r > 1.625F + kHiddenScale / 2;
  }
  CHECK(*layers.at("r").saturated == Approx(beyond / 9));
  CHECK(beyond > 1);
  CHECK(layers.at("r").histogram->range_low == 0);
  CHECK(layers.at("r").histogram->range_high == 1.625);
}

TEST_CASE("compare: worst first, equal ones last, those without a number first") {
  const auto layer = [](const char* name, std::optional<double> own, bool exact = false) {
    LayerError error;
    error.tensor = name;
    error.added_sqnr_db = own;
    error.exact = exact;
    return error;
  };
  std::vector<LayerError> layers{layer("a", 30), layer("b", {}, true), layer("c", 10),
                                 layer("d", {})};
  sort_worst_first(layers);
  std::string order;
  for (const LayerError& each : layers) order += each.tensor;
  CHECK(order == "dcab");
}

TEST_CASE("compare: a model against itself is exact; strangers are refused") {
  const auto graph = std::make_shared<Graph>(Network(false).graph);
  TensorComparison comparison(graph, graph, builtin_ops());
  TensorMap feeds;
  feeds.emplace("x", Tensor::of<float>({1, 2}, kSamples[0]));
  comparison.add(feeds);
  for (const LayerError& layer : comparison.result()) CHECK(layer.exact);

  Graph other;
  other.model.opsets[""] = 13;
  const ValueId in = other.add_value("in", TensorType(DType::float32, Shape{1, 2}));
  other.add_input(in);
  Node node;
  node.op = {"", "Relu"};
  node.inputs = {in};
  node.outputs = {other.add_value("out")};
  other.add_output(node.outputs[0]);
  other.add_node(node);
  CHECK_THROWS_WITH(TensorComparison(graph, std::make_shared<Graph>(other), builtin_ops()),
                    Catch::Contains("no tensor of the same name"));
}
