// SPDX-License-Identifier: Apache-2.0
// Ten steps of a small CNN against PyTorch's, recorded by golden/make_torch_steps.py.
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

}  // namespace
}  // namespace qtool
