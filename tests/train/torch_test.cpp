// SPDX-License-Identifier: Apache-2.0
// Ten steps of a small CNN and of a small transformer against PyTorch's, recorded by
// golden/make_torch_steps.py and golden/make_torch_transformer.py.
#include <cmath>

#include "quant/quantized.h"
#include "tensor/npy.h"
#include "train/fake_quantize.h"
#include "train/optimizer.h"
#include "train/step.h"
#include "train/tiny.h"

namespace qtool {
namespace {

/// One step's part of what was recorded for all.
template <class T>
Tensor part(const Tensor& all, size_t index) {
  Tensor result(all.dtype(), Shape(all.shape().begin() + 1, all.shape().end()));
  const auto count = static_cast<size_t>(result.size());
  std::ranges::copy(all.data<T>().subspan(index * count, count), result.data<T>().begin());
  return result;
}

double largest_difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  double most = 0;
  const auto x = to_doubles(a);
  const auto y = to_doubles(b);
  for (size_t i = 0; i < x.size(); ++i) most = std::max(most, std::abs(x[i] - y[i]));
  return most;
}

TEST_CASE("ten steps have PyTorch's losses, gradients and parameters") {
  const TensorMap golden = read_npz(QTOOL_SOURCE_DIR "/tests/train/golden/torch_steps.npz");
  const Graph graph = test::tiny_classifier();
  const std::map<std::string, std::pair<OptimizerSpec::Kind, std::pair<double, double>>> kinds{
      {"sgd", {OptimizerSpec::Kind::sgd, {0.05, 0.01}}},
      {"adam", {OptimizerSpec::Kind::adam, {0.01, 0.01}}},
      {"adamw", {OptimizerSpec::Kind::adamw, {0.01, 0.1}}}};
  for (const auto& [name, kind] : kinds) {
    INFO(name);
    TrainableGraph made = trainable(graph, training_ops());
    for (Parameter& parameter : made.parameters) {
      parameter.value = golden.at("start_" + parameter.name).clone();
    }
    Graph forward = made.graph;
    LossSpec loss;
    loss.label_smoothing = 0.1;
    const AttachedLoss attached = attach_loss(forward, {forward.outputs()[0], {}, {}}, loss);
    TrainingStep step(forward, attached, made.parameters, nullptr);
    OptimizerSpec spec;
    spec.kind = kind.first;
    spec.weight_decay = kind.second.second;
    spec.clip_norm = 0;
    Optimizer optimizer(spec, made.parameters);
    const auto losses = golden.at(name + "_losses").data<float>();
    for (size_t s = 0; s < 10; ++s) {
      TensorMap inputs;
      inputs.emplace("image", part<float>(golden.at("images"), s));
      const Tensor labels = part<int64_t>(golden.at("labels"), s);
      const double got = step.run(inputs, labels.data<int64_t>(), made.parameters);
      CHECK(got == Approx(static_cast<double>(losses[s])).margin(1e-4));
      if (s == 0) {
        for (size_t p = 0; p < made.parameters.size(); ++p) {
          const Tensor& theirs = golden.at("gradient_" + made.parameters[p].name);
          CHECK(largest_difference(step.gradients()[p], theirs) < 1e-5);
        }
      }
      optimizer.update(made.parameters, step.gradients(), kind.second.first);
    }
    for (const Parameter& parameter : made.parameters) {
      const Tensor& theirs = golden.at(name + "_last_" + parameter.name);
      INFO(parameter.name);
      CHECK(largest_difference(parameter.value, theirs) < 1e-4);
    }
  }
}

/// Five places of four features to three classes: one block with two heads, normalized before.
TrainableGraph transformer(const TensorMap& golden) {
  test::Build b(17);
  b.graph.set_type(b.input("x", {1, 5, 4}),
                   TensorType(DType::float32, std::vector<Dim>{{{}, "N"}, {5, {}}, {4, {}}}));
  TrainableGraph made;
  for (const auto& [name, tensor] : golden) {
    if (!name.starts_with("start_")) continue;
    Parameter parameter;
    parameter.name = name.substr(6);
    parameter.value = tensor.clone();
    parameter.id = b.input(parameter.name, tensor.shape());
    made.parameters.push_back(std::move(parameter));
  }
  const auto binary = [&](const char* op, const std::string& x, const std::string& y,
                          const std::string& to) {
    b.node(op, {x, y}, {to});
  };
  const auto integers = [&](const std::string& name, std::vector<int64_t> list) {
    const auto count = static_cast<int64_t>(list.size());
    b.constant(name, Tensor::of<int64_t>({count}, list));
  };
  integers("split", {0, 5, 2, 4});
  integers("joined", {0, 5, 8});
  b.constant("half", {}, {0.5F});
  b.constant("one", {}, {1.0F});
  b.constant("root2", {}, {std::sqrt(2.0F)});
  binary("MatMul", "x", "embed", "embedded");
  binary("Add", "embedded", "place", "x0");
  b.node("LayerNormalization", {"x0", "gain1", "shift1"}, {"h"});
  const auto head = [&](const std::string& which, std::vector<int64_t> order) {
    binary("MatMul", "h", "w" + which, which + "_flat");
    binary("Reshape", which + "_flat", "split", which + "_split");
    b.node("Transpose", {which + "_split"}, {which}, {{"perm", std::move(order)}});
  };
  head("q", {0, 2, 1, 3});
  head("k", {0, 2, 3, 1});
  head("v", {0, 2, 1, 3});
  binary("MatMul", "q", "k", "products");
  binary("Mul", "products", "half", "scaled");  // 1 / sqrt(4 features a head)
  b.node("Softmax", {"scaled"}, {"attention"}, {{"axis", int64_t{-1}}});
  binary("MatMul", "attention", "v", "mixed");
  b.node("Transpose", {"mixed"}, {"turned"}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}});
  binary("Reshape", "turned", "joined", "flat");
  binary("MatMul", "flat", "wo", "out");
  binary("Add", "out", "bo", "out_biased");
  binary("Add", "x0", "out_biased", "x1");
  b.node("LayerNormalization", {"x1", "gain2", "shift2"}, {"h2"});
  binary("MatMul", "h2", "w1", "wide");
  binary("Add", "wide", "b1", "f");
  binary("Div", "f", "root2", "f_scaled");
  b.node("Erf", {"f_scaled"}, {"erf"});
  binary("Add", "erf", "one", "above");
  binary("Mul", "f", "above", "twice");
  binary("Mul", "twice", "half", "gelu");
  binary("MatMul", "gelu", "w2", "narrow");
  binary("Add", "narrow", "b2", "narrow_biased");
  binary("Add", "x1", "narrow_biased", "x2");
  b.node("ReduceMean", {"x2"}, {"mean"},
         {{"axes", std::vector<int64_t>{1}}, {"keepdims", int64_t{0}}});
  b.node("Gemm", {"mean", "wc", "bc"}, {"logits"}, {{"transB", int64_t{1}}});
  b.output("logits");
  made.graph = std::move(b.graph);
  return made;
}

