// SPDX-License-Identifier: Apache-2.0
// Whatever the bytes are: an Error that says what is wrong, or a graph that is sound.
#include <sys/stat.h>

#include <iostream>

#include "messages.h"
#include "support/file.h"
#include "support/rng.h"

using namespace qtool;
using test::bytes_of;
using test::model_of;

namespace {

/// Has some of everything: storage in every way, a body that captures, residues.
std::string small_model() {
  return model_of(R"(
    name: "small" doc_string: "doc"
    node { input: "x" input: "w" input: "" output: "a" op_type: "Conv" name: "conv"
      attribute { name: "strides" type: INTS ints: [1, 1] } attribute { name: "alpha" type: FLOAT f: 0.5 }
      attribute { name: "mode" type: STRING s: "abc" } }
    node { output: "k" op_type: "Constant"
      attribute { name: "value" type: TENSOR t { data_type: 7 dims: 2 int64_data: [1, -1] } } }
    node { input: "c" output: "y" op_type: "If"
      attribute { name: "then_branch" type: GRAPH g { name: "t" output { name: "r" }
        node { input: "a" input: "k" output: "r" op_type: "Reshape" } } }
      attribute { name: "else_branch" type: GRAPH g { name: "e" output { name: "q" }
        node { input: "w" output: "q" op_type: "Identity" } } } }
    input { name: "x" type { tensor_type { elem_type: 1 shape { dim { dim_param: "N" } dim { dim_value: 3 } } } } }
    input { name: "c" type { tensor_type { elem_type: 9 shape { } } } }
    output { name: "y" type { tensor_type { elem_type: 1 } } }
    initializer { name: "w" data_type: 1 dims: [2, 1] raw_data: "abcdefgh" }
    initializer { name: "h" data_type: 10 dims: 2 int32_data: [15360, 0] }
    initializer { name: "n" data_type: 22 dims: 3 int32_data: [16, 1] }
    initializer { name: "b" data_type: 9 dims: 2 raw_data: "\000\001" }
    initializer { name: "s" data_type: 8 dims: 1 string_data: "text" }
    value_info { name: "a" type { tensor_type { elem_type: 1 shape { dim { dim_value: -1 } } } } })")
      .SerializeAsString();
}

enum class Outcome { graph, error };

Outcome outcome_of(const std::string& bytes) {
  try {
    const Graph graph = parse_model(bytes_of(bytes), {});
    REQUIRE(verify(graph) == std::vector<std::string>{});
    const std::string text = to_text(graph);
    // What was accepted can be written, and reads back as the same.
    const std::string once = serialize_model(graph);
    const Graph again = parse_model(bytes_of(once), {});
    REQUIRE(to_text(again) == text);
    REQUIRE(serialize_model(again) == once);
    return Outcome::graph;
  } catch (const Error& error) {
    CAPTURE(error.what());
    REQUIRE(error.kind() == Error::Kind::input);
    REQUIRE(!error.message().empty());
    return Outcome::error;
  }
}

void fails(const std::string& graph, const std::string& expected) {
  CHECK_THROWS_WITH(test::parsed(model_of(graph)), Catch::Contains(expected));
}

}  // namespace

TEST_CASE("a model cut anywhere", "[onnx_io]") {
  const std::string bytes = small_model();
  REQUIRE(outcome_of(bytes) == Outcome::graph);
  size_t errors = 0;
  for (size_t length = 0; length < bytes.size(); ++length) {
    CAPTURE(length);
    errors += outcome_of(bytes.substr(0, length)) == Outcome::error ? 1 : 0;
  }
  CHECK(errors == bytes.size());  // what comes last is needed too
}

TEST_CASE("a model with bytes changed at random", "[onnx_io]") {
  constexpr uint64_t kSeed = 4711;
  CAPTURE(kSeed);
  Rng rng(kSeed);
  const std::string bytes = small_model();
  size_t accepted = 0;
  constexpr int kRounds = 30000;
  for (int round = 0; round < kRounds; ++round) {
    CAPTURE(round);
    std::string changed = bytes;
    for (uint32_t flips = 1 + rng.below(3); flips > 0; --flips) {
      changed[rng.below(static_cast<uint32_t>(changed.size()))] = static_cast<char>(rng.below(256));
    }
    if (rng.below(4) == 0)
      changed.erase(rng.below(static_cast<uint32_t>(changed.size())), 1 + rng.below(8));
    accepted += outcome_of(changed) == Outcome::graph ? 1 : 0;
  }
  std::cout << accepted << " of " << kRounds << " damaged models are still models\n";
  CHECK(accepted > 100);
  CHECK(accepted < kRounds / 2);
}

