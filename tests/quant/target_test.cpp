// SPDX-License-Identifier: Apache-2.0
#include "quant/target.h"

#include "quant/quantized.h"
#include "support/file.h"

namespace qtool {
namespace {

using test::contains;
using test::message_of;

const std::string kSmall = R"(
schema: qtool.target/1
name: small
activations: {type: s8, scheme: symmetric}
weights: {type: s8 narrow, scheme: symmetric}
computes:
  Conv: {}
  MatMul: {output: float, computed_weights: true}
  com.microsoft.Gelu: {when: inputs_quantized}
moves: [MaxPool]
)";

TEST_CASE("a target file says what it says") {
  const Target target = parse_target(kSmall);
  CHECK(target.name == "small");
  CHECK(target.opset == 13);
  CHECK(target.activation_type == QuantType{8, true, false});
  CHECK(target.weight_type == QuantType{8, true, true});
  CHECK(target.per_channel);
  CHECK(target.computes.at({"", "MatMul"}).float_output);
  CHECK(target.computes.at({"com.microsoft", "Gelu"}).when == Eagerness::inputs_quantized);
  CHECK(target.moves == std::vector<OpKey>{{"", "MaxPool"}});
}

TEST_CASE("all compiled-in targets are valid and named after their file") {
  REQUIRE(builtin_targets().contains("ort-cpu"));
  for (const auto& [name, yaml] : builtin_targets()) CHECK(load_target(name).name == name);
}

TEST_CASE("the targets of the issue come along") {
  for (const char* name : {"generic", "onednn", "openvino", "ort-cpu", "qnn", "tensorrt", "tidl"}) {
    CHECK(builtin_targets().contains(name));
  }
  CHECK(load_target("tensorrt").activation_scheme == Scheme::symmetric);
  CHECK(load_target("tensorrt").activation_type.is_signed);
  CHECK(load_target("tidl").weight_scheme == Scheme::symmetric_power_of_two);
  CHECK_FALSE(load_target("tidl").per_channel);
}

TEST_CASE("ort-cpu: unsigned activations, signed symmetric weights per channel") {
  const Target target = load_target("ort-cpu");
  CHECK(to_string(target.activation_type) == "u8");
  CHECK(target.activation_scheme == Scheme::asymmetric);
  CHECK(target.weight_type.is_signed);
  CHECK(target.weight_scheme == Scheme::symmetric);
  CHECK(target.per_channel);
}

TEST_CASE("a target is also loaded from a file") {
  const test::TemporaryFolder folder;
  write_file(folder / "mine.yaml", kSmall);
  CHECK(load_target((folder / "mine.yaml").string()).name == "small");
}

TEST_CASE("what is wrong with a target is said with its key") {
  const auto broken = [](const std::string& from, const std::string& to) {
    std::string yaml = kSmall;
    yaml.replace(yaml.find(from), from.size(), to);
    return message_of([&] { parse_target(yaml); }, Error::Kind::input);
  };
  CHECK(contains(broken("moves:", "moved:"), "\"moved\""));
  CHECK(
      contains(broken("type: s8,", "type: s9,"), "activations: there is no quantized type \"s9\""));
  CHECK(contains(broken("output: float", "output: double"),
                 "computes: MatMul: \"output\" is \"double\""));
  CHECK(contains(broken("when: inputs_quantized", "when: maybe"),
                 "it is always or inputs_quantized"));
  CHECK(contains(broken("narrow, scheme: symmetric", "narrow, scheme: asymmetric"),
                 "weights must be symmetric"));
  CHECK(contains(broken("name: small", "name: small\nopset: 12"), "13 to 21"));
  CHECK(contains(broken("type: s8,", "type: s16,"), "21 to 21"));
  CHECK(contains(broken("computes:", "biases: int8\ncomputes:"), "it is codes or float"));
  CHECK(contains(broken("target/1", "target/2"), "qtool.target/1"));
}

TEST_CASE("an unknown target name is a usage error that lists what there is") {
  CHECK(contains(message_of([] { load_target("ort_cpu"); }, Error::Kind::usage),
                 "Did you mean \"ort-cpu\""));
}

TEST_CASE("types and schemes read back as they were written") {
  for (const QuantType type : {QuantType{8, false, false}, QuantType{8, true, true},
                               QuantType{4, true, false}, QuantType{16, false, false}}) {
    CHECK(parse_quant_type(to_string(type)) == type);
  }
  for (const Scheme scheme :
       {Scheme::asymmetric, Scheme::symmetric, Scheme::symmetric_power_of_two}) {
    CHECK(parse_scheme(to_string(scheme)) == scheme);
  }
}

}  // namespace
}  // namespace qtool
