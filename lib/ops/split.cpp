// SPDX-License-Identifier: Apache-2.0
// Split (lengths: attribute before 13, input since; num_outputs since 18).
#include <cstring>
#include <numeric>

#include "kernels/host/copy.h"
#include "ops/along_axis.h"
#include "ops/families.h"
#include "ops/gradients/gradients.h"
#include "ops/lowering.h"
#include "ops/shapes.h"
#include "support/checked.h"
#include "support/text.h"

namespace qtool {

namespace {

int64_t split_axis(const NodeView& node, size_t rank) {
  return normalized_axis(node.attributes().integer("axis", 0), static_cast<int64_t>(rank));
}

/// The given lengths must make up the extent.
std::vector<int64_t> checked_lengths(std::vector<int64_t> lengths, int64_t extent, size_t parts) {
  if (lengths.size() != parts) {
    throw input_error(fmt::format("{} lengths for {} outputs", lengths.size(), parts));
  }
  int64_t sum = 0;
  for (const int64_t length : lengths) {
    const auto next = checked_add(sum, length);
    if (length < 0 || !next) throw input_error(fmt::format("a part of length {}", length));
    sum = *next;
  }
  if (sum != extent) {
    throw input_error(
        fmt::format("the lengths {} do not make up the extent {}", to_string(lengths), extent));
  }
  return lengths;
}

/// Equal parts; with num_outputs the last one may be shorter.
std::vector<int64_t> equal_lengths(const NodeView& node, int64_t extent) {
  const auto parts = static_cast<int64_t>(node.output_count());
  const bool counted = node.attributes().has("num_outputs");
  if (counted && node.attributes().integer("num_outputs", 0) != parts) {
    throw input_error(fmt::format("num_outputs is {}, but the node has {} outputs",
                                  node.attributes().integer("num_outputs", 0), parts));
  }
  const int64_t length = (extent + parts - 1) / parts;
  const int64_t last = extent - length * (parts - 1);
  if (last < 0 || (last != length && !counted)) {
    throw input_error(fmt::format("an extent of {} cannot be split into {} parts", extent, parts));
  }
  std::vector<int64_t> lengths(node.output_count(), length);
  lengths.back() = last;
  return lengths;
}

/// The lengths as far as they are known before the run; `extent` where it is.
std::optional<std::vector<int64_t>> known_lengths(const NodeView& node,
                                                  std::optional<int64_t> extent) {
  std::optional<std::vector<int64_t>> given;
  if (node.has_input(1)) {
    given = constant_integers(node, 1);
    if (!given) return std::nullopt;
  } else if (node.attributes().has("split")) {
    given = node.attributes().integers("split");
  }
  if (!given) return extent ? std::optional(equal_lengths(node, *extent)) : std::nullopt;
  const int64_t sum =
      std::accumulate(given->begin(), given->end(), int64_t{0},
                      [](int64_t a, int64_t b) { return checked_add(a, b).value_or(-1); });
  return checked_lengths(std::move(*given), extent.value_or(sum), node.output_count());
}

void infer_split(InferContext& context) {
  const NodeView& node = context.node;
  const auto& shape = node.input_type(0).shape;
  std::optional<std::vector<int64_t>> lengths;
  size_t axis = 0;
  if (shape) {
    axis = static_cast<size_t>(split_axis(node, shape->size()));
    lengths = known_lengths(node, (*shape)[axis].value);
  }
  for (size_t i = 0; i < node.output_count(); ++i) {
    TensorType type = node.input_type(0);
    if (type.shape) (*type.shape)[axis] = lengths ? Dim{(*lengths)[i], {}} : Dim{};
    context.set_output(i, std::move(type));
  }
}

std::vector<Tensor> split_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  const int64_t axis = split_axis(call.node, x.shape().size());
  const AlongAxis span(x.shape(), axis);
  const size_t width = moved_bytes(x.dtype());
  const std::vector<int64_t> lengths =
      call.has(1) ? checked_lengths(to_int64s(call.input(1)), span.along, call.node.output_count())
                  : *known_lengths(call.node, span.along);
  std::vector<Tensor> parts;
  int64_t start = 0;
  for (const int64_t length : lengths) {
    Shape shape = x.shape();
    shape[static_cast<size_t>(axis)] = length;
    Tensor y(x.dtype(), shape);
    const size_t row = static_cast<size_t>(length * span.inner) * width;
    for (int64_t o = 0; row > 0 && o < span.outer; ++o) {
      std::memcpy(y.raw() + static_cast<size_t>(o) * row, x.raw() + span.index(o, start, 0) * width,
                  row);
    }
    start += length;
    parts.push_back(std::move(y));
  }
  return parts;
}

Lowering lower_split(const LowerContext& context) {
  if (auto why = move_problem(context); !why.empty()) return Lowering::refuse(std::move(why));
  if (context.has(1) && context.inputs[1].constant == nullptr) {
    return Lowering::refuse("lengths that are computed at run time");
  }
  const LowerInput& x = context.inputs[0];
  const auto axis = static_cast<size_t>(split_axis(context.node, x.shape.size()));
  const std::vector<int64_t> from = strides(x.shape, x.layout);
  const auto lengths = known_lengths(context.node, x.shape[axis]);
  CopySpec spec;
  spec.element_bytes = moved_bytes(x.dtype);
  int64_t start = 0;
  for (size_t i = 0; i < lengths->size(); ++i) {
    Shape part = x.shape;
    part[axis] = (*lengths)[i];
    spec.copies.push_back(
        {part, from, strides(part, x.layout), start * from[axis], 0, 0, static_cast<int>(i)});
    start += part[axis];
  }
  const std::vector<Layout> outputs(lengths->size(), x.layout);
  Lowering result = lowering(make_copy(std::move(spec)), {x.layout}, outputs);
  if (context.has(1)) result.packed.push_back(1);
  return result;
}

}  // namespace

void register_split(OpRegistry& ops) {
  OpDef split = data_movement("Split", 1, {1, 2});
  split.outputs = {1, -1};
  split.infer = infer_split;
  split.reference = split_reference;
  split.lower = lower_split;
  split.gradient = split_gradient;
  ops.add(std::move(split));
}

}  // namespace qtool
