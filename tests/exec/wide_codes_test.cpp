// SPDX-License-Identifier: Apache-2.0
// Weights in ONNX's 4-bit types run on the same integer kernels as their codes in 8 bits.
#include "exec/wide_codes.h"

#include "catch.h"
#include "exec/agree.h"
#include "exec/model.h"

using namespace qtool;
using namespace qtool::test;

namespace {

/// x, quantized, through a convolution whose 4-bit weights have this element type, quantized again.
Model convolution(DType weights) {
  Model m(21);
  const Grid source{0.05F, 130, false};
  const bool is_signed = weights == DType::int4 || weights == DType::int8;
  std::vector<int8_t> codes;
  for (int i = 0; i < 6 * 4 * 9; ++i)
    codes.push_back(static_cast<int8_t>(i * 5 % 16 - 8 * is_signed));
  const std::vector<int8_t> zeros{0, static_cast<int8_t>(is_signed ? 0 : 7), 0, 0, 0, 0};
  const auto stored = [&](const Constant& numbers) {
    return m.constant(make_constant(cast(*numbers, weights)));
  };
  const ValueId w = m.add("DequantizeLinear",
                          {stored(s8({6, 4, 3, 3}, codes)),
                           m.constant(f32({6}, {0.1F, 0.2F, 0.05F, 0.1F, 0.3F, 0.02F})),
                           stored(s8({6}, is_signed ? std::vector<int8_t>(6, 0) : zeros))},
                          {{"axis", int64_t{0}}});
  const ValueId x = m.qdq(m.input("x", {2, 4, 7, 5}), source);
  m.output(m.qdq(m.add("Conv", {x, w}, {{"pads", ints({1, 1, 1, 1})}}), {0.2F, 100, false}));
  return m;
}

}  // namespace

TEST_CASE("Constant codes of 4 bits become the same numbers in 8") {
  const Model m = convolution(DType::int4);
  const auto wide = with_wide_codes(m.graph, builtin_ops());
  REQUIRE(wide);
  int widened = 0;
  for (const NodeId id : wide->nodes()) {
    for (size_t slot = 0; slot < wide->node(id).inputs.size(); ++slot) {
      const Constant now = wide->constant(wide->node(id).inputs[slot]);
      const Constant then = m.graph.constant(m.graph.node(id).inputs[slot]);
      if (then == nullptr || then->dtype() != DType::int4) continue;
      CHECK(now->dtype() == DType::int8);
      CHECK(to_int64s(*now) == to_int64s(*then));
      ++widened;
    }
  }
  CHECK(widened == 2);
  CHECK(!with_wide_codes(convolution(DType::int8).graph, builtin_ops()));
}

TEST_CASE("A convolution with 4-bit weights runs on codes, and gives what 8-bit ones give") {
  const Model packed = convolution(DType::int4);
  CHECK(disagreement(packed.graph, 0, 0.2001) == "");
  CHECK(ops_of(Session(packed.graph, builtin_ops(), {})) ==
        "QuantizeLinear; Conv + QuantizeLinear; DequantizeLinear; (layout)");
  const Constant x = noise({2, 4, 7, 5}, 3);
  const auto result = [&](const Model& m) {
    TensorMap feeds;
    feeds.emplace("x", x->clone());
    return run_on(m.graph, Backend::onednn, feeds).begin()->second.clone();
  };
  CHECK(result(packed).equals(result(convolution(DType::int8))));
}

TEST_CASE("Unsigned 4-bit weights with a zero point give what the reference gives") {
  CHECK(disagreement(convolution(DType::uint4).graph, 0, 0.2001) == "");
}
