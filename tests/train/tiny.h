// SPDX-License-Identifier: Apache-2.0
// A small convolutional classifier and a data set that it can learn.
#pragma once

#include "data/batch.h"
#include "exec/session.h"
#include "ops/gradient.h"
#include "passes/graphs.h"

namespace qtool::test {

/// [2,6,6] to three classes: Conv, Relu, depthwise Conv, Clip 0..6, MaxPool, Conv, global average,
/// Gemm. `softmax`: probabilities instead of logits.
inline Graph tiny_classifier(bool softmax = false) {
  Build b;
  b.graph.set_type(
      b.input("image", {2, 2, 6, 6}),
      TensorType(DType::float32, std::vector<Dim>{{{}, "N"}, {2, {}}, {6, {}}, {6, {}}}));
  const auto weight = [&](const std::string& name, const Shape& shape, float scale, uint64_t seed) {
    Tensor tensor = random_tensor(shape, seed);
    for (float& element : tensor.data<float>()) element *= scale;
    b.constant(name, std::move(tensor));
  };
  const std::vector<int64_t> pads{1, 1, 1, 1};
  weight("w1", {6, 2, 3, 3}, 0.3F, 1);
  weight("b1", {6}, 0.1F, 2);
  weight("w2", {6, 1, 3, 3}, 0.3F, 3);
  weight("b2", {6}, 0.1F, 4);
  weight("w3", {8, 6, 1, 1}, 0.4F, 5);
  weight("w4", {3, 8}, 0.4F, 6);
  weight("b4", {3}, 0.1F, 7);
  b.constant("zero", {}, {0.0F});
  b.constant("six", {}, {6.0F});
  b.node("Conv", {"image", "w1", "b1"}, {"c1"}, {{"pads", pads}}, "first");
  b.node("Relu", {"c1"}, {"r1"}, {}, "relu");
  b.node("Conv", {"r1", "w2", "b2"}, {"c2"}, {{"pads", pads}, {"group", int64_t{6}}}, "depthwise");
  b.node("Clip", {"c2", "zero", "six"}, {"r2"}, {}, "clip");
  b.node("MaxPool", {"r2"}, {"p"},
         {{"kernel_shape", std::vector<int64_t>{2, 2}}, {"strides", std::vector<int64_t>{2, 2}}},
         "pool");
  b.node("Conv", {"p", "w3"}, {"c3"}, {}, "pointwise");
  b.node("GlobalAveragePool", {"c3"}, {"g"}, {}, "average");
  b.node("Flatten", {"g"}, {"f"}, {}, "flatten");
  b.node("Gemm", {"f", "w4", "b4"}, {"logits"}, {{"transB", int64_t{1}}}, "last");
  if (softmax) b.node("Softmax", {"logits"}, {"scores"}, {}, "softmax");
  b.output(softmax ? "scores" : "logits");
  return b.graph;
}

/// Noise with a bright bar: class 0 has it upright, 1 lying, 2 in the other channel.
class Bars : public Dataset {
 public:
  explicit Bars(size_t count) : count_(count) {}
  size_t size() const override { return count_; }
  bool labelled() const override { return true; }
  Json provenance() const override { return {{"kind", "bars"}, {"samples", count_}}; }
  Sample get(size_t index) const override {
    Sample sample{"bars:" + std::to_string(index), {}, static_cast<int64_t>(index % 3)};
    Tensor image = random_tensor({2, 6, 6}, 100 + index);
    const auto pixels = image.data<float>();
    for (float& pixel : pixels) pixel *= 0.5F;
    const size_t place = index / 3 % 6;
    for (size_t i = 0; i < 6; ++i) {
      const size_t upright = i * 6 + place;
      const size_t lying = place * 6 + i;
      pixels[*sample.label == 0 ? upright : *sample.label == 1 ? lying : 36 + upright] += 2;
    }
    sample.inputs.emplace("image", std::move(image));
    return sample;
  }

 private:
  size_t count_;
};

/// The graph's outputs by name, as the references of training_ops() compute them.
inline TensorMap run_references(const Graph& graph, const TensorMap& feeds) {
  SessionOptions options;
  options.backend = Backend::reference;
  for (const auto& [name, tensor] : feeds) options.input_shapes.emplace(name, tensor.shape());
  return Session(graph, training_ops(), std::move(options)).run(feeds);
}

inline Order all_of(const Dataset& data) {
  Order order(data.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  return order;
}

inline std::vector<std::vector<float>> values_of(const std::vector<Tensor>& tensors) {
  std::vector<std::vector<float>> all;
  for (const Tensor& tensor : tensors) {
    all.push_back(tensor.dtype() == DType::undefined ? std::vector<float>{} : to_floats(tensor));
  }
  return all;
}

}  // namespace qtool::test
