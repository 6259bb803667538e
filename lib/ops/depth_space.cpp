// SPDX-License-Identifier: Apache-2.0
// DepthToSpace (1: DCR, 11: also CRD), SpaceToDepth (1).
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

constexpr int64_t kMostBlock = 1 << 20;  // its square is an extent

int64_t block_size(const NodeView& node) {
  const int64_t block = node.attributes().integer("blocksize", 0);
  if (block < 1 || block > kMostBlock) throw input_error(fmt::format("a blocksize of {}", block));
  return block;
}

bool column_first(const NodeView& node) {
  const std::string mode = node.attributes().text("mode", "DCR");
  if (mode != "DCR" && mode != "CRD") throw input_error("the mode is \"" + mode + '"');
  return mode == "CRD";
}

Dim divided(const Dim& dim, int64_t by, const char* what) {
  if (!dim.value) return {};
  if (*dim.value % by != 0) {
    throw input_error(fmt::format("{} of {} cannot be divided by {}", what, *dim.value, by));
  }
  return {*dim.value / by, {}};
}

Dim multiplied(const Dim& dim, int64_t by) {
  if (!dim.value) return {};
  const auto product = checked_multiply(*dim.value, by);
  if (!product) throw input_error(fmt::format("an extent of {} times {}", *dim.value, by));
  return {*product, {}};
}

template <bool to_space>
void infer_blocks(InferContext& context) {
  const NodeView& node = context.node;
  const int64_t block = block_size(node);
  column_first(node);
  TensorType type = node.input_type(0);
  if (type.shape) {
    std::vector<Dim>& dims = *type.shape;
    if (dims.size() != 4) {
      throw input_error(fmt::format("an input of rank {}, expected [N, C, H, W]", dims.size()));
    }
    if (to_space) {
      dims = {dims[0], divided(dims[1], block * block, "a number of channels"),
              multiplied(dims[2], block), multiplied(dims[3], block)};
    } else {
      dims = {dims[0], multiplied(dims[1], block * block), divided(dims[2], block, "a height"),
              divided(dims[3], block, "a width")};
    }
  }
  context.set_output(0, std::move(type));
}

/// A move between [N, C, H * b, W * b] and [N, b * b * C, H, W], over [N, C, H, b, W, b], from the
/// one's strides to the other's.
struct Blocks {
  Shape extents;
  std::vector<int64_t> space;  ///< strides in the tensor with more space
  std::vector<int64_t> depth;  ///< strides in the tensor with more channels
};

Blocks blocks_of(const NodeView& node, const Shape& space, const std::vector<int64_t>& in_space,
                 const std::vector<int64_t>& in_depth) {
  const int64_t b = block_size(node);
  const int64_t channels = space[1];
  // DCR: channel (row, column, c); CRD: channel (c, row, column).
  const bool crd = column_first(node);
  const int64_t c = in_depth[1];
  return {{space[0], channels, space[2] / b, b, space[3] / b, b},
          {in_space[0], in_space[1], in_space[2] * b, in_space[2], in_space[3] * b, in_space[3]},
          {in_depth[0], crd ? c * b * b : c, in_depth[2], crd ? c * b : c * b * channels,
           in_depth[3], crd ? c : c * channels}};
}

template <bool to_space>
Shape moved_shape(const Shape& x, int64_t b) {
  if (to_space) return {x[0], x[1] / (b * b), x[2] * b, x[3] * b};
  return {x[0], x[1] * b * b, x[2] / b, x[3] / b};
}

template <bool to_space>
std::vector<Tensor> blocks_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  moved_bytes(x.dtype());
  const int64_t b = block_size(call.node);
  const Shape shape = moved_shape<to_space>(x.shape(), b);
  const std::vector<int64_t> own = row_major_strides(x.shape());
  if (to_space) {
    const Blocks blocks = blocks_of(call.node, shape, row_major_strides(shape), own);
    return one_result(
        reference::gather_strided(x, blocks.extents, 0, blocks.depth).reshaped(shape));
  }
  // Read in the order of [N, b, b, C, H, W].
  const Blocks blocks = blocks_of(call.node, x.shape(), own, row_major_strides(shape));
  const size_t order[] = {0, 3, 5, 1, 2, 4};
  Shape extents;
  std::vector<int64_t> steps;
  for (const size_t d : order) {
    extents.push_back(blocks.extents[d]);
    steps.push_back(blocks.space[d]);
  }
  return one_result(reference::gather_strided(x, extents, 0, steps).reshaped(shape));
}

template <bool to_space>
Lowering lower_blocks(const LowerContext& context) {
  if (auto why = move_problem(context); !why.empty()) return Lowering::refuse(std::move(why));
  const LowerInput& x = context.inputs[0];
  const Shape shape = moved_shape<to_space>(x.shape, block_size(context.node));
  const std::vector<int64_t> from = strides(x.shape, x.layout);
  const std::vector<int64_t> to = strides(shape, x.layout);
  const Blocks blocks = to_space ? blocks_of(context.node, shape, to, from)
                                 : blocks_of(context.node, x.shape, from, to);
  CopySpec spec;
  spec.element_bytes = moved_bytes(x.dtype);
  spec.output_elements = element_count(shape);
  spec.copies.push_back({blocks.extents, to_space ? blocks.depth : blocks.space,
                         to_space ? blocks.space : blocks.depth, 0, 0, 0});
  return lowering(make_copy(std::move(spec)), {x.layout}, {x.layout});
}

template <bool to_space>
OpDef record(const char* type) {
  OpDef def = data_movement(type, 1, {1, 1});
  def.infer = infer_blocks<to_space>;
  def.reference = blocks_reference<to_space>;
  def.lower = lower_blocks<to_space>;
  return def;
}

}  // namespace

void register_depth_space(OpRegistry& ops) {
  OpDef to_space = record<true>("DepthToSpace");
  to_space.gradient = depth_to_space_gradient;
  ops.add(std::move(to_space));
  OpDef to_depth = record<false>("SpaceToDepth");
  to_depth.gradient = space_to_depth_gradient;
  ops.add(std::move(to_depth));
}

}  // namespace qtool
