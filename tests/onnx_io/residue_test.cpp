// SPDX-License-Identifier: Apache-2.0
// What the IR has no form for survives, and edits reach the file all the same.
#include "messages.h"

using namespace qtool;
using test::bytes_of;
using test::difference;
using test::message;
using test::model_of;
using test::parsed;
using test::require_round_trip;
using test::written;

namespace {

constexpr const char* kIdentity =
    "node { input: 'x' output: 'y' op_type: 'Identity' } input { name: 'x' } output { name: 'y' } ";

}  // namespace

TEST_CASE("models keep what only the file knows", "[onnx_io]") {
  require_round_trip(message<onnx::ModelProto>(R"(
    ir_version: 8 producer_name: "p" producer_version: "1.2" domain: "d" model_version: 4 doc_string: "about"
    opset_import { domain: "ai.onnx.ml" version: 3 } opset_import { version: 13 }
    opset_import { domain: "ai.onnx" version: 17 }
    metadata_props { key: "b" value: "2" } metadata_props { key: "a" } metadata_props { key: "c" value: "" }
    functions { name: "f" domain: "d" input: "a" output: "b"
      node { input: "a" output: "b" op_type: "Relu" attribute { name: "k" type: INT ref_attr_name: "outer" } } }
    training_info { algorithm { name: "train" } initialization_binding { key: "w" value: "v" } }
    graph { name: "g" doc_string: "graph"
      node { input: "x" output: "y" op_type: "Identity" name: "" domain: "" doc_string: "node" }
      node { input: "y" input: "" input: "s" output: "z" output: "" op_type: "F" domain: "ai.onnx" }
      input { name: "x" doc_string: "in" type { denotation: "IMAGE" tensor_type { elem_type: 1 shape {
        dim { dim_param: "N" denotation: "DATA_BATCH" } dim { dim_value: -1 } dim { dim_value: 3 } dim { } } } } }
      output { name: "z" type { sequence_type { elem_type { tensor_type { elem_type: 1 } } } } }
      output { name: "z" doc_string: "again" }
      value_info { name: "y" type { tensor_type { elem_type: 77 } } }
      value_info { name: "z" type { tensor_type { elem_type: 1 shape { } } } }
      value_info { name: "stale" }
      sparse_initializer { values { name: "s" data_type: 1 dims: 1 float_data: 5 }
                           indices { data_type: 7 dims: 1 int64_data: 2 } dims: 4 }
      quantization_annotation { tensor_name: "y" quant_parameter_tensor_names { key: "SCALE_TENSOR" value: "s" } }
    })"));
}

TEST_CASE("attributes of every kind survive", "[onnx_io]") {
  require_round_trip(model_of(std::string(kIdentity) + R"(
    node { input: "x" output: "q" op_type: "Many" domain: "com.example"
      attribute { name: "f" type: FLOAT f: -0.0 doc_string: "doc" }
      attribute { name: "f0" type: FLOAT }
      attribute { name: "i" type: INT i: -5 }
      attribute { name: "i0" type: INT }
      attribute { name: "s" type: STRING s: "\377\000" }
      attribute { name: "s0" type: STRING s: "" }
      attribute { name: "fs" type: FLOATS floats: [1, nan, inf] }
      attribute { name: "is" type: INTS ints: [1, 2] }
      attribute { name: "none" type: INTS }
      attribute { name: "ss" type: STRINGS strings: ["a", ""] }
      attribute { name: "t" type: TENSOR t { data_type: 1 float_data: 1 name: "t" doc_string: "td" } }
      attribute { name: "t2" type: TENSOR t { data_type: 6 raw_data: "abcd" name: "" data_location: DEFAULT } }
      attribute { name: "ts" type: TENSORS tensors { data_type: 9 dims: 1 int32_data: 1 } tensors { data_type: 1 dims: 0 } }
      attribute { name: "sp" type: SPARSE_TENSOR sparse_tensor { values { data_type: 1 dims: 1 float_data: 5 } } }
      attribute { name: "tp" type: TYPE_PROTO tp { tensor_type { elem_type: 1 } } }
      attribute { name: "both" type: INT i: 1 floats: 2 }
      attribute { name: "nothing" }
    })"));
}

TEST_CASE("how elements are stored survives", "[onnx_io]") {
  require_round_trip(model_of(std::string(kIdentity) + R"(
    initializer { name: "a" data_type: 1 dims: 2 float_data: [1, 2] doc_string: "doc" }
    initializer { name: "b" data_type: 1 dims: 1 raw_data: "abcd" }
    initializer { name: "c" data_type: 10 dims: 2 int32_data: [15360, 65535] }
    initializer { name: "d" data_type: 22 dims: 3 int32_data: [16, 1] }
    initializer { name: "e" data_type: 3 dims: 2 int32_data: [-1, 5] }
    initializer { name: "f" data_type: 8 dims: 2 string_data: ["p", ""] }
    initializer { name: "g" data_type: 1 dims: 0 raw_data: "" }
    initializer { name: "h" data_type: 1 dims: 0 }
    initializer { name: "i" data_type: 13 uint64_data: 18446744073709551615 }
    initializer { name: "j" data_type: 15 dims: 1 double_data: [1, 2] segment { begin: 0 end: 1 } }
    )"));
}

TEST_CASE("fields of later versions survive", "[onnx_io]") {
  onnx::ModelProto model =
      model_of(std::string(kIdentity) + "initializer { name: 'w' data_type: 1 float_data: 1 }", 11);
  constexpr int kField = 177;
  const auto mark = [](google::protobuf::Message& part, const char* text) {
    part.GetReflection()->MutableUnknownFields(&part)->AddLengthDelimited(kField, text);
  };
  auto& graph = *model.mutable_graph();
  graph.mutable_node(0)->add_attribute()->set_name("a");
  graph.mutable_node(0)->mutable_attribute(0)->set_type(onnx::AttributeProto::INT);
  graph.mutable_node(0)->mutable_attribute(0)->set_i(1);
  model.add_metadata_props()->set_key("k");
  mark(model, "model");
  mark(graph, "graph");
  mark(*graph.mutable_node(0), "node");
  mark(*graph.mutable_node(0)->mutable_attribute(0), "attribute");
  mark(*graph.mutable_input(0), "input");
  mark(*graph.mutable_initializer(0), "initializer");
  mark(*model.mutable_opset_import(0), "opset");
  mark(*model.mutable_metadata_props(0), "metadata");
  require_round_trip(model);
}

TEST_CASE("zeros that a writer of proto3 leaves out stay out until they change", "[onnx_io]") {
  Graph graph = parsed(
      model_of(std::string(kIdentity) +
               "node { input: 'x' output: 'q' op_type: 'N' attribute { name: 'i' type: INT } }"));
  const NodeId node = graph.nodes()[1];
  CHECK(graph.node(node).attributes.integer("i", 7) == 0);
  CHECK(!written(graph).graph().node(1).attribute(0).has_i());
  graph.attributes(node).set("i", int64_t{3});
  CHECK(written(graph).graph().node(1).attribute(0).i() == 3);
}

TEST_CASE("attributes of IR 1 have no type in the file", "[onnx_io]") {
  const Graph graph = parsed(
      message<onnx::ModelProto>(std::string("ir_version: 1 graph { ") + kIdentity +
                                "node { input: 'x' output: 'q' op_type: 'N' attribute { name: 'k' "
                                "ints: [1, 2] } attribute { name: 'a' f: 2 } } }"));
  CHECK(graph.model.opset() == 1);
  CHECK(graph.node(graph.nodes()[1]).attributes.integers("k") == std::vector<int64_t>{1, 2});
  CHECK(graph.node(graph.nodes()[1]).attributes.real("a", 0) == 2.0F);
  CHECK(written(graph).opset_import_size() == 0);
  CHECK(written(graph).graph().node(1).attribute(0).type() == onnx::AttributeProto::INTS);
}

TEST_CASE("edits reach the file", "[onnx_io]") {
  Graph graph = parsed(model_of(R"(
    name: "g" node { input: "x" input: "w" output: "y" op_type: "Add" doc_string: "kept" }
    initializer { name: "w" data_type: 1 dims: 1 float_data: 1 }
    input { name: "x" doc_string: "kept too" type { tensor_type { elem_type: 1 shape { dim { dim_param: "N" } } } } }
    output { name: "y" type { tensor_type { elem_type: 1 shape { dim { dim_param: "N" } } } } }
    value_info { name: "w" type { tensor_type { elem_type: 1 shape { dim { dim_value: 1 } } } } })"));
  const ValueId w = *graph.find_value("w");
  SECTION("a new tensor is raw, and its entry follows") {
    graph.set_constant(w, make_constant(Tensor::of<int8_t>({2}, {1, 2})));
    const auto model = written(graph);
    CHECK(model.graph().initializer(0).raw_data() == "\1\2");
    CHECK(model.graph().initializer(0).float_data_size() == 0);
    CHECK(model.graph().value_info(0).type().tensor_type().elem_type() == onnx::TensorProto::INT8);
  }
  SECTION("a new type replaces the old one beside the doc string") {
    graph.annotations(*graph.find_value("x")).type = TensorType(DType::float16, Shape{5});
    const onnx::ValueInfoProto entry = written(graph).graph().input(0);
    CHECK(entry.doc_string() == "kept too");
    CHECK(entry.type().tensor_type().elem_type() == onnx::TensorProto::FLOAT16);
    CHECK(entry.type().tensor_type().shape().dim(0).dim_value() == 5);
  }
  SECTION("a new node, op and domain") {
    const ValueId z = graph.add_value("z");
    Node relu;
    relu.op = {"com.example", "Relu"};
    relu.inputs = {*graph.find_value("y"), ValueId::none};
    relu.outputs = {z};
    graph.add_node(std::move(relu));
    graph.set_graph_output(0, z);
    graph.set_op(graph.nodes()[0], {"", "Sub"});
    const auto model = written(graph);
    CHECK(model.graph().node(0).op_type() == "Sub");
    CHECK(model.graph().node(0).doc_string() == "kept");
    CHECK(model.graph().node(1).domain() == "com.example");
    CHECK(model.graph().node(1).input(1) == "");
    CHECK(model.graph().output(0).name() == "z");
  }
  SECTION("versions and metadata") {
    graph.model.ir_version = 10;
    graph.model.opsets = {{"", 21}, {"com.microsoft", 1}};
    graph.model.metadata = {{"made by", "qtool"}};
    const auto model = written(graph);
    CHECK(model.ir_version() == 10);
    REQUIRE(model.opset_import_size() == 2);
    CHECK(model.opset_import(0).version() == 21);
    CHECK(model.opset_import(1).domain() == "com.microsoft");
    CHECK(model.metadata_props(0).value() == "qtool");
  }
}

TEST_CASE("domains and versions as read", "[onnx_io]") {
  const Graph graph = parsed(message<onnx::ModelProto>(
      std::string("ir_version: 8 opset_import { domain: 'ai.onnx' version: 13 } opset_import { "
                  "version: 17 } "
                  "opset_import { domain: 'ai.onnx.ml' version: 2 } graph { ") +
      kIdentity + "}"));
  CHECK(graph.model.opset() == 17);  // of two for one domain the highest counts
  CHECK(graph.model.opset("ai.onnx.ml") == 2);
  CHECK(graph.model.opset("other") == 0);
}

TEST_CASE("before IR 4 initializers are listed as inputs", "[onnx_io]") {
  const std::string text =
      std::string(kIdentity) +
      "input { name: 'w' type { tensor_type { elem_type: 1 shape { dim { dim_value: 1 } } } } } "
      "initializer { name: 'w' data_type: 1 dims: 1 float_data: 1 }";
  for (const int version : {3, 4}) {
    const onnx::ModelProto model = model_of(text, version);
    require_round_trip(model);
    const Graph graph = parsed(model);
    const ValueId w = *graph.find_value("w");
    CHECK(graph.is_input(w));
    CHECK((graph.constant(w) != nullptr) == (version == 3));
    CHECK(graph.required_inputs() == std::vector<ValueId>{*graph.find_value("x")});
  }
}

TEST_CASE("nodes in any order are sorted", "[onnx_io]") {
  const Graph graph = parsed(model_of(
      "input { name: 'x' } output { name: 'z' } node { input: 'y' output: 'z' op_type: 'B' } "
      "node { input: 'x' output: 'y' op_type: 'A' }"));
  CHECK(verify(graph).empty());
  CHECK(written(graph).graph().node(0).op_type() == "A");
}

TEST_CASE("a model of IR 10 and opset 21 as text", "[onnx_io]") {
  const Graph graph = parsed(message<onnx::ModelProto>(R"(
    ir_version: 10 opset_import { version: 21 } graph { name: "int4"
      node { input: "w" input: "s" output: "d" op_type: "DequantizeLinear" name: "dq"
             attribute { name: "axis" type: INT i: 0 } attribute { name: "block_size" type: INT i: 2 } }
      node { input: "x" input: "d" output: "y" op_type: "MatMul" }
      initializer { name: "w" data_type: 22 dims: [2, 2] raw_data: "\x71\x8f" }
      initializer { name: "s" data_type: 1 dims: [1, 2] float_data: [0.5, 0.25] }
      input { name: "x" type { tensor_type { elem_type: 1 shape { dim { dim_param: "N" } dim { dim_value: 2 } } } } }
      output { name: "y" type { tensor_type { elem_type: 1 } } } })"));
  CHECK(to_text(graph) == R"(graph "int4" opset 21
  input %x: float[N,2]
  constant %w: int4[2,2] = [1,7,-1,-8]
  constant %s: float[1,2] = [0.5,0.25]
  %d = DequantizeLinear(%w, %s) {axis=0, block_size=2} "dq"
  %y = MatMul(%x, %d)
  output %y: float[...]
)");
}
