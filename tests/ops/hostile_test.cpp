// SPDX-License-Identifier: Apache-2.0
// What a hostile or broken file can say about shapes and constants ends in an Error of kind input
// or unsupported: no crash, no wild allocation, no bug report. (The cases hold the single ops'
// errors.)
#include <limits>

#include "catch.h"
#include "exec/model.h"
#include "exec/session.h"
#include "ops/op_def.h"

using namespace qtool;
using namespace qtool::test;

namespace {

constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();

std::string failure(const Model& model) {
  std::string message = "no error";
  for (const Backend backend : {Backend::reference, Backend::onednn}) {
    try {
      Session session(model.graph, builtin_ops(), {.backend = backend});
      TensorMap feeds;
      for (size_t i = 0; i < session.input_names().size(); ++i) {
        const TensorType& type = session.input_types()[i];
        feeds.emplace(session.input_names()[i], Tensor(type.dtype, *type.concrete_shape()));
      }
      session.run(feeds);
      return "no error";
    } catch (const Error& error) {
      CHECK(error.kind() != Error::Kind::internal);
      message = error.what();
    }
  }
  return message;
}

Model unary(const std::string& op, TensorType type, const CaseAttributes& attributes = {}) {
  Model m;
  m.output(m.add(op, {m.input("x", std::move(type))}, attributes));
  return m;
}

TensorType floats(const Shape& shape) { return {DType::float32, shape}; }

}  // namespace

TEST_CASE("Extents beyond all reason are refused") {
  CHECK_THAT(failure(unary("Relu", floats({kHuge}))),
             Catch::Contains("\"x\" is float[9223372036854775807]"));
  CHECK_THAT(failure(unary("Relu", floats({-1, 2}))), Catch::Contains("\"x\" is float[-1,2]"));
  CHECK_THAT(failure(unary("Flatten", floats({int64_t{1} << 40, 1, int64_t{1} << 40}))),
             Catch::Contains("too many elements"));
  const std::string memory = failure(unary("Relu", floats({int64_t{1} << 44})));
  CHECK_THAT(memory, Catch::Contains("TB") || Catch::Contains("memory"));

  Model declared = unary("Strange", floats({2}));
  declared.graph.set_type(declared.graph.outputs()[0], floats({kHuge}));
  CHECK_THAT(failure(declared), Catch::Contains("Strange"));
}

TEST_CASE("Windows with numbers beyond all reason are refused") {
  const auto pool = [](CaseAttributes attributes) {
    return unary("MaxPool", floats({1, 1, 4, 4}), attributes);
  };
  CHECK_THAT(failure(pool({{"kernel_shape", ints({kHuge, 1})}})), Catch::Contains("kernel extent"));
  CHECK_THAT(failure(pool({{"kernel_shape", ints({1, 1})}, {"strides", ints({kHuge, 1})}})),
             Catch::Contains("strides"));
  CHECK_THAT(failure(pool({{"kernel_shape", ints({1, 1})}, {"dilations", ints({0, 1})}})),
             Catch::Contains("dilations"));
  CHECK_THAT(failure(pool({{"kernel_shape", ints({1, 1})}, {"pads", ints({kHuge, 0, 0, 0})}})),
             Catch::Contains("pads"));
  CHECK_THAT(failure(pool({{"kernel_shape", ints({})}})), Catch::Contains("kernel_shape"));
  CHECK_THAT(failure(pool({{"kernel_shape", ints({2, 2})}, {"pads", ints({0, 0})}})),
             Catch::Contains("\"pads\" has 2 entries"));
  CHECK_THAT(failure(unary("MaxPool", floats({1, 1, 4}), {{"kernel_shape", text("3")}})),
             Catch::Contains("kernel_shape"));
}

TEST_CASE("A shape that is made at run time is checked at run time") {
  // Both parts of the Concat have shapes that only the run knows; they do not fit.
  Model m;
  const ValueId x = m.input("x", Shape{6});
  const ValueId a = m.add("Reshape", {x, m.input("a", {DType::int64, Shape{2}})});
  const ValueId b = m.add("Reshape", {x, m.input("b", {DType::int64, Shape{2}})});
  m.output(m.add("Concat", {a, b}, {{"axis", int64_t{0}}}));
  for (const Backend backend : {Backend::reference, Backend::onednn}) {
    Session session(m.graph, builtin_ops(), {.backend = backend});
    const auto run = [&](std::vector<int64_t> first, std::vector<int64_t> second) {
      TensorMap feeds;
      feeds.emplace("x", Tensor::of<float>({6}, {0, 1, 2, 3, 4, 5}));
      feeds.emplace("a", s64({2}, std::move(first))->clone());
      feeds.emplace("b", s64({2}, std::move(second))->clone());
      return session.run(feeds).begin()->second.clone();
    };
    CHECK_THROWS_WITH(run({2, 3}, {3, 2}), Catch::Contains("extent 3 of axis 1 against 2"));
    CHECK(run({2, 3}, {2, 3}).shape() == Shape{4, 3});
    CHECK(run({1, 6}, {1, 6}).shape() == Shape{2, 6});
    CHECK_THROWS_WITH(run({4, 3}, {2, 3}), Catch::Contains("does not fit the shape [4,3]"));
  }
}

TEST_CASE("A result that is not what the file declares is the file's error") {
  Model m;
  const ValueId x = m.input("x", Shape{6});
  const ValueId y = m.add("Reshape", {x, m.input("shape", {DType::int64, Shape{2}})});
  m.graph.set_type(y, floats({3, 2}));
  m.output(m.add("Relu", {y}));
  for (const Backend backend : {Backend::reference, Backend::onednn}) {
    Session session(m.graph, builtin_ops(), {.backend = backend});
    TensorMap feeds;
    feeds.emplace("x", Tensor(DType::float32, {6}));
    feeds.emplace("shape", s64({2}, {2, 3})->clone());
    CHECK_THROWS_WITH(session.run(feeds),
                      Catch::Contains("is declared as float[3,2], but is float[2,3]"));
  }
}

TEST_CASE("Strings are not fed, and pass through only what moves whole tensors") {
  CHECK_THAT(failure(unary("Identity", {DType::string, Shape{2}})),
             Catch::Contains("qtool feeds numbers only"));
  const Constant words = make_constant(Tensor::of_strings({2}, {"a", "b"}));
  for (const char* op : {"Transpose", "Relu", "Sigmoid"}) {
    Model m;
    m.output(m.add(op, {m.constant(words)}));
    CHECK_THAT(failure(m), Catch::Contains("string"));
  }
  Model m;
  m.output(m.add("Reshape", {m.constant(words), m.constant(s64({2}, {2, 1}))}));
  for (const Backend backend : {Backend::reference, Backend::onednn}) {
    Session session(m.graph, builtin_ops(), {.backend = backend});
    const TensorMap results = session.run({});
    CHECK(results.begin()->second.strings() == std::vector<std::string>{"a", "b"});
    CHECK(results.begin()->second.shape() == Shape{2, 1});
  }
}

TEST_CASE("What qtool cannot compute can be looked at, and says so when it is to run") {
  // Constant integers through Softmax: inference leaves it, the run refuses.
  Model m;
  const ValueId y = m.output(m.add("Softmax", {m.constant(s32({2}, {1, 2}))}));
  CHECK(to_string(infer_facts(m.graph, builtin_ops())[y].type) == "int32[2]");
  CHECK_THAT(failure(m), Catch::Contains("elements of type int32"));
}
