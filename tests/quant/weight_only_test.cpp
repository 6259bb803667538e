// SPDX-License-Identifier: Apache-2.0
// Grids of weights alone, HQQ, and what becomes of the file.
#include "quant/algorithms/weight_only.h"

#include <cmath>

#include "exec/session.h"
#include "passes/matmul_nbits_form.h"
#include "quant/quantized.h"

namespace qtool {
namespace {

using test::Build;
using test::message_of;
using test::random_tensor;

/// x [3,40] -> MatMul [40,5] -> Gemm [5,4] (stored turned, with a bias) -> y.
Build two_products() {
  Build b;
  b.input("x", {3, 40});
  b.random("w1", {40, 5}, 1);
  b.random("w2", {4, 5}, 2);
  b.constant("b2", {4}, {1, -2, 3, -4});
  b.node("MatMul", {"x", "w1"}, {"h"}, {}, "first");
  b.node("Gemm", {"h", "w2", "b2"}, {"y"}, {{"transB", int64_t{1}}}, "second");
  b.output("y");
  return b;
}

Recipe recipe(int bits, int64_t block, WeightMethod method = WeightMethod::minmax) {
  Recipe result;
  result.weight_bits = bits;
  result.block = block;
  result.weight_method = method;
  return result;
}

TensorMap feeds() {
  TensorMap result;
  result.emplace("x", random_tensor({3, 40}, 9));
  return result;
}

TEST_CASE("blocks run along what a result is summed over, whichever way weights are stored") {
  const Build b = two_products();
  const QuantPlan plan = plan_weights(b.graph, builtin_ops(), recipe(4, 16));
  REQUIRE(plan.placements.size() == 2);
  CHECK(plan.placements[0].params.axis == 0);
  CHECK(plan.placements[0].params.block_size == 16);
  CHECK(plan.placements[0].params.scale.size() == 3 * 5);  // 40 elements: 16, 16, 8
  CHECK(plan.placements[1].params.axis == 1);
  CHECK(plan.placements[1].params.scale.size() == 4);
  CHECK(plan.opset == 21);
  CHECK(plan_weights(b.graph, builtin_ops(), recipe(8, 0)).opset == 13);
}

TEST_CASE("MatMulNBits computes what the dequantized weights compute") {
  for (const int bits : {2, 3, 4, 8}) {
    for (const int64_t block : {0, 16, 32}) {
      INFO(bits << " bits, blocks of " << block);
      Build b = two_products();
      const QuantPlan plan = [&] {
        QuantPlan made = plan_weights(b.graph, builtin_ops(), recipe(bits, block));
        made.opset = 13;
        return made;
      }();
      Graph rounded = b.graph;
      for (const Placement& placement : plan.placements) {
        rounded.set_constant(
            placement.value,
            make_constant(fake_quantize(*b.graph.constant(placement.value), placement.params)));
      }
      Graph packed = b.graph;
      insert_qdq(packed, plan);
      CHECK(to_matmul_nbits(packed, plan.quantized, block == 0 ? 32 : block).empty());
      CHECK(verify(packed).empty());
      size_t products = 0;
      for (const NodeId id : packed.nodes())
        products += packed.node(id).op == OpKey{"com.microsoft", "MatMulNBits"} ? 1 : 0;
      CHECK(products == 2);
      Session session(packed, builtin_ops(), {});
      const Tensor wanted = std::move(test::run_graph(rounded, feeds()).at("y"));
      CHECK(test::relative_difference(wanted, session.run(feeds()).at("y")) < 1e-5);
    }
  }
}

TEST_CASE("what is no plain product keeps its DequantizeLinear, and says why") {
  Build b;
  b.input("x", {1, 2, 4, 4});
  b.random("w", {3, 2, 3, 3}, 1);
  b.node("Conv", {"x", "w"}, {"y"}, {}, "conv");
  b.output("y");
  const QuantPlan plan = plan_weights(b.graph, builtin_ops(), recipe(8, 32));
  insert_qdq(b.graph, [&] {
    QuantPlan made = plan;
    made.opset = 13;
    return made;
  }());
  const auto kept = to_matmul_nbits(b.graph, plan.quantized, 32);
  REQUIRE(kept.size() == 1);
  CHECK(test::contains(kept[0].second, "no MatMul or Gemm"));
}

TEST_CASE("HQQ by hand: a grid whose codes miss most weights moves") {
  // 0.4, 1.4 ... 7.4 on 0 to 7.4: the scale is 7.4 / 7 = 1.057 and only the last weight is met.
  // With these codes 0 to 7 the least squares are at sum((k + 0.4) k) / sum(k^2) = 1.08.
  Build b;
  b.input("x", {1, 8});
  Tensor w(DType::float32, {8, 1});
  for (size_t i = 0; i < 8; ++i) w.data<float>()[i] = 0.4F + static_cast<float>(i);
  b.constant("w", std::move(w));
  b.node("MatMul", {"x", "w"}, {"y"}, {}, "layer");
  b.output("y");
  QuantPlan plan = plan_weights(b.graph, builtin_ops(), recipe(3, 0));
  CHECK(plan.placements[0].params.scale[0] == Approx(7.4 / 7));
  improve_by_hqq(b.graph, plan);
  CHECK(plan.placements[0].params.scale[0] > 1.06F);
  CHECK(plan.placements[0].params.scale[0] < 1.1F);
}

TEST_CASE("HQQ never leaves more in its norm than the plan that it began with") {
  for (const uint64_t seed : {1, 2, 3}) {
    Build b;
    b.input("x", {1, 64});
    b.constant("w", random_tensor({64, 8}, seed));
    b.node("MatMul", {"x", "w"}, {"y"}, {}, "layer");
    b.output("y");
    for (const int bits : {2, 3, 4, 8}) {
      QuantPlan plan = plan_weights(b.graph, builtin_ops(), recipe(bits, 32));
      const auto cost = [&] {
        const Tensor& before = *b.graph.constant(plan.placements[0].value);
        const Tensor after = fake_quantize(before, plan.placements[0].params);
        double sum = 0;
        for (size_t i = 0; i < 512; ++i)
          sum += std::pow(std::abs(before.data<float>()[i] - after.data<float>()[i]), 0.7);
        return sum;
      };
      const double plain = cost();
      improve_by_hqq(b.graph, plan);
      CHECK(cost() <= plain * (1 + 1e-6));
    }
  }
}

TEST_CASE("weight-only plans that cannot be are refused") {
  const Build b = two_products();
  const auto refused = [&](const Recipe& wrong) {
    return message_of([&] { plan_weights(b.graph, builtin_ops(), wrong); }, Error::Kind::usage);
  };
  CHECK(test::contains(refused(recipe(4, 24)), "power of two"));
  CHECK(test::contains(refused(recipe(4, 8)), "power of two"));
  Build none;
  none.input("x", {1});
  none.node("Relu", {"x"}, {"y"});
  none.output("y");
  CHECK(test::contains(message_of([&] { plan_weights(none.graph, builtin_ops(), recipe(4, 32)); },
                                  Error::Kind::unsupported),
                       "no layer has weights"));
}

}  // namespace
}  // namespace qtool
