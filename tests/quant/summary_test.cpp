// SPDX-License-Identifier: Apache-2.0
#include "quant/summary.h"

#include "quant/quantized.h"

namespace qtool {
namespace {

using test::Build;
using test::contains;
using test::Planned;

TEST_CASE("the summary counts, and gives the reason of what stays float") {
  Build b;
  b.input("x", {1, 1, 2, 2});
  b.constant("w", {1, 1, 1, 1}, {1});
  b.node("Conv", {"x", "w"}, {"c"}, {}, "first");
  b.node("Relu", {"c"}, {"r"}, {}, "relu");
  b.node("Conv", {"r", "w"}, {"y"}, {}, "second");
  for (const char* name : {"t1", "t2", "t3", "t4", "t5"}) b.node("Tanh", {"y"}, {name}, {}, name);
  for (const char* name : {"t1", "t2", "t3", "t4", "t5"}) b.output(name);
  const Planned p(b.graph, test::ranges({{"x", {0, 1}}, {"r", {0, 0}}, {"y", {0, 1}}}));
  const std::string text = summary(p.plan, b.graph);
  INFO(text);
  CHECK(contains(text, "quantized for ort-cpu: 3 activations, 1 constant, 0 biases\n"));
  CHECK(contains(text, "Conv      2      -        -\n"));
  CHECK(contains(text, "Relu      -      -        1\n"));
  CHECK(contains(text, "Tanh      -      5        -\n"));
  CHECK(contains(text,
                 "  Tanh \"t1\", Tanh \"t2\", Tanh \"t3\" and 2 more: ort-cpu has no integer "
                 "kernel for Tanh\n"));
  CHECK(contains(text, "note: \"r\" was zero in all samples\n"));
}

TEST_CASE("what floats keep in float makes one line, and is no lack of data") {
  Build b;
  b.input("x", {1, 2});
  b.constant("w", {2, 2}, {1, 2, 3, 4});
  b.constant("one", {1}, {1});
  for (const char* op : {"Add", "Mul"}) {
    const std::string name = op;
    b.node("Exp", {"x"}, {name + "_in"});
    b.node(op, {name + "_in", "one"}, {name + "_out"}, {}, name);
    b.node("MatMul", {name + "_out", "w"}, {name + "_y"}, {}, name + "_product");
    b.output(name + "_y");
  }
  const Planned p(b.graph, test::ranges({{"Add_out", {-1, 1}}, {"Mul_out", {-1, 1}}}));
  const std::string text = summary(p.plan, b.graph);
  INFO(text);
  CHECK(contains(text, "  Add \"Add\", Mul \"Mul\": what it reads stays float\n"));
  CHECK_FALSE(contains(text, "no data"));
}

}  // namespace
}  // namespace qtool
