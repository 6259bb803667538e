// SPDX-License-Identifier: Apache-2.0
// ReduceSum, ReduceMean, ReduceMax, ReduceMin, ReduceProd, ReduceL1, ReduceL2, ReduceLogSum,
// ReduceLogSumExp, ReduceSumSquare: axes are an attribute first, an input since 18 (ReduceSum: 13).
#include <cmath>
#include <limits>

#include "kernels/host/reduce.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "ops/gradients/gradients.h"
#include "ops/lowering.h"

namespace qtool {

namespace {

/// The axes that a node names, or nothing where they are computed at run time. `from_input`: since
/// axes are an input.
std::optional<std::vector<int64_t>> named_axes(const NodeView& node, bool from_input) {
  if (!from_input) return node.attributes().integers("axes");
  if (!node.has_input(1)) return std::vector<int64_t>{};
  return constant_integers(node, 1);
}

/// By dimension, whether it is reduced. Errors (input): an axis outside, or twice.
std::vector<bool> reduced_dims(const NodeView& node, const std::vector<int64_t>& axes,
                               size_t rank) {
  const bool noop = node.attributes().integer("noop_with_empty_axes", 0) != 0;
  std::vector<bool> reduced(rank, axes.empty() && !noop);
  for (const int64_t axis : axes) {
    const auto at = static_cast<size_t>(normalized_axis(axis, static_cast<int64_t>(rank)));
    if (reduced[at]) throw input_error("the axis " + std::to_string(axis) + " stands twice");
    reduced[at] = true;
  }
  return reduced;
}

bool keeps_dims(const NodeView& node) { return node.attributes().integer("keepdims", 1) != 0; }

template <bool axes_input>
void infer_reduce(InferContext& context) {
  const NodeView& node = context.node;
  TensorType type{node.input_type(0).dtype, std::nullopt};
  if (const auto& shape = node.input_type(0).shape) {
    if (const auto axes = named_axes(node, axes_input)) {
      const std::vector<bool> reduced = reduced_dims(node, *axes, shape->size());
      type.shape.emplace();
      for (size_t d = 0; d < shape->size(); ++d) {
        if (!reduced[d]) {
          type.shape->push_back((*shape)[d]);
        } else if (keeps_dims(node)) {
          type.shape->push_back({1, {}});
        }
      }
    } else if (keeps_dims(node)) {
      type.shape.emplace(shape->size());
    }
  }
  context.set_output(0, std::move(type));
}

// ---- the definitions --------------------------------------------------------------------------

template <class T>
T extreme(const std::vector<T>& x, bool largest) {
  using Limits = std::numeric_limits<T>;
  T best = largest ? Limits::lowest() : Limits::max();
  if constexpr (Limits::has_infinity) best = largest ? -Limits::infinity() : Limits::infinity();
  for (const T value : x) {
    if (value != value || (largest ? value > best : value < best)) best = value;
    if (best != best) break;
  }
  return best;
}

double log_sum_exp(const std::vector<double>& x) {
  const double largest = extreme(x, true);
  if (!std::isfinite(largest)) return largest;
  double sum = 0;
  for (const double value : x) sum += std::exp(value - largest);
  return largest + std::log(sum);
}

double reduced_reals(ReduceOp op, const std::vector<double>& x) {
  double sum = 0;
  double product = 1;
  double magnitudes = 0;
  double squares = 0;
  for (const double value : x) {
    sum += value;
    product *= value;
    magnitudes += std::fabs(value);
    squares += value * value;
  }
  switch (op) {
    case ReduceOp::sum: return sum;
    case ReduceOp::mean: return sum / static_cast<double>(x.size());
    case ReduceOp::max: return extreme(x, true);
    case ReduceOp::min: return extreme(x, false);
    case ReduceOp::product: return product;
    case ReduceOp::l1: return magnitudes;
    case ReduceOp::l2: return std::sqrt(squares);
    case ReduceOp::log_sum: return std::log(sum);
    case ReduceOp::log_sum_exp: return log_sum_exp(x);
    case ReduceOp::sum_square: return squares;
  }
  return sum;
}

/// Integers wrap where they are exact, and go through double where a logarithm or root is taken.
template <class T>
T reduced_integers(ReduceOp op, const std::vector<T>& x) {
  if (op == ReduceOp::max || op == ReduceOp::min) return extreme(x, op == ReduceOp::max);
  if (op == ReduceOp::l2 || op == ReduceOp::log_sum || op == ReduceOp::log_sum_exp) {
    return converted<T>(reduced_reals(op, {x.begin(), x.end()}));
  }
  const auto plus = [](auto a, auto b) { return a + b; };
  const auto minus = [](auto a, auto b) { return a - b; };
  const auto times = [](auto a, auto b) { return a * b; };
  T result = op == ReduceOp::product ? T{1} : T{};
  for (const T value : x) {
    if (op == ReduceOp::product) {
      result = wrapping(result, value, times);
    } else if (op == ReduceOp::sum_square) {
      result = wrapping(result, wrapping(value, value, times), plus);
    } else {
      const bool subtract = op == ReduceOp::l1 && std::is_signed_v<T> && value < T{};
      result = subtract ? wrapping(result, value, minus) : wrapping(result, value, plus);
    }
  }
  if (op != ReduceOp::mean) return result;
  if (x.empty()) throw input_error("the mean of no integers");
  return converted<T>(static_cast<double>(result) / static_cast<double>(x.size()));
}

template <ReduceOp op, class T>
T reduced_list(const std::vector<T>& list) {
  if constexpr (std::is_same_v<T, bool>) {
    const bool largest = op == ReduceOp::max;  // of booleans: "any" and "all"
    return (std::ranges::find(list, largest) != list.end()) == largest;
  } else if constexpr (kind_of<T> == kFloats) {
    std::vector<double> reals;
    for (const T value : list) reals.push_back(static_cast<double>(loaded(value)));
    return converted<T>(reduced_reals(op, reals));
  } else {
    return reduced_integers(op, list);
  }
}

/// Each element of x goes to the list of the result it belongs to.
template <ReduceOp op, class T>
Tensor reduced_tensor(const Tensor& x, const std::vector<bool>& reduced, const Shape& shape) {
  Tensor y(x.dtype(), shape);
  std::vector<std::vector<T>> lists(static_cast<size_t>(y.size()));
  const auto elements = x.data<T>();
  for (size_t i = 0; i < elements.size(); ++i) {
    auto rest = static_cast<int64_t>(i);
    int64_t place = 0;
    int64_t stride = 1;
    for (size_t d = reduced.size(); d-- > 0;) {
      if (!reduced[d]) {
        place += rest % x.shape()[d] * stride;
        stride *= x.shape()[d];
      }
      rest /= x.shape()[d];
    }
    lists[static_cast<size_t>(place)].push_back(elements[i]);
  }
  std::ranges::transform(lists, y.data<T>().begin(), reduced_list<op, T>);
  return y;
}

template <ReduceOp op, bool axes_input>
std::vector<Tensor> reduce_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  std::vector<int64_t> axes;
  if (!axes_input) axes = call.node.attributes().integers("axes");
  if (axes_input && call.has(1)) axes = to_int64s(call.input(1));
  const std::vector<bool> reduced = reduced_dims(call.node, axes, x.shape().size());
  Shape shape;
  for (size_t d = 0; d < reduced.size(); ++d) {
    if (!reduced[d]) shape.push_back(x.shape()[d]);
    if (reduced[d] && keeps_dims(call.node)) shape.push_back(1);
  }
  if (std::ranges::find(reduced, true) == reduced.end() && !reduced.empty()) {
    return one_result(x.clone());  // noop_with_empty_axes: ONNX leaves the elements as they are
  }
  constexpr bool kOrder = op == ReduceOp::max || op == ReduceOp::min;
  return one_result(visit_kinds<kNumbers | (kOrder ? kBooleans : 0)>(x.dtype(), [&](auto tag) {
    return reduced_tensor<op, typename decltype(tag)::type>(x, reduced, shape);
  }));
}

// ---- lowering ---------------------------------------------------------------------------------

/// Whether the dimensions that remain are stored in ONNX's order, as in [N, C] of channels_last.
bool in_order_without(const std::vector<bool>& reduced, const LowerInput& x) {
  int before = -1;
  for (const int dim : storage_order(x.shape, x.layout)) {
    const auto d = static_cast<size_t>(dim);
    if (reduced[d] || x.shape[d] == 1) continue;
    if (dim < before) return false;
    before = dim;
  }
  return true;
}

template <ReduceOp op, bool axes_input>
Lowering lower_reduce(const LowerContext& context) {
  if (context.quantized()) return Lowering::refuse("it runs in float");
  const LowerInput& x = context.inputs[0];
  if (x.dtype != DType::float32) {
    return Lowering::refuse("elements of type " + std::string(name(x.dtype)));
  }
  const auto axes = named_axes(context.node, axes_input);
  if (!axes) return Lowering::refuse("axes that are computed at run time");
  const std::vector<bool> reduced = reduced_dims(context.node, *axes, x.shape.size());
  if (std::ranges::find(reduced, true) == reduced.end()) {
    return Lowering::refuse("nothing to reduce");
  }
  const bool keeps_layout = keeps_dims(context.node) || in_order_without(reduced, x);
  const Layout layout = keeps_layout ? x.layout : Layout::plain;
  const Layout result_layout = keeps_dims(context.node) ? layout : Layout::plain;
  Shape extents;
  std::vector<bool> stored_reduced;
  for (const int dim : storage_order(x.shape, layout)) {
    extents.push_back(x.shape[static_cast<size_t>(dim)]);
    stored_reduced.push_back(reduced[static_cast<size_t>(dim)]);
  }
  std::vector<PostOp> chain;
  for (const GroupPostOp& post : context.post_ops) chain.push_back(post.op);
  Lowering result =
      lowering(make_reduce(op, extents, stored_reduced, chain), {layout}, {result_layout});
  if (context.has(1)) result.packed = {1};
  return result;
}

void (*gradient_of(ReduceOp op))(GradContext&) {
  switch (op) {
    case ReduceOp::sum: return reduce_sum_gradient;
    case ReduceOp::mean: return reduce_mean_gradient;
    case ReduceOp::max:
    case ReduceOp::min: return reduce_extreme_gradient;
    case ReduceOp::l1: return reduce_l1_gradient;
    case ReduceOp::l2: return reduce_l2_gradient;
    case ReduceOp::sum_square: return reduce_sum_square_gradient;
    case ReduceOp::product: return reduce_prod_gradient;
    case ReduceOp::log_sum: return reduce_log_sum_gradient;
    case ReduceOp::log_sum_exp: return reduce_log_sum_exp_gradient;
  }
  return nullptr;
}

template <ReduceOp op, bool axes_input>
OpDef reduction(const char* type, int since) {
  return {.key = {"", type},
          .since_version = since,
          .inputs = {1, axes_input ? 2 : 1},
          .outputs = {1, 1},
          .infer = infer_reduce<axes_input>,
          .reference = reduce_reference<op, axes_input>,
          .tolerance = op == ReduceOp::max || op == ReduceOp::min ? kExact : kElementary,
          .taste = LayoutTaste::any,
          .fusion = Fusion::unary,
          .lower = lower_reduce<op, axes_input>,
          .gradient = gradient_of(op)};
}

template <ReduceOp op>
void add_both(OpRegistry& ops, const char* type, int since_input) {
  ops.add(reduction<op, false>(type, 1));
  ops.add(reduction<op, true>(type, since_input));
}

}  // namespace

void register_reduction(OpRegistry& ops) {
  add_both<ReduceOp::sum>(ops, "ReduceSum", 13);
  add_both<ReduceOp::mean>(ops, "ReduceMean", 18);
  add_both<ReduceOp::max>(ops, "ReduceMax", 18);
  add_both<ReduceOp::min>(ops, "ReduceMin", 18);
  add_both<ReduceOp::product>(ops, "ReduceProd", 18);
  add_both<ReduceOp::l1>(ops, "ReduceL1", 18);
  add_both<ReduceOp::l2>(ops, "ReduceL2", 18);
  add_both<ReduceOp::log_sum>(ops, "ReduceLogSum", 18);
  add_both<ReduceOp::log_sum_exp>(ops, "ReduceLogSumExp", 18);
  add_both<ReduceOp::sum_square>(ops, "ReduceSumSquare", 18);
}

}  // namespace qtool
