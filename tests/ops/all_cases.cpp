// SPDX-License-Identifier: Apache-2.0
#include "ops/legacy_cases.h"
#include "ops/op_case.h"

namespace qtool::test {

const std::vector<OpCase>& all_cases() {
  static const std::vector<OpCase> all = [] {
    std::vector<OpCase> list = data_movement_cases();
    for (auto* const family : {convolution_cases,   gemm_cases,
                               normalization_cases, pooling_cases,
                               activation_cases,    unary_cases,
                               clip_cases,          elementwise_cases,
                               arithmetic_cases,    comparison_cases,
                               variadic_cases,      reduction_cases,
                               selection_cases,     cast_loss_cases,
                               softmax_cases,       shape_cases,
                               slice_cases,         concat_pad_cases,
                               quantize_cases,      conv_transpose_cases,
                               layer_norm_cases,    response_norm_cases,
                               lp_pool_cases,       control_flow_cases,
                               recurrent_cases,     integer_product_cases,
                               qoperator_cases,     legacy_cases,
                               matmul_nbits_cases}) {
      for (OpCase& item : family()) list.push_back(std::move(item));
    }
    return list;
  }();
  return all;
}

}  // namespace qtool::test
