// SPDX-License-Identifier: Apache-2.0
// make_resnet50 OUTPUT: a model of ResNet-50's layers, 25.5 million random weights and an input of
// 224 by 224, for scripts/bench_memory. Batch norms are taken to be folded.
#include <cmath>
#include <cstdio>

#include "onnx_io/onnx_io.h"
#include "support/rng.h"

namespace qtool {
namespace {

class Maker {
 public:
  Maker() {
    graph_.name = "resnet50";
    graph_.model.opsets[""] = 13;
    graph_.model.ir_version = 7;
  }

  Graph run() {
    const ValueId x = graph_.add_value(
        "x",
        TensorType(DType::float32, std::vector<Dim>{{{}, "N"}, {3, {}}, {224, {}}, {224, {}}}));
    graph_.add_input(x);
    ValueId y = relu(convolution(x, 3, 64, 7, 2));
    y = node("MaxPool", {y},
             {{"kernel_shape", Ints{3, 3}}, {"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}});
    int64_t channels = 64;
    const std::pair<int, int64_t> stages[] = {{3, 64}, {4, 128}, {6, 256}, {3, 512}};
    for (size_t stage = 0; stage < 4; ++stage) {
      for (int block = 0; block < stages[stage].first; ++block) {
        const int64_t stride = stage > 0 && block == 0 ? 2 : 1;
        y = bottleneck(y, channels, stages[stage].second, stride);
        channels = 4 * stages[stage].second;
      }
    }
    y = node("Flatten", {node("GlobalAveragePool", {y}, {})}, {});
    const ValueId logits =
        node("Gemm", {y, random({1000, channels}), random({1000})}, {{"transB", int64_t{1}}});
    graph_.add_output(logits);
    return std::move(graph_);
  }

 private:
  using Ints = std::vector<int64_t>;

  ValueId random(Shape shape) {
    int64_t reads = 1;
    for (size_t d = 1; d < shape.size(); ++d) reads *= shape[d];
    const bool bias = shape.size() == 1;
    const float spread = bias ? 0.01F : std::sqrt(2 / static_cast<float>(reads));
    Tensor tensor(DType::float32, std::move(shape));
    for (float& x : tensor.data<float>()) x = spread * rng_.normal();
    return graph_.add_constant("w" + std::to_string(count_++), make_constant(std::move(tensor)));
  }

  ValueId node(const char* op, std::vector<ValueId> inputs,
               std::initializer_list<std::pair<const char*, Attribute>> attributes) {
    Node made;
    made.name = std::string(op) + std::to_string(count_++);
    made.op = {"", op};
    made.inputs = std::move(inputs);
    for (const auto& [key, attribute] : attributes) made.attributes.set(key, attribute);
    made.outputs = {graph_.add_value("v" + std::to_string(count_++))};
    const ValueId result = made.outputs[0];
    graph_.add_node(std::move(made));
    return result;
  }

  ValueId convolution(ValueId x, int64_t from, int64_t to, int64_t size, int64_t stride) {
    const int64_t pad = size / 2;
    return node("Conv", {x, random({to, from, size, size}), random({to})},
                {{"kernel_shape", Ints{size, size}},
                 {"strides", Ints{stride, stride}},
                 {"pads", Ints{pad, pad, pad, pad}}});
  }
  ValueId relu(ValueId x) { return node("Relu", {x}, {}); }

  ValueId bottleneck(ValueId x, int64_t from, int64_t width, int64_t stride) {
    const int64_t to = 4 * width;
    ValueId y = relu(convolution(x, from, width, 1, 1));
    y = relu(convolution(y, width, width, 3, stride));
    y = convolution(y, width, to, 1, 1);
    const ValueId side = from == to ? x : convolution(x, from, to, 1, stride);
    return relu(node("Add", {y, side}, {}));
  }

  Graph graph_;
  Rng rng_{1};
  int count_ = 0;
};

}  // namespace
}  // namespace qtool

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: make_resnet50 OUTPUT\n", stderr);
    return 2;
  }
  qtool::save_model(qtool::Maker().run(), argv[1], {});
  return 0;
}
