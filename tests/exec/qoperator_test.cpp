// SPDX-License-Identifier: Apache-2.0
// Models in QOperator form, and such that quantize while they run, compute on codes by the kernels
// that Q/DQ models have.
#include "catch.h"
#include "exec/agree.h"
#include "exec/model.h"

using namespace qtool;
using namespace qtool::test;

namespace {

const Grid kGrid{0.02F, 120, false};

struct Parameters {
  ValueId scale;
  ValueId zero;
};

Parameters of(Model& m, const Grid& grid) {
  const auto zero = static_cast<uint8_t>(grid.zero_point);
  return {m.constant(scalar(grid.scale)), m.constant(u8({}, {zero}))};
}

ValueId add(Model& m, const OpKey& op, std::vector<ValueId> inputs,
            const CaseAttributes& attributes = {}) {
  const ValueId result = m.add(op.type, std::move(inputs), attributes);
  m.graph.set_op(m.graph.value(result).producer, op);
  m.graph.model.opsets[op.domain] = op.domain.empty() ? 17 : 1;
  return result;
}

ValueId contributed(Model& m, const std::string& op, std::vector<ValueId> inputs,
                    const CaseAttributes& attributes = {}) {
  return add(m, {"com.microsoft", op}, std::move(inputs), attributes);
}

/// A residual block as ONNX Runtime's quantizer writes it; weights s8 by filter or u8 as a whole.
Model residual_block(bool signed_weights) {
  Model m;
  const Parameters grid = of(m, kGrid);
  const ValueId x = m.quantize(m.input("x", {2, 8, 7, 7}), kGrid);
  const ValueId weights =
      m.constant(signed_weights ? noise_s8({8, 8, 3, 3}) : noise_u8({8, 8, 3, 3}));
  const ValueId scale =
      m.constant(signed_weights ? f32({8}, std::vector<float>(8, 0.001F)) : scalar(0.001F));
  const ValueId zeros =
      m.constant(signed_weights ? s8({8}, std::vector<int8_t>(8, 0)) : u8({}, {128}));
  const ValueId bias = m.constant(s32({8}, {1, -2, 300, -4000, 5, 6, 7, 8}));
  const ValueId y =
      add(m, {"", "QLinearConv"},
          {x, grid.scale, grid.zero, weights, scale, zeros, grid.scale, grid.zero, bias},
          {{"pads", ints({1, 1, 1, 1})}});
  const ValueId sum = contributed(
      m, "QLinearAdd", {x, grid.scale, grid.zero, y, grid.scale, grid.zero, grid.scale, grid.zero});
  const ValueId pooled = contributed(m, "QLinearGlobalAveragePool",
                                     {sum, grid.scale, grid.zero, grid.scale, grid.zero});
  const ValueId flat = m.add("Flatten", {pooled});
  const ValueId scores = contributed(
      m, "QGemm",
      {flat, grid.scale, grid.zero, m.constant(noise_s8({8, 5}, 3)), m.constant(scalar(0.01F)),
       m.constant(s8({}, {0})), m.constant(s32({5}, {1, 2, 3, 4, 5})), grid.scale, grid.zero});
  m.output(m.dequantize(scores, kGrid));
  return m;
}

}  // namespace

TEST_CASE("A model in QOperator form computes on codes") {
  for (const bool signed_weights : {true, false}) {
    const Model m = residual_block(signed_weights);
    CHECK(disagreement(m.graph, 0, 2.001 * static_cast<double>(kGrid.scale)) == "");
    const Session session(m.graph, builtin_ops(), {});
    CHECK(ops_of(session) ==
          "QuantizeLinear; Conv + QuantizeLinear; Add + QuantizeLinear; "
          "GlobalAveragePool + QuantizeLinear; Gemm + QuantizeLinear; DequantizeLinear");
    for (const StepInfo& step : session.steps()) {
      INFO(step.op << ": " << step.fallback);
      CHECK_FALSE(step.reference);
      if (step.macs > 0) CHECK(step.integer);
    }
  }
}

TEST_CASE("Values of a model in QOperator form can be looked at") {
  const Model m = residual_block(true);
  std::vector<ValueId> taps;
  for (const NodeId id : m.graph.nodes()) taps.push_back(m.graph.node(id).outputs[0]);
  Session session(m.graph, builtin_ops(), {.taps = taps});
  size_t seen = 0;
  session.run(random_feeds(m.graph), [&](const TappedValue&) { ++seen; });
  CHECK(seen == taps.size());
}

TEST_CASE("A product that is quantized while it runs has kernels from end to end") {
  Model m;
  const ValueId x = m.input("x", {3, 5, 24});
  const ValueId codes = m.add("DynamicQuantizeLinear", {x}, {}, 3);
  const Node quantize = m.graph.node(m.graph.value(codes).producer);
  const ValueId sums = m.add("MatMulInteger", {codes, m.constant(noise_u8({24, 18})),
                                               quantize.outputs[2], m.constant(u8({}, {117}))});
  const ValueId real = m.add("Cast", {sums}, {{"to", int64_t{1}}});
  const ValueId unit = m.add("Mul", {quantize.outputs[1], m.constant(scalar(0.01F))});
  m.output(m.add("Mul", {real, unit}));
  CHECK(disagreement(m.graph, 1e-6, 1e-6) == "");
  const Session session(m.graph, builtin_ops(), {});
  for (const StepInfo& step : session.steps()) {
    INFO(step.op << ": " << step.fallback);
    CHECK_FALSE(step.reference);
  }
}
