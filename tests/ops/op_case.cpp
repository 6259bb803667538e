// SPDX-License-Identifier: Apache-2.0
#include "ops/op_case.h"

#include <algorithm>
#include <cmath>

#include "support/text.h"

namespace qtool::test {

namespace {

template <class T, class F>
Constant filled(Shape shape, F&& next) {
  Tensor tensor(dtype_of<T>, std::move(shape));
  std::ranges::generate(tensor.data<T>(), next);
  return make_constant(std::move(tensor));
}

/// The input behind an op that changes nothing and makes channels_last: a pooling window of one.
ValueId stored_channels_last(Graph& graph, ValueId input, int rank) {
  Node pool;
  pool.op = {"", "MaxPool"};
  pool.attributes.set("kernel_shape", std::vector<int64_t>(static_cast<size_t>(rank) - 2, 1));
  pool.inputs = {input};
  pool.outputs = {graph.add_value(graph.value(input).name + "_last")};
  const ValueId result = pool.outputs[0];
  graph.add_node(std::move(pool));
  return result;
}

bool poolable(const Tensor& tensor) {
  const bool type = tensor.dtype() == DType::float32 || tensor.dtype() == DType::uint8 ||
                    tensor.dtype() == DType::int8;
  return type && tensor.rank() >= 3 && tensor.size() > 0;
}

}  // namespace

Constant ramp(Shape shape) {
  return filled<float>(std::move(shape),
                       [next = 0]() mutable { return static_cast<float>(next++); });
}

Constant noise(Shape shape, uint64_t seed) {
  return filled<float>(std::move(shape), [rng = Rng(seed)]() mutable {
    return static_cast<float>(static_cast<int>(rng.below(128)) - 64) / 16;
  });
}

Constant noise_u8(Shape shape, uint64_t seed) {
  return filled<uint8_t>(std::move(shape), [rng = Rng(seed)]() mutable {
    return static_cast<uint8_t>(rng.below(256));
  });
}

Constant noise_s8(Shape shape, uint64_t seed) {
  return filled<int8_t>(std::move(shape), [rng = Rng(seed)]() mutable {
    return static_cast<int8_t>(static_cast<int>(rng.below(256)) - 128);
  });
}

OpKey op_key(const OpCase& item) {
  const size_t dot = item.op.rfind('.');
  if (dot == std::string::npos) return {"", item.op};
  return {item.op.substr(0, dot), item.op.substr(dot + 1)};
}

CaseGraph build(const OpCase& item, Form form) {
  CaseGraph made;
  Graph& graph = made.graph;
  graph.model.opsets[""] = item.opset;
  Node node;
  node.name = "tested";
  node.op = op_key(item);
  if (!node.op.domain.empty()) graph.model.opsets[node.op.domain] = 1;
  for (const auto& [name, attribute] : item.attributes) node.attributes.set(name, attribute);
  for (size_t i = 0; i < item.inputs.size(); ++i) {
    const Constant& input = item.inputs[i];
    if (input == nullptr) {
      node.inputs.push_back(ValueId::none);
      continue;
    }
    const std::string name = "in" + std::to_string(i);
    const bool listed =
        std::ranges::find(item.constants, static_cast<int>(i)) != item.constants.end();
    if (form == Form::folded || (listed && form != Form::fed)) {
      node.inputs.push_back(graph.add_constant(name, input));
      continue;
    }
    ValueId value = graph.add_value(name, {input->dtype(), input->shape()});
    graph.add_input(value);
    made.feeds.emplace(name, input->clone());
    if (form == Form::channels_last && poolable(*input)) {
      value = stored_channels_last(graph, value, input->rank());
    }
    node.inputs.push_back(value);
  }
  for (int i = 0; i < item.outputs; ++i) {
    made.outputs.push_back(graph.add_value("out" + std::to_string(i)));
    node.outputs.push_back(made.outputs.back());
  }
  graph.add_node(std::move(node));
  for (const ValueId output : made.outputs) graph.add_output(output);
  return made;
}

std::string difference(const Tensor& got, const Tensor& wanted, double relative, double absolute) {
  if (got.dtype() != wanted.dtype() || got.shape() != wanted.shape()) {
    return fmt::format("{}{} instead of {}{}", name(got.dtype()), to_string(got.shape()),
                       name(wanted.dtype()), to_string(wanted.shape()));
  }
  if (got.dtype() == DType::string) {
    return got.strings() == wanted.strings() ? "" : "other strings";
  }
  const std::vector<double> a = to_doubles(got);
  const std::vector<double> b = to_doubles(wanted);
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    if (std::abs(a[i] - b[i]) <= absolute + relative * std::abs(b[i])) continue;
    return fmt::format("element {} of {} is {} instead of {} (off by {}, allowed {} + {} relative)",
                       i, to_string(got.shape()), a[i], b[i], std::abs(a[i] - b[i]), absolute,
                       relative);
  }
  return {};
}

}  // namespace qtool::test
