// SPDX-License-Identifier: Apache-2.0
// Elements picked by a condition or an order: Compress (9), NonZero (9), Unique (11),
// ReverseSequence (10), Trilu (14).
#include <algorithm>
#include <cstring>
#include <numeric>

#include "ops/along_axis.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "support/checked.h"
#include "support/text.h"

namespace qtool {

namespace {

Tensor integers(const std::vector<int64_t>& values) {
  return Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values);
}

/// Slices of x along an axis, in the listed order.
Tensor picked(const Tensor& x, int64_t axis, const std::vector<int64_t>& which) {
  const AlongAxis span(x.shape(), axis);
  Shape shape = x.shape();
  shape[static_cast<size_t>(axis)] = static_cast<int64_t>(which.size());
  Tensor y(x.dtype(), shape);
  const size_t row = static_cast<size_t>(span.inner) * moved_bytes(x.dtype());
  std::byte* to = y.raw();
  for (int64_t o = 0; y.size() > 0 && o < span.outer; ++o) {
    for (const int64_t k : which) {
      std::memcpy(to, x.raw() + static_cast<size_t>(o * span.along + k) * row, row);
      to += row;
    }
  }
  return y;
}

Tensor flattened(const Tensor& x) { return x.clone().reshaped({x.size()}); }

// ---- Compress ---------------------------------------------------------------------------------

std::vector<int64_t> chosen(const Tensor& condition, int64_t extent) {
  if (condition.dtype() != DType::boolean || condition.rank() != 1) {
    throw input_error("the condition is no list of booleans");
  }
  if (condition.size() > extent) {
    throw input_error(fmt::format("{} conditions for {} elements", condition.size(), extent));
  }
  std::vector<int64_t> which;
  for (int64_t i = 0; i < condition.size(); ++i) {
    if (condition.data<bool>()[static_cast<size_t>(i)]) which.push_back(i);
  }
  return which;
}

void infer_compress(InferContext& context) {
  const NodeView& node = context.node;
  TensorType type{node.input_type(0).dtype, std::vector<Dim>(1)};
  const bool along = node.attributes().has("axis");
  const auto& shape = node.input_type(0).shape;
  size_t axis = 0;
  if (along) {
    type.shape = shape;
    if (shape) {
      axis = static_cast<size_t>(normalized_axis(node.attributes().integer("axis", 0),
                                                 static_cast<int64_t>(shape->size())));
    }
  }
  if (type.shape) {
    Dim& dim = (*type.shape)[axis];
    const auto whole = shape ? product_of(*shape, 0, shape->size()).value : std::nullopt;
    const auto extent = along ? dim.value : whole;
    const Constant condition = node.input_constant(1);
    dim = condition != nullptr && extent
              ? Dim{static_cast<int64_t>(chosen(*condition, *extent).size()), {}}
              : Dim{};
  }
  context.set_output(0, std::move(type));
}

std::vector<Tensor> compress_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  if (!call.node.attributes().has("axis")) {
    const Tensor flat = flattened(x);
    return one_result(picked(flat, 0, chosen(call.input(1), flat.size())));
  }
  const int64_t axis =
      normalized_axis(call.node.attributes().integer("axis", 0), static_cast<int64_t>(x.rank()));
  const auto which = chosen(call.input(1), x.shape()[static_cast<size_t>(axis)]);
  return one_result(picked(x, axis, which));
}

// ---- NonZero ----------------------------------------------------------------------------------

std::vector<int64_t> places_of_non_zero(const Tensor& x) {
  const Tensor flags = cast(x, DType::boolean);
  std::vector<int64_t> places;
  for (int64_t i = 0; i < flags.size(); ++i) {
    if (flags.data<bool>()[static_cast<size_t>(i)]) places.push_back(i);
  }
  return places;
}

void infer_non_zero(InferContext& context) {
  const NodeView& node = context.node;
  std::vector<Dim> shape(2);
  if (const auto& x = node.input_type(0).shape) shape[0].value = static_cast<int64_t>(x->size());
  if (const Constant x = node.input_constant(0)) {
    shape[1].value = static_cast<int64_t>(places_of_non_zero(*x).size());
  }
  context.set_output(0, {DType::int64, shape});
}

