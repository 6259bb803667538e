// SPDX-License-Identifier: Apache-2.0
// Gradients against central differences in double, by the reference; the fast kernels in float
// against the result.
#include <cmath>
#include <set>

#include "catch.h"
#include "exec/session.h"
#include "passes/graphs.h"
#include "support/text.h"
#include "train/differentiate.h"
#include "train/gradient_case.h"

using namespace qtool;
using namespace qtool::test;

namespace {

struct Built {
  Graph graph;
  TensorMap feeds;
  std::vector<ValueId> parameters;
  ValueId loss = ValueId::none;
};

ValueId add_node(Graph& graph, const char* op, std::vector<ValueId> inputs) {
  Node node;
  node.op = {"", op};
  node.inputs = std::move(inputs);
  node.outputs = {graph.add_value(graph.unique_name(op))};
  if (node.op.type == "ReduceSum") node.attributes.set("keepdims", int64_t{0});
  const ValueId output = node.outputs[0];
  graph.add_node(std::move(node));
  return output;
}

/// The node, and as loss the sum of its results times fixed random weights.
Built build(const GradientCase& item, DType dtype) {
  Built made;
  Graph& graph = made.graph;
  graph.model.opsets[""] = item.opset;
  graph.model.opsets[kTrainingDomain] = 1;
  if (!item.domain.empty()) graph.model.opsets[item.domain] = 1;
  Node node;
  node.name = "tested";
  node.op = {item.domain, item.op};
  for (const auto& [name, attribute] : item.attributes) node.attributes.set(name, attribute);
  for (size_t i = 0; i < item.inputs.size(); ++i) {
    if (item.inputs[i] == nullptr) {
      node.inputs.push_back(ValueId::none);
      continue;
    }
    const bool real = item.inputs[i]->dtype() == DType::float32;
    Tensor tensor = real ? cast(*item.inputs[i], dtype) : item.inputs[i]->clone();
    const std::string name = "in" + std::to_string(i);
    if (std::ranges::find(item.wanted, static_cast<int>(i)) == item.wanted.end()) {
      node.inputs.push_back(graph.add_constant(name, make_constant(std::move(tensor))));
      continue;
    }
    const ValueId value = graph.add_value(name, {tensor.dtype(), tensor.shape()});
    graph.add_input(value);
    made.parameters.push_back(value);
    made.feeds.emplace(name, std::move(tensor));
    node.inputs.push_back(value);
  }
  for (int i = 0; i < item.output_count; ++i) {
    node.outputs.push_back(graph.add_value("out" + std::to_string(i)));
  }
  const std::vector<ValueId> outputs = node.outputs;
  graph.add_node(std::move(node));
  const Facts facts = infer_facts(graph, training_ops());
  for (const int i : item.outputs) {
    const ValueId output = outputs[static_cast<size_t>(i)];
    const Shape shape = *facts[output].type.concrete_shape();
    const Tensor weights = cast(*noise(shape, 77 + static_cast<uint64_t>(i)), dtype);
    const ValueId constant =
        graph.add_constant("weights" + std::to_string(i), make_constant(weights.clone()));
    ValueId sum = add_node(graph, "Mul", {output, constant});
    if (!shape.empty()) sum = add_node(graph, "ReduceSum", {sum});
    made.loss = made.loss == ValueId::none ? sum : add_node(graph, "Add", {made.loss, sum});
  }
  return made;
}

std::vector<std::vector<double>> gradients(const Built& made, Backend backend) {
  Differentiated result = differentiate(made.graph, training_ops(), made.loss, made.parameters);
  for (const ValueId parameter : made.parameters) {
    result.graph.add_output(result.gradient_of.at(parameter));
  }
  REQUIRE(verify(result.graph).empty());
  Session session(result.graph, training_ops(), {.backend = backend});
  const TensorMap outputs = session.run(made.feeds);
  std::vector<std::vector<double>> all;
  for (const ValueId parameter : made.parameters) {
    const Tensor& gradient = outputs.at(result.graph.value(result.gradient_of.at(parameter)).name);
    CHECK(gradient.shape() == made.feeds.at(made.graph.value(parameter).name).shape());
    all.push_back(to_doubles(gradient));
  }
  return all;
}

double loss_at(Session& session, const TensorMap& feeds) {
  return to_doubles(session.run(feeds).begin()->second).at(0);
}

template <class T>
double difference_at(Session& session, TensorMap& feeds, const std::string& name, size_t i,
                     double step) {
  T& element = feeds.at(name).data<T>()[i];
  const T kept = element;
  element = static_cast<T>(static_cast<double>(kept) + step);
  const double above = loss_at(session, feeds);
  element = static_cast<T>(static_cast<double>(kept) - step);
  const double below = loss_at(session, feeds);
  element = kept;
  return (above - below) / (2 * step);
}

std::string problem(const GradientCase& item) {
  const DType dtype = item.in_double ? DType::float64 : DType::float32;
  Built made = build(item, dtype);
  const auto analytic = gradients(made, Backend::reference);
  const auto fast = gradients(build(item, DType::float32), Backend::onednn);
  Graph forward = made.graph;
  forward.add_output(made.loss);
  Session session(forward, training_ops(), {.backend = Backend::reference});
  for (size_t p = 0; p < made.parameters.size(); ++p) {
    const std::string& name = made.graph.value(made.parameters[p]).name;
    for (size_t i = 0; i < analytic[p].size(); ++i) {
      const double measured = item.in_double
                                  ? difference_at<double>(session, made.feeds, name, i, 1e-5)
                                  : difference_at<float>(session, made.feeds, name, i, 1.0 / 16);
      const double got = analytic[p][i];
      const double allowed = (item.in_double ? 1e-6 : 1e-3) * (1 + std::abs(measured));
      if (!(std::abs(got - measured) <= allowed)) {
        return fmt::format("{}[{}]: {} instead of {}", name, i, got, measured);
      }
      if (!(std::abs(fast[p][i] - got) <= 2e-5 * (1 + std::abs(got)))) {
        return fmt::format("{}[{}]: the fast kernel gives {} instead of {}", name, i, fast[p][i],
                           got);
      }
    }
  }
  return {};
}

const std::vector<GradientCase>& every_case() {
  static const std::vector<GradientCase> all = [] {
    std::vector<GradientCase> list;
    for (auto* const family :
         {activation_gradients, arithmetic_gradients, recurrent_gradients, movement_gradients,
          product_gradients, window_gradients, loss_gradients}) {
      for (GradientCase& item : family()) list.push_back(std::move(item));
    }
    return list;
  }();
  return all;
}

}  // namespace

