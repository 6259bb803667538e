// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ops/gradient.h"

namespace qtool {

// What stands in the records' `gradient`, and the ops of kTrainingDomain that they emit. One file a
// family, named like the family's.

void unary_gradient(GradContext& context);  ///< every function of one number that has a post-op
void power_gradient(GradContext& context);  ///< Pow with a known exponent

void add_gradient(GradContext& context);
void subtract_gradient(GradContext& context);
void multiply_gradient(GradContext& context);
void divide_gradient(GradContext& context);
void sum_gradient(GradContext& context);
void reduce_sum_gradient(GradContext& context);
void reduce_mean_gradient(GradContext& context);

void extreme_gradient(GradContext& context);  ///< Max, Min
void mean_gradient(GradContext& context);
void prelu_gradient(GradContext& context);
void reduce_extreme_gradient(GradContext& context);  ///< ReduceMax, ReduceMin
void reduce_l1_gradient(GradContext& context);
void reduce_l2_gradient(GradContext& context);
void reduce_sum_square_gradient(GradContext& context);
void reduce_prod_gradient(GradContext& context);
void reduce_log_sum_gradient(GradContext& context);
void reduce_log_sum_exp_gradient(GradContext& context);

/// What a reduction made (or the gradient of it) as large as the reduction's input again.
ValueId spread_back(GradContext& context, ValueId reduced);

/// One number a channel [C] as [1, C, 1 ...], to go with [N, C, ...] of the node's first input.
ValueId by_channel(GradContext& context, ValueId numbers);

/// Sums of a tensor [N, C, ...] by channel, like `numbers` [C].
ValueId sum_by_channel(GradContext& context, ValueId tensor, ValueId numbers);

void resize_gradient(GradContext& context);
void depth_to_space_gradient(GradContext& context);
void space_to_depth_gradient(GradContext& context);
void conv_transpose_gradient(GradContext& context);
void instance_norm_gradient(GradContext& context);
void group_norm_gradient(GradContext& context);
void response_norm_gradient(GradContext& context);  ///< LRN
void recurrent_gradient(GradContext& context);      ///< RNN, GRU, LSTM

void reshape_gradient(GradContext& context);  ///< the same elements under another shape
void transpose_gradient(GradContext& context);
void concat_gradient(GradContext& context);
void slice_gradient(GradContext& context);
void split_gradient(GradContext& context);
void pad_gradient(GradContext& context);

void identity_gradient(GradContext& context);

void gather_gradient(GradContext& context);
void where_gradient(GradContext& context);
void expand_gradient(GradContext& context);
void tile_gradient(GradContext& context);

void gemm_gradient(GradContext& context);
void matmul_gradient(GradContext& context);
void einsum_gradient(GradContext& context);
void conv_gradient(GradContext& context);
void max_pool_gradient(GradContext& context);
void average_pool_gradient(GradContext& context);
void softmax_gradient(GradContext& context);
void log_softmax_gradient(GradContext& context);
void batch_norm_gradient(GradContext& context);
void layer_norm_gradient(GradContext& context);

void register_training_activation(OpRegistry& ops);
void register_training_arithmetic(OpRegistry& ops);
void register_training_movement(OpRegistry& ops);
void register_training_batch_statistics(OpRegistry& ops);
void register_training_recurrent(OpRegistry& ops);
void register_training_product(OpRegistry& ops);
void register_training_convolution(OpRegistry& ops);
void register_training_pooling(OpRegistry& ops);
void register_training_selection(OpRegistry& ops);
void register_training_softmax(OpRegistry& ops);
void register_training_normalization(OpRegistry& ops);
void register_training_fake_quantize(OpRegistry& ops);
void register_training_loss(OpRegistry& ops);

/// A record of kTrainingDomain, version 1.
OpDef training_record(const char* type, Arity inputs, Arity outputs, void (*infer)(InferContext&),
                      std::vector<Tensor> (*reference)(const ReferenceCall&));

/// Output 0 has the type of input `slot`.
template <size_t slot>
void infer_like(InferContext& context) {
  context.set_output(0, context.node.input_type(slot));
}

}  // namespace qtool
