// SPDX-License-Identifier: Apache-2.0
// Inference where extents are open, where facts contradict each other, and where an op is unknown.
#include "catch.h"
#include "exec/model.h"
#include "ops/op_def.h"

using namespace qtool;
using namespace qtool::test;

namespace {

TensorType images(const char* batch, int64_t channels = 3) {
  return {DType::float32, std::vector<Dim>{{{}, batch}, {channels, {}}, {8, {}}, {8, {}}}};
}

std::string inferred(const Model& model, ValueId id) {
  return to_string(infer_facts(model.graph, builtin_ops())[id].type);
}

std::string failure(const Model& model, const InferOptions& options = {}) {
  try {
    infer_facts(model.graph, builtin_ops(), options);
  } catch (const Error& error) {
    CHECK(error.kind() == Error::Kind::input);
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("An open batch goes through a network as what it is") {
  Model m;
  const ValueId x = m.input("x", images("N"));
  const ValueId conv = m.conv(x, 3, 16, 1);
  const ValueId relu = m.add("Relu", {conv});
  const ValueId other = m.conv(relu, 16, 16, 2);
  const ValueId sum = m.add("Add", {other, relu});
  const ValueId joined = m.add("Concat", {sum, relu}, {{"axis", int64_t{1}}});
  const ValueId pooled =
      m.add("MaxPool", {joined}, {{"kernel_shape", ints({2, 2})}, {"strides", ints({2, 2})}});
  const ValueId mean = m.add("GlobalAveragePool", {pooled});
  const ValueId flat = m.add("Flatten", {mean});
  const ValueId logits = m.add("Gemm", {flat, m.constant(noise({32, 10}))});
  const ValueId best = m.add("Softmax", {logits});
  m.output(best);
  CHECK(inferred(m, conv) == "float[N,16,8,8]");
  CHECK(inferred(m, relu) == "float[N,16,8,8]");
  CHECK(inferred(m, sum) == "float[N,16,8,8]");
  CHECK(inferred(m, joined) == "float[N,32,8,8]");
  CHECK(inferred(m, pooled) == "float[N,32,4,4]");
  CHECK(inferred(m, mean) == "float[N,32,1,1]");
  CHECK(inferred(m, flat) == "float[N,32]");
  CHECK(inferred(m, best) == "float[N,10]");

  const Facts facts = infer_facts(m.graph, builtin_ops(), {{{"x", {5, 3, 8, 8}}}});
  CHECK(to_string(facts[best].type) == "float[5,10]");
}

TEST_CASE("Reshape keeps an open extent where the rest decides it") {
  Model m(14);
  const ValueId x = m.input("x", images("N", 4));
  const ValueId rows = m.add("Reshape", {x, m.constant(s64({2}, {-1, 256}))});
  const ValueId copied = m.add("Reshape", {x, m.constant(s64({2}, {0, -1}))});
  const ValueId unclear = m.add("Reshape", {x, m.constant(s64({2}, {-1, 7}))});
  const ValueId fed = m.input("shape", {DType::int64, Shape{3}});
  const ValueId later = m.add("Reshape", {x, fed});
  CHECK(inferred(m, rows) == "float[N,256]");
  CHECK(inferred(m, copied) == "float[N,256]");
  CHECK(inferred(m, unclear) == "float[?,7]");
  CHECK(inferred(m, later) == "float[?,?,?]");
}

TEST_CASE("Extents that are computed from shapes are known before the run") {
  // The exporters' way to flatten: Shape, Slice, Concat with -1, Reshape.
  Model m;
  const ValueId x = m.input("x", {DType::float32, Shape{2, 3, 4}});
  const ValueId shape = m.add("Shape", {x});
  const ValueId batch =
      m.add("Slice", {shape, m.constant(s64({1}, {0})), m.constant(s64({1}, {1}))});
  const ValueId target =
      m.add("Concat", {batch, m.constant(s64({1}, {-1}))}, {{"axis", int64_t{0}}});
  const ValueId flat = m.add("Reshape", {x, target});
  const Facts facts = infer_facts(m.graph, builtin_ops());
  REQUIRE(facts[target].constant != nullptr);
  CHECK(to_int64s(*facts[target].constant) == std::vector<int64_t>{2, -1});
  CHECK(to_string(facts[flat].type) == "float[2,12]");
}

TEST_CASE("Open extents meet known ones, symbols meet open ones") {
  Model m;
  const ValueId named = m.input("named", {DType::float32, std::vector<Dim>{{{}, "N"}, {4, {}}}});
  const ValueId open = m.input("open", {DType::float32, std::vector<Dim>{{{}, ""}, {4, {}}}});
  const ValueId known = m.input("known", {DType::float32, Shape{5, 4}});
  const ValueId row = m.input("row", {DType::float32, Shape{1, 4}});
  const ValueId other = m.input("other", {DType::float32, std::vector<Dim>{{{}, "M"}, {4, {}}}});
  const CaseAttributes columns{{"axis", int64_t{1}}};
  CHECK(inferred(m, m.add("Add", {named, known})) == "float[5,4]");
  CHECK(inferred(m, m.add("Add", {named, row})) == "float[N,4]");
  CHECK(inferred(m, m.add("Add", {named, named})) == "float[N,4]");
  CHECK(inferred(m, m.add("Add", {named, other})) == "float[?,4]");
  CHECK(inferred(m, m.add("Concat", {named, open}, columns)) == "float[N,8]");
  CHECK(inferred(m, m.add("Concat", {open, named}, columns)) == "float[N,8]");
  CHECK(inferred(m, m.add("Concat", {named, known}, columns)) == "float[5,8]");
  CHECK(inferred(m, m.add("Concat", {named, named}, {{"axis", int64_t{0}}})) == "float[?,4]");
  CHECK(inferred(m, m.add("Slice", {named, m.constant(s64({1}, {1})), m.constant(s64({1}, {3})),
                                    m.constant(s64({1}, {1}))})) == "float[N,2]");
  CHECK(inferred(m, m.add("Pad", {named, m.constant(s64({4}, {0, 1, 0, 1}))})) == "float[N,6]");
  CHECK(inferred(m, m.add("Transpose", {named})) == "float[4,N]");
  CHECK(inferred(m, m.add("Unsqueeze", {named, m.constant(s64({1}, {0}))})) == "float[1,N,4]");
  CHECK(inferred(m, m.add("MatMul", {named, m.constant(noise({4, 2}))})) == "float[N,2]");
  CHECK(inferred(m, m.add("Shape", {named})) == "int64[2]");
}

TEST_CASE("auto_pad and symbolic extents leave only what they touch open") {
  Model m;
  const ValueId x =
      m.input("x", {DType::float32, std::vector<Dim>{{{}, "N"}, {3, {}}, {{}, "H"}, {9, {}}}});
  const ValueId same = m.add("Conv", {x, m.constant(noise({4, 3, 3, 3}))},
                             {{"auto_pad", text("SAME_UPPER")}, {"strides", ints({2, 2})}});
  CHECK(inferred(m, same) == "float[N,4,?,5]");
}

TEST_CASE("An op that qtool does not know leaves types open, and declared ones stand") {
  Model m;
  const ValueId x = m.input("x", {DType::float32, Shape{2, 3}});
  const ValueId strange = m.add("Strange", {x});
  const ValueId after = m.add("Relu", {strange});
  CHECK(inferred(m, strange) == "?[...]");
  CHECK(inferred(m, after) == "?[...]");
  m.graph.set_type(strange, {DType::float32, std::vector<Dim>{{{}, "K"}, {3, {}}}});
  CHECK(inferred(m, after) == "float[K,3]");
}

TEST_CASE("Constants are folded, codes behind a DequantizeLinear are not") {
  Model m;
  const ValueId sum = m.add("Add", {m.constant(f32({2}, {1, 2})), m.constant(scalar(10))});
  std::vector<float> scales;
  const ValueId w = m.weights(*noise({4, 4}), 0, scales);
  const ValueId b = m.bias(*noise({4}), 0.5F, scales);
  const Facts facts = infer_facts(m.graph, builtin_ops());
  REQUIRE(facts[sum].constant != nullptr);
  CHECK(facts[sum].constant->equals(*f32({2}, {11, 12})));
  CHECK(facts[w].constant == nullptr);
  CHECK(facts[b].constant != nullptr);
  InferOptions small;
  small.fold_limit = 1;
  CHECK(infer_facts(m.graph, builtin_ops(), small)[sum].constant == nullptr);
}

TEST_CASE("Contradictions name the node and the numbers") {
  Model m;
  const ValueId x = m.input("x", images("N", 5));
  m.conv(x, 3, 16, 1);
  CHECK_THAT(failure(m), Catch::Contains("Conv") &&
                             Catch::Contains("5 input channels, but the weights expect 3 x 1"));

  Model few;
  few.add("Add", {few.input("a", Shape{2})});
  CHECK_THAT(failure(few),
             Catch::Contains("Add") && Catch::Contains("has 1 inputs, needs at least 2"));

  Model absent;
  absent.add("Conv", {absent.input("a", Shape{1, 1, 3}), ValueId::none});
  CHECK_THAT(failure(absent), Catch::Contains("has 1 inputs, needs at least 2"));

  Model many;
  const ValueId a = many.input("a", Shape{2});
  many.add("Relu", {a, a});
  CHECK_THAT(failure(many), Catch::Contains("takes at most 1"));

  Model wrong_type;
  wrong_type.add("Flatten", {wrong_type.input("a", Shape{2})}, {{"axis", text("1")}});
  CHECK_THAT(failure(wrong_type), Catch::Contains("Flatten") && Catch::Contains("axis"));
}

TEST_CASE("Shapes given for inputs must fit what is declared") {
  Model m;
  m.output(m.add("Relu", {m.input("x", images("N"))}));
  CHECK_THAT(failure(m, {{{"x", {1, 4, 8, 8}}}}),
             Catch::Contains("\"x\" is float[N,3,8,8] and cannot take the shape [1,4,8,8]"));
  CHECK_THAT(failure(m, {{{"x", {1, 3, 8}}}}), Catch::Contains("cannot take the shape [1,3,8]"));
  CHECK_THAT(failure(m, {{{"x", {-1, 3, 8, 8}}}}), Catch::Contains("[-1,3,8,8]"));
}
