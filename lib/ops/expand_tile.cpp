// SPDX-License-Identifier: Apache-2.0
// Expand (8), Tile (6).
#include "kernels/host/copy.h"
#include "kernels/reference/reference.h"
#include "ops/families.h"
#include "ops/gradients/gradients.h"
#include "ops/lowering.h"
#include "ops/shapes.h"
#include "support/checked.h"
#include "support/text.h"

namespace qtool {

namespace {

/// A list of numbers that is an input. Errors (input): another rank or type.
void check_list(const NodeView& node, size_t slot, const char* what) {
  const TensorType& type = node.input_type(slot);
  const bool integers = type.dtype == DType::undefined || is_integer(type.dtype);
  if (!integers || (type.shape && type.shape->size() != 1)) {
    throw input_error(fmt::format("{} is {}, not a list of integers", what, to_string(type)));
  }
}

int64_t checked_extent(int64_t extent, const char* what) {
  if (extent < 0 || extent > kMostExtent) throw input_error(fmt::format("{} {}", what, extent));
  return extent;
}

// ---- Expand -----------------------------------------------------------------------------------

Shape expanded_shape(const Shape& x, const std::vector<int64_t>& wanted) {
  for (const int64_t extent : wanted) checked_extent(extent, "a shape with the extent");
  auto shape = broadcast(x, wanted);
  if (!shape) {
    throw input_error(
        fmt::format("{} does not broadcast with the shape {}", to_string(x), to_string(wanted)));
  }
  return *shape;
}

void infer_expand(InferContext& context) {
  const NodeView& node = context.node;
  check_list(node, 1, "the shape");
  TensorType type{node.input_type(0).dtype, std::nullopt};
  const auto& shape = node.input_type(0).shape;
  if (const auto wanted = constant_integers(node, 1); wanted && shape) {
    std::vector<Dim> dims;
    for (const int64_t extent : *wanted)
      dims.push_back({checked_extent(extent, "a shape with the extent"), {}});
    type.shape = broadcast_dims(*shape, dims);
  } else if (const auto count = node.input_type(1).concrete_shape(); count && shape) {
    if ((*count)[0] > 1024) throw input_error("the shape is no list of extents");
    type.shape.emplace(std::max(shape->size(), static_cast<size_t>((*count)[0])));
  }
  context.set_output(0, std::move(type));
}

/// Strides of x seen in the broadcast shape: 0 where it repeats.
std::vector<int64_t> broadcast_strides(const Shape& x, const std::vector<int64_t>& own,
                                       size_t rank) {
  std::vector<int64_t> steps(rank, 0);
  for (size_t d = 0; d < x.size(); ++d) {
    if (x[d] != 1) steps[rank - x.size() + d] = own[d];
  }
  return steps;
}

std::vector<Tensor> expand_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  moved_bytes(x.dtype());
  const Shape shape = expanded_shape(x.shape(), to_int64s(call.input(1)));
  const auto steps = broadcast_strides(x.shape(), row_major_strides(x.shape()), shape.size());
  return one_result(reference::gather_strided(x, shape, 0, steps));
}

Lowering lower_expand(const LowerContext& context) {
  if (auto why = move_problem(context); !why.empty()) return Lowering::refuse(std::move(why));
  if (context.inputs[1].constant == nullptr) {
    return Lowering::refuse("a shape that is computed at run time");
  }
  const LowerInput& x = context.inputs[0];
  const Shape& shape = context.outputs[0].shape;
  const Layout layout = x.shape.size() == shape.size() ? x.layout : Layout::plain;
  CopySpec spec;
  spec.element_bytes = moved_bytes(x.dtype);
  spec.output_elements = element_count(shape);
  spec.copies.push_back({shape, broadcast_strides(x.shape, strides(x.shape, layout), shape.size()),
                         strides(shape, layout), 0, 0, 0});
  Lowering result = lowering(make_copy(std::move(spec)), {layout, Layout::plain}, {layout});
  result.packed = {1};
  return result;
}

// ---- Tile -------------------------------------------------------------------------------------

void check_repeats(const std::vector<int64_t>& repeats, size_t rank) {
  if (repeats.size() != rank) {
    throw input_error(fmt::format("{} repeats for {} axes", repeats.size(), rank));
  }
  for (const int64_t count : repeats) checked_extent(count, "a repeat of");
}

int64_t tiled_extent(int64_t extent, int64_t repeat) {
  const auto product = checked_multiply(extent, repeat);
  if (!product) throw input_error(fmt::format("{} repeated {} times", extent, repeat));
  return checked_extent(*product, "an extent of");
}

void infer_tile(InferContext& context) {
  const NodeView& node = context.node;
  check_list(node, 1, "the list of repeats");
  TensorType type = node.input_type(0);
  if (type.shape) {
    const auto repeats = constant_integers(node, 1);
    if (repeats) check_repeats(*repeats, type.shape->size());
    for (size_t d = 0; d < type.shape->size(); ++d) {
      Dim& dim = (*type.shape)[d];
      if (!repeats || (!dim.value && (*repeats)[d] != 1)) {
        dim = {};
      } else if (dim.value) {
        dim = {tiled_extent(*dim.value, (*repeats)[d]), {}};
      }
    }
  }
  context.set_output(0, std::move(type));
}

/// The output as [repeat, extent, repeat, extent ...]: x does not move along the repeats.
StridedCopy tiled(const Shape& x, const std::vector<int64_t>& from,
                  const std::vector<int64_t>& repeats, const std::vector<int64_t>& to) {
  StridedCopy copy;
  for (size_t d = 0; d < x.size(); ++d) {
    copy.extents.insert(copy.extents.end(), {repeats[d], x[d]});
    copy.from_strides.insert(copy.from_strides.end(), {0, from[d]});
    copy.to_strides.insert(copy.to_strides.end(), {to[d] * x[d], to[d]});
  }
  return copy;
}

std::vector<Tensor> tile_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  moved_bytes(x.dtype());
  const std::vector<int64_t> repeats = to_int64s(call.input(1));
  check_repeats(repeats, x.shape().size());
  Shape shape = x.shape();
  for (size_t d = 0; d < shape.size(); ++d) shape[d] = tiled_extent(shape[d], repeats[d]);
  const StridedCopy copy = tiled(x.shape(), row_major_strides(x.shape()), repeats,
                                 std::vector<int64_t>(shape.size(), 0));
  return one_result(
      reference::gather_strided(x, copy.extents, 0, copy.from_strides).reshaped(shape));
}

