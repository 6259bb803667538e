// SPDX-License-Identifier: Apache-2.0
// ArgMax, ArgMin (opsets 1 to 13; select_last_index since 12), TopK (1: k is an attribute, 10: an
// input, 11: also the smallest), Hardmax (1: over everything from the axis on, 13: over one axis),
// CumSum (11).
#include <algorithm>
#include <numeric>

#include "kernels/host/reduce.h"
#include "ops/along_axis.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "ops/lowering.h"
#include "support/text.h"

namespace qtool {

namespace {

/// Before all numbers in descending order stands NaN.
template <class T>
bool larger(T a, T b) {
  return a > b || (a != a && b == b);
}

// ---- ArgMax, ArgMin ---------------------------------------------------------------------------

int64_t axis_of(const NodeView& node, int64_t otherwise, size_t rank) {
  return normalized_axis(node.attributes().integer("axis", otherwise), static_cast<int64_t>(rank));
}

bool keeps_dims(const NodeView& node) { return node.attributes().integer("keepdims", 1) != 0; }

void infer_arg(InferContext& context) {
  const NodeView& node = context.node;
  TensorType type{DType::int64, node.input_type(0).shape};
  if (type.shape) {
    const int64_t axis = axis_of(node, 0, type.shape->size());
    Dim& dim = (*type.shape)[static_cast<size_t>(axis)];
    if (dim.value == 0) throw input_error("an axis without elements");
    if (keeps_dims(node)) {
      dim = {1, {}};
    } else {
      type.shape->erase(type.shape->begin() + axis);
    }
  }
  context.set_output(0, std::move(type));
}

Shape without(Shape shape, int64_t axis, bool keep) {
  if (keep) {
    shape[static_cast<size_t>(axis)] = 1;
  } else {
    shape.erase(shape.begin() + axis);
  }
  return shape;
}

template <ArgOp op>
std::vector<Tensor> arg_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  const bool last = call.node.attributes().integer("select_last_index", 0) != 0;
  const int64_t axis = axis_of(call.node, 0, x.shape().size());
  const AlongAxis span(x.shape(), axis);
  Tensor y(DType::int64, without(x.shape(), axis, keeps_dims(call.node)));
  const auto to = y.data<int64_t>();
  visit_kinds<kNumbers>(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const auto from = x.data<T>();
    span.for_lines([&](int64_t o, int64_t i) {
      const auto at = [&](int64_t k) { return loaded(from[span.index(o, k, i)]); };
      const auto before = [](auto a, auto b) {
        return op == ArgOp::max ? larger(a, b) : a < b || (a != a && b == b);
      };
      int64_t best = 0;
      for (int64_t k = 1; k < span.along; ++k) {
        if (before(at(k), at(best)) || (last && !before(at(best), at(k)))) best = k;
      }
      to[static_cast<size_t>(o * span.inner + i)] = best;
    });
    return Tensor();
  });
  return one_result(std::move(y));
}

template <ArgOp op>
Lowering lower_arg(const LowerContext& context) {
  if (context.quantized()) return Lowering::refuse("it runs in float");
  const LowerInput& x = context.inputs[0];
  if (x.dtype != DType::float32) {
    return Lowering::refuse("elements of type " + std::string(name(x.dtype)));
  }
  const bool last = context.node.attributes().integer("select_last_index", 0) != 0;
  const AlongAxis span(x.shape, axis_of(context.node, 0, x.shape.size()));
  return lowering(make_arg_reduce(op, last, span.outer, span.along, span.inner), {Layout::plain});
}

template <ArgOp op>
OpDef arg_record(const char* type) {
  return {.key = {"", type},
          .since_version = 1,
          .inputs = {1, 1},
          .outputs = {1, 1},
          .infer = infer_arg,
          .reference = arg_reference<op>,
          .lower = lower_arg<op>};
}

// ---- TopK -------------------------------------------------------------------------------------

int64_t checked_k(int64_t k) {
  if (k < 0) throw input_error(fmt::format("k is {}", k));
  return k;
}

/// Nothing where it is computed at run time.
template <bool k_input>
std::optional<int64_t> known_k(const NodeView& node) {
  if (!k_input) return checked_k(node.attributes().integer("k", -1));
  const auto elements = constant_integers(node, 1);
  if (!elements) return std::nullopt;
  if (elements->size() != 1) throw input_error("k is not one number");
  return checked_k(elements->front());
}

template <bool k_input>
void infer_top_k(InferContext& context) {
  const NodeView& node = context.node;
  const auto k = known_k<k_input>(node);
  TensorType type = node.input_type(0);
  if (type.shape) {
    Dim& dim = (*type.shape)[static_cast<size_t>(axis_of(node, -1, type.shape->size()))];
    if (k && dim.value && *k > *dim.value) {
      throw input_error(fmt::format("{} of {} elements are asked for", *k, *dim.value));
    }
    dim = k ? Dim{*k, {}} : Dim{};
  }
  context.set_output(1, {DType::int64, type.shape});
  context.set_output(0, std::move(type));
}

