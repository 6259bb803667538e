// SPDX-License-Identifier: Apache-2.0
// Taps see what the untapped reference computes, wherever and in whatever layout the value lies.
#include "catch.h"
#include "exec/agree.h"
#include "exec/model.h"

using namespace qtool;
using namespace qtool::test;

namespace {

/// Every tapped value as the session shows it, in ONNX's order.
std::map<ValueId, Tensor> tapped(const Graph& graph, Backend backend,
                                 const std::vector<ValueId>& taps, const TensorMap& feeds) {
  Session session(graph, builtin_ops(), {.backend = backend, .taps = taps});
  std::map<ValueId, Tensor> seen;
  for (int run = 0; run < 2; ++run) {
    seen.clear();
    session.run(feeds, [&](const TappedValue& value) {
      CHECK(!seen.contains(value.id));
      seen.emplace(value.id, in_order(value.dtype, *value.shape, value.layout, value.data));
    });
  }
  return seen;
}

/// All values that are computed at run time, as graph outputs of a copy run by the reference.
void check_taps(const Model& m, std::vector<ValueId> taps) {
  Graph plain = m.graph;
  for (const ValueId id : taps) {
    if (!plain.is_output(id)) plain.add_output(id);
  }
  const TensorMap feeds = random_feeds(m.graph);
  const TensorMap wanted = run_on(plain, Backend::reference, feeds);
  const TensorMap results = run_on(m.graph, Backend::onednn, feeds);
  for (const Backend backend : {Backend::reference, Backend::onednn}) {
    const std::map<ValueId, Tensor> seen = tapped(m.graph, backend, taps, feeds);
    for (const ValueId id : taps) {
      const std::string& name = m.graph.value(id).name;
      CAPTURE(name, static_cast<int>(backend));
      REQUIRE(seen.contains(id));
      CHECK(difference(seen.at(id), wanted.at(name), 1e-4, 1e-5) == "");
    }
  }
}

}  // namespace

TEST_CASE("Taps on inputs, values inside of groups, renamed values and outputs") {
  Model m;
  const ValueId x = m.input("x", Shape{2, 5, 7, 6});
  const ValueId conv = m.conv(x, 5, 8, 1);
  const ValueId relu = m.add("Relu", {conv});
  const ValueId second = m.conv(relu, 8, 8, 3);
  const ValueId sum = m.add("Add", {second, relu});
  const ValueId active = m.add("Relu", {sum});
  const ValueId pooled = m.add("GlobalAveragePool", {active});
  const ValueId flat = m.add("Flatten", {pooled});
  const ValueId logits = m.add("Gemm", {flat, m.constant(noise({8, 4}))});
  m.output(logits);
  check_taps(m, {x, conv, relu, second, sum, active, pooled, flat, logits});
  for (const ValueId id : {x, conv, relu, second, sum, active, pooled, flat, logits})
    check_taps(m, {id});
}

TEST_CASE(
    "A tapped value that nothing else reads is computed, and not written over before it is seen") {
  Model m;
  const ValueId x = m.input("x", Shape{4, 6});
  const ValueId base = m.add("Tanh", {x});
  const ValueId active = m.add("Relu", {base});
  const ValueId renamed = m.add("Reshape", {base, m.constant(s64({1}, {24}))});
  const ValueId aside = m.add("Sigmoid", {x});
  m.output(active);
  check_taps(m, {renamed});
  check_taps(m, {renamed, aside, base});
}

TEST_CASE("Taps on the float side and the code side of Q/DQ") {
  Model m;
  const Grid grid{0.05F, 128, false};
  const ValueId x = m.input("x", Shape{2, 5, 7, 6});
  const ValueId codes = m.quantize(x, grid);
  const ValueId real = m.dequantize(codes, grid);
  const ValueId conv = m.quantized_conv(real, grid.scale, 5, 8, 1);
  const ValueId out_codes = m.quantize(conv, {0.05F, 100, false});
  const ValueId out = m.dequantize(out_codes, {0.05F, 100, false});
  m.output(out);
  check_taps(m, {x, real, conv});
  check_taps(m, {codes});
  check_taps(m, {out});
}