TEST_CASE("so have ten steps of a transformer") {
  const TensorMap golden = read_npz(QTOOL_SOURCE_DIR "/tests/train/golden/torch_transformer.npz");
  TrainableGraph made = transformer(golden);
  REQUIRE(made.parameters.size() == 17);
  Graph forward = made.graph;
  const AttachedLoss attached = attach_loss(forward, {forward.outputs()[0], {}, {}}, {});
  TrainingStep step(forward, attached, made.parameters, nullptr);
  OptimizerSpec spec;
  spec.kind = OptimizerSpec::Kind::adamw;
  spec.weight_decay = 0;
  spec.clip_norm = 0;
  Optimizer optimizer(spec, made.parameters);
  const auto losses = golden.at("losses").data<float>();
  for (size_t s = 0; s < 10; ++s) {
    TensorMap inputs;
    inputs.emplace("x", part<float>(golden.at("inputs"), s));
    const Tensor labels = part<int64_t>(golden.at("labels"), s);
    const double got = step.run(inputs, labels.data<int64_t>(), made.parameters);
    CHECK(got == Approx(static_cast<double>(losses[s])).margin(1e-4));
    for (size_t p = 0; s == 0 && p < made.parameters.size(); ++p) {
      INFO(made.parameters[p].name);
      const Tensor& theirs = golden.at("gradient_" + made.parameters[p].name);
      CHECK(largest_difference(step.gradients()[p], theirs) < 1e-5);
    }
    optimizer.update(made.parameters, step.gradients(), 0.01);
  }
  for (const Parameter& parameter : made.parameters) {
    INFO(parameter.name);
    CHECK(largest_difference(parameter.value, golden.at("last_" + parameter.name)) < 1e-4);
  }
}

}  // namespace
}  // namespace qtool
