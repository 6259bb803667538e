// SPDX-License-Identifier: Apache-2.0
// Scatter (9 and 10), ScatterElements (11), ScatterND (11); reductions add and mul since 16, max
// and min since 18. Updates are applied in their order.
#include <algorithm>
#include <cstring>

#include "ops/elements.h"
#include "ops/families.h"
#include "ops/indices.h"
#include "support/text.h"

namespace qtool {

namespace {

enum class Reduction { none, add, mul, max, min };

Reduction reduction_of(const NodeView& node) {
  const std::string text = node.attributes().text("reduction", "none");
  if (text == "none") return Reduction::none;
  if (text == "add") return Reduction::add;
  if (text == "mul") return Reduction::mul;
  if (text == "max") return Reduction::max;
  if (text == "min") return Reduction::min;
  throw input_error("the reduction is \"" + text + '"', "It is none, add, mul, max or min.");
}

template <class T>
T combined(Reduction reduction, T old, T update) {
  const auto a = loaded(old);
  const auto b = loaded(update);
  switch (reduction) {
    case Reduction::add: return stored<T>(wrapping(a, b, [](auto x, auto y) { return x + y; }));
    case Reduction::mul: return stored<T>(wrapping(a, b, [](auto x, auto y) { return x * y; }));
    case Reduction::max: return b > a || b != b ? update : old;
    case Reduction::min: return b < a || b != b ? update : old;
    default: return update;
  }
}

/// y[place i] = reduction(y[place i], updates[i]) for elements, or blocks of them.
void apply(Reduction reduction, Tensor& y, const Tensor& updates,
           const std::vector<int64_t>& blocks, int64_t inner) {
  if (reduction == Reduction::none) {
    const size_t row = static_cast<size_t>(inner) * moved_bytes(y.dtype());
    for (size_t i = 0; row > 0 && i < blocks.size(); ++i) {
      std::memcpy(y.raw() + static_cast<size_t>(blocks[i]) * row, updates.raw() + i * row, row);
    }
    return;
  }
  visit_kinds<kNumbers>(y.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto to = y.data<T>();
    const auto from = updates.data<T>();
    for (size_t i = 0; i < blocks.size(); ++i) {
      for (int64_t j = 0; j < inner; ++j) {
        T& element = to[static_cast<size_t>(blocks[i] * inner + j)];
        element = combined(reduction, element,
                           from[i * static_cast<size_t>(inner) + static_cast<size_t>(j)]);
      }
    }
    return Tensor();
  });
}

void check_updates_type(const NodeView& node) {
  const DType data = node.input_type(0).dtype;
  const DType updates = node.input_type(2).dtype;
  if (data != DType::undefined && updates != DType::undefined && data != updates) {
    throw input_error(
        fmt::format("updates of type {} for data of type {}", name(updates), name(data)));
  }
}

/// Errors (input): the known extents of `updates` are not the expected ones.
void check_updates_shape(const NodeView& node, const std::vector<Dim>& expected) {
  const auto& updates = node.input_type(2).shape;
  if (!updates) return;
  bool fits = updates->size() == expected.size();
  for (size_t d = 0; fits && d < expected.size(); ++d) {
    const auto has = (*updates)[d].value;
    fits = !has || !expected[d].value || *has == *expected[d].value;
  }
  if (!fits) {
    throw input_error(fmt::format("updates are {}, expected the shape {}",
                                  to_string(node.input_type(2)),
                                  to_string(TensorType(node.input_type(2).dtype, expected))));
  }
}

// ---- ScatterElements --------------------------------------------------------------------------

int64_t scatter_axis(const NodeView& node, size_t rank) {
  return normalized_axis(node.attributes().integer("axis", 0), static_cast<int64_t>(rank));
}

void infer_scatter_elements(InferContext& context) {
  const NodeView& node = context.node;
  reduction_of(node);
  check_indices(node, 1);
  check_updates_type(node);
  const auto& data = node.input_type(0).shape;
  const auto& indices = node.input_type(1).shape;
  if (indices) check_updates_shape(node, *indices);
  if (data) {
    const auto axis = static_cast<size_t>(scatter_axis(node, data->size()));
    if (indices && indices->size() != data->size()) {
      throw input_error(
          fmt::format("data of rank {} with indices of rank {}", data->size(), indices->size()));
    }
    for (size_t d = 0; indices && d < data->size(); ++d) {
      const auto has = (*data)[d].value;
      const auto wants = (*indices)[d].value;
      if (d != axis && has && wants && *wants > *has) {
        throw input_error(
            fmt::format("indices of extent {} along axis {} of data with {}", *wants, d, *has));
      }
    }
  }
  context.set_output(0, node.input_type(0));
}

std::vector<Tensor> scatter_elements_reference(const ReferenceCall& call) {
  Tensor y = call.input(0).clone();
  const auto axis = static_cast<size_t>(scatter_axis(call.node, y.shape().size()));
  const Tensor& indices = call.input(1);
  std::vector<int64_t> places = wrapped_indices(indices, y.shape()[axis]);
  const std::vector<int64_t> own = row_major_strides(y.shape());
  for (int64_t i = 0; i < indices.size(); ++i) {
    int64_t rest = i;
    int64_t place = places[static_cast<size_t>(i)] * own[axis];
    for (size_t d = own.size(); d-- > 0;) {
      if (d != axis) place += rest % indices.shape()[d] * own[d];
      rest /= indices.shape()[d];
    }
    places[static_cast<size_t>(i)] = place;
  }
  apply(reduction_of(call.node), y, call.input(2), places, 1);
  return one_result(std::move(y));
}

// ---- ScatterND --------------------------------------------------------------------------------

void infer_scatter_nd(InferContext& context) {
  const NodeView& node = context.node;
  reduction_of(node);
  check_indices(node, 1);
  check_updates_type(node);
  const auto& data = node.input_type(0).shape;
  const auto& indices = node.input_type(1).shape;
  if (data && indices) {
    batch_dims(node, *data, *indices);
    if (const auto depth = tuple_length(*data, *indices, 0)) {
      std::vector<Dim> expected(indices->begin(), indices->end() - 1);
      expected.insert(expected.end(), data->begin() + *depth, data->end());
      check_updates_shape(node, expected);
    }
  }
  context.set_output(0, node.input_type(0));
}

std::vector<Tensor> scatter_nd_reference(const ReferenceCall& call) {
  Tensor y = call.input(0).clone();
  const TuplePlaces places(y.shape(), call.input(1), 0);
  apply(reduction_of(call.node), y, call.input(2), places.blocks, places.inner);
  return one_result(std::move(y));
}

OpDef record(const char* type, int since, void (*infer)(InferContext&),
             std::vector<Tensor> (*reference)(const ReferenceCall&)) {
  return {.key = {"", type},
          .since_version = since,
          .inputs = {3, 3},
          .outputs = {1, 1},
          .infer = infer,
          .reference = reference};
}

}  // namespace

void register_scatter(OpRegistry& ops) {
  ops.add(record("Scatter", 9, infer_scatter_elements, scatter_elements_reference));
  ops.add(record("ScatterElements", 11, infer_scatter_elements, scatter_elements_reference));
  ops.add(record("ScatterND", 11, infer_scatter_nd, scatter_nd_reference));
}

}  // namespace qtool