std::vector<Tensor> non_zero_reference(const ReferenceCall& call) {
  const Shape& shape = call.input(0).shape();
  const std::vector<int64_t> places = places_of_non_zero(call.input(0));
  const size_t count = places.size();
  Tensor y(DType::int64, {static_cast<int64_t>(shape.size()), static_cast<int64_t>(count)});
  for (size_t i = 0; i < count; ++i) {
    int64_t rest = places[i];
    for (size_t d = shape.size(); d-- > 0;) {
      y.data<int64_t>()[d * count + i] = rest % shape[d];
      rest /= shape[d];
    }
  }
  return one_result(std::move(y));
}

// ---- Unique -----------------------------------------------------------------------------------

void infer_unique(InferContext& context) {
  const NodeView& node = context.node;
  TensorType type{node.input_type(0).dtype, std::vector<Dim>(1)};
  if (node.attributes().has("axis")) {
    type.shape = node.input_type(0).shape;
    if (type.shape) {
      const int64_t axis = normalized_axis(node.attributes().integer("axis", 0),
                                           static_cast<int64_t>(type.shape->size()));
      (*type.shape)[static_cast<size_t>(axis)] = {};
    }
  }
  context.set_output(0, std::move(type));
  for (size_t i = 1; i < 4; ++i) context.set_output(i, {DType::int64, std::vector<Dim>(1)});
}

/// Slices [outer, k, inner] compared element by element.
template <class T>
struct Slices {
  std::span<const T> elements;
  AlongAxis span;

  /// -1, 0, 1 as slice a stands before, equals, or stands after b; NaN stands last.
  int compare(int64_t a, int64_t b) const {
    for (int64_t o = 0; o < span.outer; ++o) {
      for (int64_t i = 0; i < span.inner; ++i) {
        const auto x = loaded(elements[span.index(o, a, i)]);
        const auto y = loaded(elements[span.index(o, b, i)]);
        if (x < y || (x == x && y != y)) return -1;
        if (y < x || (y == y && x != x)) return 1;
      }
    }
    return 0;
  }
};

struct Uniqued {
  std::vector<int64_t> first;    ///< where each distinct slice stands first
  std::vector<int64_t> inverse;  ///< which distinct one each slice is
  std::vector<int64_t> counts;
};

template <class T>
Uniqued uniqued(const Slices<T>& slices, bool sorted) {
  const auto count = static_cast<size_t>(slices.span.along);
  std::vector<int64_t> order(count);
  std::iota(order.begin(), order.end(), int64_t{0});
  std::ranges::stable_sort(order, [&](int64_t a, int64_t b) { return slices.compare(a, b) < 0; });
  Uniqued result;
  result.inverse.resize(count);
  for (size_t i = 0; i < count; ++i) {
    if (i == 0 || slices.compare(order[i - 1], order[i]) != 0) {
      result.first.push_back(order[i]);
      result.counts.push_back(0);
    }
    ++result.counts.back();
    result.inverse[static_cast<size_t>(order[i])] = static_cast<int64_t>(result.first.size()) - 1;
  }
  if (sorted) return result;
  std::vector<int64_t> ranks(result.first.size());
  std::iota(ranks.begin(), ranks.end(), int64_t{0});
  std::ranges::sort(ranks, {}, [&](int64_t r) { return result.first[static_cast<size_t>(r)]; });
  Uniqued by_place{{}, result.inverse, {}};
  std::vector<int64_t> renamed(ranks.size());
  for (size_t i = 0; i < ranks.size(); ++i) {
    const auto rank = static_cast<size_t>(ranks[i]);
    renamed[rank] = static_cast<int64_t>(i);
    by_place.first.push_back(result.first[rank]);
    by_place.counts.push_back(result.counts[rank]);
  }
  for (int64_t& which : by_place.inverse) which = renamed[static_cast<size_t>(which)];
  return by_place;
}

std::vector<Tensor> unique_reference(const ReferenceCall& call) {
  const bool along = call.node.attributes().has("axis");
  const Tensor x = along ? call.input(0).clone() : flattened(call.input(0));
  const int64_t axis =
      along ? normalized_axis(call.node.attributes().integer("axis", 0), x.rank()) : 0;
  const bool sorted = call.node.attributes().integer("sorted", 1) != 0;
  Uniqued found;
  visit_kinds<kNumbers | kBooleans>(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    found = uniqued(Slices<T>{x.data<T>(), AlongAxis(x.shape(), axis)}, sorted);
    return Tensor();
  });
  std::vector<Tensor> results = one_result(picked(x, axis, found.first));
  results.push_back(integers(found.first));
  results.push_back(integers(found.inverse));
  results.push_back(integers(found.counts));
  return results;
}

// ---- ReverseSequence --------------------------------------------------------------------------

