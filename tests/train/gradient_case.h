// SPDX-License-Identifier: Apache-2.0
// A node whose gradients are checked against central differences.
#pragma once

#include "ops/op_case.h"

namespace qtool::test {

struct GradientCase {
  std::string name;
  std::string op;
  int64_t opset = 17;
  CaseAttributes attributes = {};
  std::vector<Constant> inputs = {};  ///< by slot, float32 or integers; null: absent
  std::vector<int> wanted = {0};      ///< the slots to differentiate for
  std::vector<int> outputs = {0};     ///< those that the loss reads
  int output_count = 1;
  std::string domain = {};
  /// Whether differences are taken in double. In float, for references that know nothing else, the
  /// op must be linear around each point by more than the step.
  bool in_double = true;
};

/// Numbers in [-4, 4) times `scale`, no two alike, none within 1/50 of a multiple of 1/2.
Constant smooth(Shape shape, uint64_t seed = 1, float scale = 1);

/// The same numbers without their signs, and 1/4 more.
Constant positive(Shape shape);

/// Distinct multiples of 1/4 in random order.
Constant distinct(Shape shape, uint64_t seed = 1);

std::vector<GradientCase> activation_gradients();
std::vector<GradientCase> arithmetic_gradients();
std::vector<GradientCase> recurrent_gradients();
std::vector<GradientCase> movement_gradients();
std::vector<GradientCase> product_gradients();
std::vector<GradientCase> window_gradients();
std::vector<GradientCase> loss_gradients();

}  // namespace qtool::test