/// Equal elements in the order they stand in; what is unsorted is sorted too.
template <bool k_input>
std::vector<Tensor> top_k_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  const bool largest = call.node.attributes().integer("largest", 1) != 0;
  const int64_t axis = axis_of(call.node, -1, x.shape().size());
  int64_t k = 0;
  if (k_input) {
    if (call.input(1).size() != 1) throw input_error("k is not one number");
    k = checked_k(to_int64s(call.input(1))[0]);
  } else {
    k = *known_k<false>(call.node);
  }
  const AlongAxis span(x.shape(), axis);
  if (k > span.along) {
    throw input_error(fmt::format("{} of {} elements are asked for", k, span.along));
  }
  Shape shape = x.shape();
  shape[static_cast<size_t>(axis)] = k;
  const AlongAxis to(shape, axis);
  Tensor indices(DType::int64, shape);
  const auto places = indices.data<int64_t>();
  Tensor values = visit_kinds<kNumbers>(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    Tensor y(x.dtype(), shape);
    const auto from = x.data<T>();
    std::vector<int64_t> order(static_cast<size_t>(span.along));
    span.for_lines([&](int64_t o, int64_t i) {
      const auto at = [&](int64_t p) { return loaded(from[span.index(o, p, i)]); };
      const auto before = [&](int64_t p, int64_t q) {
        if (larger(at(p), at(q))) return largest;
        if (larger(at(q), at(p))) return !largest;
        return p < q;
      };
      std::iota(order.begin(), order.end(), int64_t{0});
      std::partial_sort(order.begin(), order.begin() + k, order.end(), before);
      for (int64_t j = 0; j < k; ++j) {
        const int64_t chosen = order[static_cast<size_t>(j)];
        y.data<T>()[to.index(o, j, i)] = from[span.index(o, chosen, i)];
        places[to.index(o, j, i)] = chosen;
      }
    });
    return y;
  });
  std::vector<Tensor> results = one_result(std::move(values));
  results.push_back(std::move(indices));
  return results;
}

template <bool k_input>
OpDef top_k_record(int since) {
  return {.key = {"", "TopK"},
          .since_version = since,
          .inputs = {k_input ? 2 : 1, k_input ? 2 : 1},
          .outputs = {1, 2},
          .infer = infer_top_k<k_input>,
          .reference = top_k_reference<k_input>};
}

// ---- Hardmax ----------------------------------------------------------------------------------

template <bool single_axis>
std::vector<Tensor> hardmax_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  const auto rank = static_cast<int64_t>(x.shape().size());
  const int64_t axis = normalized_axis(call.node.attributes().integer("axis", single_axis ? -1 : 1),
                                       rank, !single_axis);
  AlongAxis span(x.shape(), axis);
  if (!single_axis) {
    span.along *= span.inner;
    span.inner = 1;
  }
  return one_result(visit_kinds<kFloats>(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    Tensor y(x.dtype(), x.shape());
    const auto from = x.data<T>();
    if (x.size() == 0) return y;
    span.for_lines([&](int64_t o, int64_t i) {
      size_t best = span.index(o, 0, i);
      for (int64_t k = 1; k < span.along; ++k) {
        const size_t at = span.index(o, k, i);
        if (larger(loaded(from[at]), loaded(from[best]))) best = at;
      }
      y.data<T>()[best] = stored<T>(1);
    });
    return y;
  }));
}

template <bool single_axis>
OpDef hardmax_record(int since) {
  return {.key = {"", "Hardmax"},
          .since_version = since,
          .inputs = {1, 1},
          .outputs = {1, 1},
          .infer = infer_same_type,
          .reference = hardmax_reference<single_axis>};
}

// ---- CumSum -----------------------------------------------------------------------------------

std::vector<Tensor> cum_sum_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  if (call.input(1).size() != 1) throw input_error("the axis is not one number");
  const int64_t axis =
      normalized_axis(to_int64s(call.input(1))[0], static_cast<int64_t>(x.shape().size()));
  const bool exclusive = call.node.attributes().integer("exclusive", 0) != 0;
  const bool reverse = call.node.attributes().integer("reverse", 0) != 0;
  const AlongAxis span(x.shape(), axis);
  return one_result(visit_kinds<kNumbers>(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using Sum = std::conditional_t<kind_of<T> == kFloats, double, T>;
    Tensor y(x.dtype(), x.shape());
    span.for_lines([&](int64_t o, int64_t i) {
      Sum sum{};
      for (int64_t step = 0; step < span.along; ++step) {
        const size_t at = span.index(o, reverse ? span.along - 1 - step : step, i);
        if (exclusive) y.data<T>()[at] = stored<T>(sum);
        sum = wrapping(sum, static_cast<Sum>(loaded(x.data<T>()[at])),
                       [](auto a, auto b) { return a + b; });
        if (!exclusive) y.data<T>()[at] = stored<T>(sum);
      }
    });
    return y;
  }));
}

}  // namespace

void register_selection(OpRegistry& ops) {
  ops.add(arg_record<ArgOp::max>("ArgMax"));
  ops.add(arg_record<ArgOp::min>("ArgMin"));
  ops.add(top_k_record<false>(1));
  ops.add(top_k_record<true>(10));
  ops.add(hardmax_record<false>(1));
  ops.add(hardmax_record<true>(13));
  ops.add({.key = {"", "CumSum"},
           .since_version = 11,
           .inputs = {2, 2},
           .outputs = {1, 1},
           .infer = infer_same_type,
           .reference = cum_sum_reference});
}

}  // namespace qtool
