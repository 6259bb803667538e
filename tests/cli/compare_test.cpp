// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "run.h"

using namespace qtool;
using namespace qtool::test;

TEST_CASE("compare --json: every quantized tensor, worst first, with the node that makes it") {
  const Json json = run_json(words(
      {"compare", shipped("glyphs_cnn.onnx"), quantized().model, "--samples", "8"}, test_data()));
  CHECK(json.at("schema") == "qtool.compare/1");
  CHECK(json.at("samples") == 8);
  CHECK(json.at("float").at("file") == "glyphs_cnn.onnx");
  const Json& layers = json.at("layers");
  CHECK(layers.size() >= 20);
  double last = -1000;
  bool logits = false;
  for (const Json& layer : layers) {
    INFO(layer.dump());
    const double own = layer.at("added_sqnr_db").get<double>();
    CHECK(own >= last);
    last = own;
    CHECK(own > 10);
    CHECK(layer.at("cosine").get<double>() > 0.99);
    logits = logits || layer.at("tensor") == "logits";
  }
  CHECK(logits);
}

TEST_CASE("compare prints a table, and the report has the worst layers") {
  const Outcome table = run(words(
      {"compare", shipped("glyphs_cnn.onnx"), quantized().model, "--samples", "4", "--show", "5"},
      test_data()));
  CHECK(table.code == 0);
  CHECK(has(table.out, "own SQNR"));
  CHECK(has(table.out, "5 of "));
  const Json report = run_json(words(
      {"report", shipped("glyphs_cnn.onnx"), quantized().model, "--samples", "20", "--no-bench"},
      test_data()));
  CHECK(report.at("candidates").at(0).at("layers").size() >= 20);
}

TEST_CASE("compare refuses models that have nothing in common, and needs data") {
  CHECK(run({"compare", shipped("glyphs_cnn.onnx"), quantized().model}).code == 2);
  const Outcome swapped = run(
      {"compare", shipped("glyphs_cnn.onnx"), "absent.onnx", "--data", shipped("glyphs_test.npz")});
  CHECK(swapped.code == 1);
  CHECK(has(swapped.err, "absent.onnx"));
}

TEST_CASE("compare says why the worst layers are bad: few bits, other data") {
  const TemporaryFolder folder;
  const std::string model = shipped("glyphs_cnn.onnx");
  const std::string narrow = folder / "w3.onnx";
  REQUIRE(
      run({"ptq", model, "--calibration", quantized().table, "--bits", "w3", "-o", narrow}).code ==
      0);
  const Outcome bits = run(words({"compare", model, narrow, "--samples", "8"}, test_data()));
  INFO(bits.out);
  CHECK(has(bits.out, "What the worst layers show"));
  CHECK(has(bits.out, "codes of at most 3"));
  const Json other = run_json({"compare", model, quantized().model, "--samples", "8", "--data",
                               shipped("glyphs_test.npz"), "--preprocess", "{scale: 30}"});
  CHECK(has(other.at("findings").dump(), "samples like these"));
}
