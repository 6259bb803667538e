// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/op_def.h"

namespace qtool {

// One function a family, one file a function (or a folder). Adding a family: a line here, one in
// registry.cpp, one in CMakeLists.txt.
void register_convolution(OpRegistry& ops);
void register_conv_transpose(OpRegistry& ops);
void register_gemm(OpRegistry& ops);
void register_normalization(OpRegistry& ops);
void register_layer_norm(OpRegistry& ops);
void register_response_norm(OpRegistry& ops);
void register_pooling(OpRegistry& ops);
void register_lp_pool(OpRegistry& ops);
void register_activation(OpRegistry& ops);
void register_unary(OpRegistry& ops);
void register_clip(OpRegistry& ops);
void register_elementwise(OpRegistry& ops);
void register_arithmetic(OpRegistry& ops);
void register_comparison(OpRegistry& ops);
void register_variadic(OpRegistry& ops);
void register_reduction(OpRegistry& ops);
void register_cast(OpRegistry& ops);
void register_selection(OpRegistry& ops);
void register_loss(OpRegistry& ops);
void register_softmax(OpRegistry& ops);
void register_reshape(OpRegistry& ops);
void register_shape_ops(OpRegistry& ops);
void register_slice_concat(OpRegistry& ops);
void register_pad(OpRegistry& ops);
void register_split(OpRegistry& ops);
void register_gather(OpRegistry& ops);
void register_scatter(OpRegistry& ops);
void register_expand_tile(OpRegistry& ops);
void register_depth_space(OpRegistry& ops);
void register_fill(OpRegistry& ops);
void register_windows(OpRegistry& ops);
void register_pick(OpRegistry& ops);
void register_resize(OpRegistry& ops);
void register_einsum(OpRegistry& ops);
void register_recurrent(OpRegistry& ops);
void register_control_flow(OpRegistry& ops);
void register_scan(OpRegistry& ops);
void register_signal(OpRegistry& ops);
void register_det(OpRegistry& ops);
void register_unpool(OpRegistry& ops);
void register_crop_fold(OpRegistry& ops);
void register_non_max_suppression(OpRegistry& ops);
void register_roi(OpRegistry& ops);
void register_grid_sample(OpRegistry& ops);
void register_quantize_linear(OpRegistry& ops);
void register_dynamic_quantize(OpRegistry& ops);
void register_integer_product(OpRegistry& ops);
void register_matmul_nbits(OpRegistry& ops);
void register_qoperator(OpRegistry& ops);
void register_legacy(OpRegistry& ops);

}  // namespace qtool