TEST_CASE("Gradients agree with central differences, and fast kernels with the reference") {
  std::vector<std::string> problems;
  for (const GradientCase& item : every_case()) {
    std::string text;
    try {
      text = problem(item);
    } catch (const std::exception& error) {
      text = error.what();
    }
    if (!text.empty()) problems.push_back(item.op + " " + item.name + ": " + text);
  }
  CHECK_THAT(join(problems, "\n"), Catch::Equals(""));
}

TEST_CASE("Every op with a gradient has a case") {
  std::set<std::string> asked;
  for (const GradientCase& item : every_case()) asked.insert(item.op);
  // Their derivatives are estimates: fake_quantize_test. That of BinaryTargets is none.
  asked.insert({"FakeQuantize", "PowerOfTwo", "RoundBias", "BinaryTargets"});
  for (const OpDef& def : training_ops().all()) {
    if (def.gradient == nullptr) continue;
    CAPTURE(def.key.type);
    const bool step = std::set<std::string>{"Ceil", "Round", "Sign"}.contains(def.key.type);
    CHECK((step || asked.contains(def.key.type)));
  }
}

TEST_CASE("the gradient of a Concat of parts whose extents only the run knows") {
  Build b;
  const auto open = [&](const char* name) {
    const ValueId id = b.input(name, {1, 2});
    b.graph.set_type(id, TensorType(DType::float32, std::vector<Dim>{{{}, ""}, {2, {}}}));
    return id;
  };
  const std::vector<ValueId> parts{open("x"), open("y"), open("z")};
  b.node("Concat", {"x", "y", "z"}, {"all"}, {{"axis", int64_t{0}}});
  b.constant("w", {5, 2}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  b.node("Mul", {"all", "w"}, {"product"});
  b.node("ReduceSum", {"product"}, {"loss"}, {{"keepdims", int64_t{0}}});
  Differentiated made = differentiate(b.graph, training_ops(), b.value("loss"), parts);
  SessionOptions options;
  TensorMap feeds;
  int64_t rows = 1;
  for (const char* name : {"x", "y", "z"}) {
    feeds.emplace(name, Tensor(DType::float32, {rows, 2}));
    options.input_shapes.emplace(name, Shape{rows, 2});
    rows = 2;
  }
  for (const ValueId part : parts) made.graph.add_output(made.gradient_of.at(part));
  for (const Backend backend : {Backend::reference, Backend::onednn}) {
    options.backend = backend;
    const TensorMap results = Session(made.graph, training_ops(), options).run(feeds);
    const auto gradient = [&](size_t i) {
      return to_floats(results.at(made.graph.value(made.gradient_of.at(parts[i])).name));
    };
    CHECK(gradient(0) == std::vector<float>{1, 2});
    CHECK(gradient(1) == std::vector<float>{3, 4, 5, 6});
    CHECK(gradient(2) == std::vector<float>{7, 8, 9, 10});
  }
}

TEST_CASE("a Slice by bounds that are fed has the gradient of one by constants") {
  const auto gradient = [](bool fed, Backend backend) {
    Build b(17);
    b.graph.model.opsets[kTrainingDomain] = 1;
    const ValueId x = b.input("x", {2, 3, 4});
    const Tensor x_fed = smooth({2, 3, 4})->clone();
    TensorMap feeds;
    feeds.emplace("x", x_fed.clone());
    const auto bound = [&](const char* name, int64_t first, int64_t second) {
      Tensor tensor = Tensor::of<int64_t>({2}, {first, second});
      if (!fed) {
        b.constant(name, std::move(tensor));
        return;
      }
      b.input(name, {2}, DType::int64);
      feeds.emplace(name, std::move(tensor));
    };
    bound("starts", 1, -1);
    bound("ends", 3, -9);
    b.constant("axes", Tensor::of<int64_t>({2}, {1, 2}));
    b.constant("steps", Tensor::of<int64_t>({2}, {1, -2}));
    b.node("Slice", {"x", "starts", "ends", "axes", "steps"}, {"part"});
    b.node("Mul", {"part", "part"}, {"square"});
    b.node("ReduceSum", {"square"}, {"loss"}, {{"keepdims", int64_t{0}}});
    Differentiated made =
        differentiate(b.graph, training_ops(), *b.graph.find_value("loss"), std::vector{x});
    made.graph.add_output(made.gradient_of.at(x));
    Session session(made.graph, training_ops(), {.backend = backend});
    return session.run(feeds).at(made.graph.value(made.gradient_of.at(x)).name).clone();
  };
  const Tensor wanted = gradient(false, Backend::reference);
  CHECK(std::ranges::count(wanted.data<float>(), 0.0F) == 24 - 2 * 2 * 2);
  for (const Backend backend : {Backend::reference, Backend::onednn}) {
    CHECK(gradient(true, backend).equals(wanted));
    CHECK(gradient(false, backend).equals(wanted));
  }
}
