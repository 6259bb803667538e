// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/onednn/primitives.h"
#include "ops/op_def.h"

namespace qtool {

// Helpers that lowerings share.

/// A kernel's answer as a Lowering.
Lowering lowering(MadeKernel made, std::vector<Layout> inputs = {},
                  std::vector<Layout> outputs = {});

/// The layout that an op with spatial dimensions works in: channels_last from rank 3 on.
Layout spatial_layout(const Shape& shape);

/// channels_last if an input that varies has it, so that data is not converted to and fro.
Layout common_layout(const LowerContext& context);

/// Post-ops as the oneDNN makers take them; operands lie in `layout`.
std::vector<onednn::PostOpSpec> post_op_specs(const LowerContext& context, Layout layout);

/// The kernel input of the residual that a sum post-op finds in the destination, or -1.
int residual_input(const LowerContext& context);

onednn::Operand operand(const LowerInput& input, Layout layout);
onednn::Operand operand(const LowerOutput& output, Layout layout);

/// Whether moving codes without changing them is right: the moved inputs, constants too, and the
/// output have equal parameters, or none has any. The first `count` inputs are moved; those behind
/// say how to.
bool moves_codes(const LowerContext& context, size_t count = 1);

/// "", or why make_copy and the like cannot move the first `count` inputs to output 0.
std::string move_problem(const LowerContext& context, size_t count = 1);

/// The same bytes under another shape: nothing to compute. Refuses shapes computed at run time.
Lowering lower_alias(const LowerContext& context);

/// What the records of ops that only move data share; infer, reference and lower are missing.
OpDef data_movement(const char* type, int since, Arity inputs);

/// "", or why a product of inputs 0 and 1 cannot run: both are float32, or both are codes, the
/// weights' scaled as a whole or along `channel_axis`.
std::string operand_problem(const LowerContext& context, int channel_axis);

/// Whether make_copy can move such elements.
bool movable(DType dtype);

}  // namespace qtool
