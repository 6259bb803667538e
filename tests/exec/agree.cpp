// SPDX-License-Identifier: Apache-2.0
#include "exec/agree.h"

#include <cstring>

#include "ops/op_case.h"

namespace qtool::test {

TensorMap random_feeds(const Graph& graph, uint64_t seed) {
  TensorMap feeds;
  Rng rng(seed);
  for (const ValueId id : graph.required_inputs()) {
    const TensorType& type = graph.value(id).type;
    Tensor tensor(DType::float32, *type.concrete_shape());
    for (float& value : tensor.data<float>()) value = rng.normal();
    if (type.dtype != DType::float32) {
      for (float& value : tensor.data<float>()) value = static_cast<float>(rng.below(100));
      tensor = cast(tensor, type.dtype);
    }
    feeds.emplace(graph.value(id).name, std::move(tensor));
  }
  return feeds;
}

TensorMap run_on(const Graph& graph, Backend backend, const TensorMap& feeds) {
  Session session(graph, builtin_ops(), {.backend = backend});
  return session.run(feeds);
}

std::string disagreement(const Graph& graph, double relative, double absolute, uint64_t seed) {
  const TensorMap feeds = random_feeds(graph, seed);
  const TensorMap reference = run_on(graph, Backend::reference, feeds);
  const TensorMap compiled = run_on(graph, Backend::onednn, feeds);
  for (const auto& [name, wanted] : reference) {
    const std::string text = difference(compiled.at(name), wanted, relative, absolute);
    if (!text.empty()) return name + ": " + text;
  }
  return {};
}

std::string ops_of(const Session& session) {
  std::string text;
  for (const StepInfo& step : session.steps()) text += (text.empty() ? "" : "; ") + step.op;
  return text;
}

Tensor in_order(DType dtype, const Shape& shape, Layout layout, const void* data) {
  Tensor result(dtype, shape);
  const std::vector<int64_t> steps = strides(shape, layout);
  const auto width = static_cast<size_t>(bits(dtype)) / 8;
  for (int64_t i = 0; i < result.size(); ++i) {
    int64_t rest = i;
    int64_t at = 0;
    for (size_t d = shape.size(); d-- > 0;) {
      at += rest % shape[d] * steps[d];
      rest /= shape[d];
    }
    std::memcpy(result.raw() + static_cast<size_t>(i) * width,
                static_cast<const std::byte*>(data) + static_cast<size_t>(at) * width, width);
  }
  return result;
}

}  // namespace qtool::test