TEST_CASE("what is no model", "[onnx_io]") {
  const test::TemporaryFolder folder;
  const auto refuses = [&](const std::string& name, const std::string& content,
                           const std::string& expected) {
    write_file(folder / name, content);
    CHECK_THROWS_WITH(load_model(folder / name),
                      Catch::Contains((folder / name).string()) && Catch::Contains(expected));
  };
  refuses("empty.onnx", "", "it is empty");
  refuses("text.onnx", "<html><body>Not found</body></html>", "no well-formed protobuf message");
  refuses("zeros.onnx", std::string(100, '\0'), "not an ONNX model");
  refuses("lfs.onnx", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull");
  refuses("no_graph.onnx",
          test::message<onnx::ModelProto>("ir_version: 8 opset_import { version: 17 }")
              .SerializeAsString(),
          "it has no graph");
  refuses("no_ir.onnx", test::message<onnx::ModelProto>("graph { }").SerializeAsString(),
          "it has no ir_version");
  refuses("no_opset.onnx",
          test::message<onnx::ModelProto>("ir_version: 8 graph { }").SerializeAsString(),
          "it imports no operator set");
  refuses("opset_0.onnx",
          test::message<onnx::ModelProto>("ir_version: 8 opset_import { domain: 'd' } graph { }")
              .SerializeAsString(),
          "it imports the operator set \"d\" without a version");
  CHECK_THROWS_WITH(load_model(folder / "none.onnx"), Catch::Contains("there is no such file"));
  CHECK_THROWS_WITH(load_model(folder.path()), Catch::Contains("not a regular file"));
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK_THROWS_WITH(load_model(folder / "pipe"), Catch::Contains("not a regular file"));
}

TEST_CASE("graphs that contradict themselves", "[onnx_io]") {
  fails("input { name: 'x' } input { name: 'x' }",
        "\"x\" is defined twice, the second time as graph input");
  fails("input { }", "a value has no name: graph input");
  fails("initializer { data_type: 1 float_data: 1 }", "a value has no name: initializer");
  fails(
      "initializer { name: 'w' data_type: 1 float_data: 1 } initializer { name: 'w' data_type: 1 "
      "float_data: 1 }",
      "\"w\" is defined twice, the second time as initializer");
  fails(
      "input { name: 'w' } initializer { name: 'w' data_type: 1 float_data: 1 } "
      "initializer { name: 'w' data_type: 1 float_data: 1 }",
      "\"w\" is defined twice");
  fails("node { output: 'a' op_type: 'A' } node { output: 'a' op_type: 'B' name: 'b' }",
        "\"a\" is defined twice, the second time as output of node B \"b\"");
  fails("input { name: 'x' } node { output: 'x' op_type: 'A' }", "\"x\" is defined twice");
  fails("sparse_initializer { values { name: 's' } } node { output: 's' op_type: 'A' }",
        "\"s\" is defined twice");
  fails("node { input: 'ghost' output: 'a' op_type: 'A' name: 'n' }",
        "node A \"n\": it reads the value \"ghost\", which nothing defines");
  fails("output { name: 'ghost' }", "the graph's output \"ghost\" is made by nothing");
  fails("output { }", "the graph's output \"\" is made by nothing");
  fails("node { input: 'b' output: 'a' op_type: 'A' } node { input: 'a' output: 'b' op_type: 'B' }",
        "has a cycle");
  fails("node { input: 'a' output: 'a' op_type: 'A' }", "has a cycle");
  fails("node { output: 'a' }", "it has no op type");
  fails("node { output: 'a' op_type: 'A' attribute { type: INT i: 1 } }",
        "an attribute has no name");
  fails(
      "node { output: 'a' op_type: 'A' attribute { name: 'k' type: INT i: 1 } attribute { name: "
      "'k' type: INT } }",
      "it has the attribute \"k\" twice");
  fails("node { output: 'a' op_type: 'A' attribute { name: 'k' type: TENSOR } }",
        "node A that makes \"a\": attribute \"k\": its tensor is missing");
  fails(
      "node { output: 'a' op_type: 'A' attribute { name: 'k' type: TENSOR t { data_type: 1 dims: 3 "
      "raw_data: 'abcd' } } }",
      "attribute \"k\": float[3] takes 12 bytes; the file has 4");
  fails("initializer { name: 'w' data_type: 1 dims: [2, 3] raw_data: 'abcd' }",
        "initializer \"w\": float[2,3] takes 24 bytes; the file has 4");
  fails("initializer { name: 'w' data_type: 99 dims: 1 }",
        "initializer \"w\": its element type has the number 99");
}

TEST_CASE("a file full of initializers that are inputs is read in linear time", "[onnx_io]") {
  onnx::ModelProto model = model_of("", 3);
  for (int i = 0; i < 50000; ++i) {
    const std::string name = "w" + std::to_string(i);
    model.mutable_graph()->add_input()->set_name(name);
    auto& tensor = *model.mutable_graph()->add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(1);
    tensor.add_float_data(0);
    auto& node = *model.mutable_graph()->add_node();
    node.set_op_type("Add");
    node.add_input(i == 0 ? "w0" : "v" + std::to_string(i - 1));
    node.add_input("w0");
    node.add_output("v" + std::to_string(i));
  }
  const Graph graph = test::parsed(model);
  CHECK(graph.node_count() == 50000);
  CHECK(verify(graph).empty());
}