void infer_reverse_sequence(InferContext& context) {
  const NodeView& node = context.node;
  const int64_t batch = node.attributes().integer("batch_axis", 1);
  const int64_t time = node.attributes().integer("time_axis", 0);
  if (!(batch == 0 && time == 1) && !(batch == 1 && time == 0)) {
    throw input_error(fmt::format("batch_axis {} and time_axis {}: they are 0 and 1", batch, time));
  }
  const auto& x = node.input_type(0).shape;
  const auto lengths = node.input_type(1).concrete_shape();
  if (x && x->size() < 2) throw input_error("the input has no two axes");
  if (lengths && lengths->size() != 1) throw input_error("the lengths are no list");
  const auto batches = x ? (*x)[static_cast<size_t>(batch)].value : std::nullopt;
  if (lengths && batches && (*lengths)[0] != *batches) {
    throw input_error(fmt::format("{} lengths for a batch of {}", (*lengths)[0], *batches));
  }
  context.set_output(0, node.input_type(0));
}

std::vector<Tensor> reverse_sequence_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  const bool batch_first = call.node.attributes().integer("batch_axis", 1) == 0;
  const Shape& shape = x.shape();
  const int64_t batches = shape[batch_first ? 0 : 1];
  const int64_t times = shape[batch_first ? 1 : 0];
  const std::vector<int64_t> lengths = to_int64s(call.input(1));
  for (const int64_t length : lengths) {
    if (length < 0 || length > times)
      throw input_error(fmt::format("a length of {} with {} steps", length, times));
  }
  Tensor y = x.clone();
  if (x.size() == 0) return one_result(std::move(y));
  const size_t row = x.bytes() / static_cast<size_t>(batches * times);
  moved_bytes(x.dtype());
  const auto at = [&](int64_t b, int64_t t) {
    return static_cast<size_t>(batch_first ? b * times + t : t * batches + b) * row;
  };
  for (int64_t b = 0; b < batches; ++b) {
    const int64_t length = lengths[static_cast<size_t>(b)];
    for (int64_t t = 0; t < length; ++t) {
      std::memcpy(y.raw() + at(b, t), x.raw() + at(b, length - 1 - t), row);
    }
  }
  return one_result(std::move(y));
}

// ---- Trilu ------------------------------------------------------------------------------------

void infer_trilu(InferContext& context) {
  const auto& shape = context.node.input_type(0).shape;
  if (shape && shape->size() < 2) {
    throw input_error(fmt::format("a tensor of rank {} has no triangles", shape->size()));
  }
  if (context.node.has_input(1)) check_single(context.node, 1, "k");
  context.set_output(0, context.node.input_type(0));
}

std::vector<Tensor> trilu_reference(const ReferenceCall& call) {
  Tensor y = call.input(0).clone();
  const bool upper = call.node.attributes().integer("upper", 1) != 0;
  const int64_t k = call.has(1) ? to_int64s(call.input(1))[0] : 0;
  const size_t width = moved_bytes(y.dtype());
  const int64_t rows = y.shape()[y.shape().size() - 2];
  const int64_t columns = y.shape().back();
  for (int64_t i = 0; i < y.size(); ++i) {
    const int64_t row = i / columns % rows;
    const int64_t column = i % columns;
    if (upper ? column - row < k : column - row > k) {
      std::memset(y.raw() + static_cast<size_t>(i) * width, 0, width);
    }
  }
  return one_result(std::move(y));
}

}  // namespace

void register_pick(OpRegistry& ops) {
  ops.add({.key = {"", "Compress"},
           .since_version = 9,
           .inputs = {2, 2},
           .outputs = {1, 1},
           .infer = infer_compress,
           .reference = compress_reference});
  ops.add({.key = {"", "NonZero"},
           .since_version = 9,
           .inputs = {1, 1},
           .outputs = {1, 1},
           .infer = infer_non_zero,
           .reference = non_zero_reference});
  ops.add({.key = {"", "Unique"},
           .since_version = 11,
           .inputs = {1, 1},
           .outputs = {1, 4},
           .infer = infer_unique,
           .reference = unique_reference});
  ops.add({.key = {"", "ReverseSequence"},
           .since_version = 10,
           .inputs = {2, 2},
           .outputs = {1, 1},
           .infer = infer_reverse_sequence,
           .reference = reverse_sequence_reference});
  ops.add({.key = {"", "Trilu"},
           .since_version = 14,
           .inputs = {1, 2},
           .outputs = {1, 1},
           .infer = infer_trilu,
           .reference = trilu_reference});
}

}  // namespace qtool
