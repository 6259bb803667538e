// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "exec/group.h"
#include "exec/model.h"

using namespace qtool;
using namespace qtool::test;

namespace {

/// The ops of the longest chain behind the producer of `value`: "Conv Relu".
std::string chain_of(const Model& m, ValueId value, const std::set<ValueId>& kept = {},
                     const std::vector<ValueId>& taken = {}) {
  const Facts facts = infer_facts(m.graph, builtin_ops());
  std::vector<bool> blocked(m.graph.node_id_bound(), false);
  for (const ValueId id : taken) blocked[static_cast<size_t>(m.graph.value(id).producer)] = true;
  const Chain chain =
      longest_chain(m.graph, builtin_ops(), facts, m.graph.value(value).producer, kept, blocked);
  std::string text;
  for (size_t i = 0; i < chain.members.size(); ++i) {
    text += (i > 0 ? " " : "") + m.graph.node(chain.members[i]).op.type;
    if (chain.residual_slots[i] >= 0) text += "@" + std::to_string(chain.residual_slots[i]);
  }
  return text;
}

struct Residual {
  Model m;
  ValueId x = m.input("x", Shape{1, 4, 5, 5});
  ValueId conv = m.conv(x, 4, 4, 1);
};

}  // namespace

TEST_CASE("A convolution takes in what follows it alone") {
  Model m;
  const ValueId x = m.input("x", Shape{1, 4, 5, 5});
  const ValueId conv = m.conv(x, 4, 4, 1);
  const ValueId relu = m.add("Relu", {conv});
  const ValueId pool = m.add("MaxPool", {relu}, {{"kernel_shape", ints({2, 2})}});
  m.output(pool);
  CHECK(chain_of(m, conv) == "Conv Relu");
  CHECK(chain_of(m, relu) == "Relu");
  CHECK(chain_of(m, pool) == "MaxPool");
  CHECK(chain_of(m, conv, {conv}) == "Conv");
  CHECK(chain_of(m, conv, {relu}) == "Conv Relu");
  CHECK(chain_of(m, conv, {}, {relu}) == "Conv");
}

TEST_CASE("A residual block is one chain, whichever operand the convolution is") {
  for (const bool first : {true, false}) {
    Residual r;
    const ValueId sum = first ? r.m.add("Add", {r.conv, r.x}) : r.m.add("Add", {r.x, r.conv});
    r.m.output(r.m.add("Relu", {sum}));
    CHECK(chain_of(r.m, r.conv) == (first ? "Conv Add@1 Relu" : "Conv Add@0 Relu"));
  }
}

TEST_CASE("Shared values, outputs and captured values end a chain") {
  Residual shared;
  shared.m.output(shared.m.add("Relu", {shared.conv}));
  shared.m.output(shared.m.add("Sigmoid", {shared.conv}));
  CHECK(chain_of(shared.m, shared.conv) == "Conv");

  Residual output;
  output.m.output(output.conv);
  output.m.output(output.m.add("Relu", {output.conv}));
  CHECK(chain_of(output.m, output.conv) == "Conv");

  Residual doubled;
  doubled.m.output(doubled.m.add("Add", {doubled.conv, doubled.conv}));
  CHECK(chain_of(doubled.m, doubled.conv) == "Conv");
}

TEST_CASE("Only an addition of equal shapes that varies is a residual, and only one of them") {
  Residual constant;
  constant.m.output(
      constant.m.add("Add", {constant.conv, constant.m.constant(noise({1, 4, 5, 5}))}));
  CHECK(chain_of(constant.m, constant.conv) == "Conv");

  Residual broadcast;
  broadcast.m.output(
      broadcast.m.add("Add", {broadcast.conv, broadcast.m.input("b", Shape{1, 4, 1, 1})}));
  CHECK(chain_of(broadcast.m, broadcast.conv) == "Conv");

  Residual two;
  const ValueId once = two.m.add("Add", {two.conv, two.x});
  two.m.output(two.m.add("Add", {once, two.m.input("y", Shape{1, 4, 5, 5})}));
  CHECK(chain_of(two.m, two.conv) == "Conv Add@1");

  Residual product;
  product.m.output(product.m.add("Mul", {product.conv, product.x}));
  CHECK(chain_of(product.m, product.conv) == "Conv");
}

TEST_CASE("Bounds that are computed at run time are not taken in") {
  Residual r;
  r.m.output(r.m.add("Clip", {r.conv, r.m.input("low", Shape{}), r.m.constant(scalar(6))}));
  CHECK(chain_of(r.m, r.conv) == "Conv");
  Residual known;
  known.m.output(
      known.m.add("Clip", {known.conv, known.m.constant(scalar(0)), known.m.constant(scalar(6))}));
  CHECK(chain_of(known.m, known.conv) == "Conv Clip");
}

TEST_CASE("A QuantizeLinear with constant, per-tensor parameters ends a chain") {
  Residual r;
  const ValueId codes = r.m.quantize(r.m.add("Relu", {r.conv}), {0.1F, 0, false});
  r.m.output(r.m.dequantize(codes, {0.1F, 0, false}));
  CHECK(chain_of(r.m, r.conv) == "Conv Relu QuantizeLinear");

  Residual channels;
  const ValueId scales = channels.m.constant(f32({4}, {1, 2, 3, 4}));
  channels.m.output(channels.m.add(
      "QuantizeLinear", {channels.conv, scales, channels.m.constant(u8({4}, {0, 0, 0, 0}))}));
  CHECK(chain_of(channels.m, channels.conv) == "Conv");

  Residual late;
  late.m.output(late.m.add("QuantizeLinear", {late.conv, late.m.input("scale", Shape{})}));
  CHECK(chain_of(late.m, late.conv) == "Conv");

  Model moved;
  const ValueId pool =
      moved.add("MaxPool", {moved.input("x", Shape{1, 4, 5, 5})}, {{"kernel_shape", ints({2, 2})}});
  moved.output(moved.quantize(pool, {}));
  CHECK(chain_of(moved, pool) == "MaxPool QuantizeLinear");
}

TEST_CASE("A node with two results runs where it stands") {
  Model m;
  const ValueId kept = m.add("Dropout", {m.input("x", Shape{1, 4, 5, 5})}, {}, 2);
  m.output(m.quantize(kept, {}));
  CHECK(chain_of(m, kept) == "Dropout");
}

TEST_CASE("What dequantizes a value is found where its parameters are constants of up to 16 bits") {
  Model m;
  const ValueId x = m.input("x", Shape{2});
  const ValueId codes = m.quantize(x, {0.5F, 3, true});
  const ValueId real = m.dequantize(codes, {0.5F, 3, true});
  const ValueId bias = m.bias(*noise({2}), 1, {1, 2});
  const ValueId late = m.add("DequantizeLinear", {codes, m.input("scale", Shape{})});
  const Facts facts = infer_facts(m.graph, builtin_ops());
  const auto found = dequantized(m.graph, builtin_ops(), facts, real);
  REQUIRE(found.has_value());
  CHECK(found->codes == codes);
  CHECK(found->params == checked_params({8, true, false}, {0.5F}, {3}));
  CHECK(!dequantized(m.graph, builtin_ops(), facts, x));
  CHECK(!dequantized(m.graph, builtin_ops(), facts, codes));
  CHECK(!dequantized(m.graph, builtin_ops(), facts, bias));
  CHECK(!dequantized(m.graph, builtin_ops(), facts, late));
  CHECK(!dequantized(m.graph, builtin_ops(), facts, ValueId::none));
}