Lowering lower_tile(const LowerContext& context) {
  if (auto why = move_problem(context); !why.empty()) return Lowering::refuse(std::move(why));
  if (context.inputs[1].constant == nullptr) {
    return Lowering::refuse("repeats that are computed at run time");
  }
  const LowerInput& x = context.inputs[0];
  const Shape& shape = context.outputs[0].shape;
  CopySpec spec;
  spec.element_bytes = moved_bytes(x.dtype);
  spec.output_elements = element_count(shape);
  spec.copies.push_back(tiled(x.shape, strides(x.shape, x.layout),
                              to_int64s(*context.inputs[1].constant), strides(shape, x.layout)));
  Lowering result = lowering(make_copy(std::move(spec)), {x.layout, Layout::plain}, {x.layout});
  result.packed = {1};
  return result;
}

}  // namespace

void register_expand_tile(OpRegistry& ops) {
  OpDef expand = data_movement("Expand", 8, {2, 2});
  expand.infer = infer_expand;
  expand.reference = expand_reference;
  expand.lower = lower_expand;
  expand.gradient = expand_gradient;
  ops.add(std::move(expand));

  OpDef tile = data_movement("Tile", 6, {2, 2});
  tile.infer = infer_tile;
  tile.reference = tile_reference;
  tile.lower = lower_tile;
  tile.gradient = tile_gradient;
  ops.add(std::move(tile));
}

}  // namespace qtool
