// SPDX-License-Identifier: Apache-2.0
// Widths layer by layer, and modes layer by layer.
#include "catch.h"
#include "exec/onnxruntime_runner.h"
#include "onnx_io/onnx_io.h"
#include "run.h"
#include "support/file.h"

using namespace qtool;
using namespace qtool::test;
namespace fs = std::filesystem;

namespace {

const std::string kModel = shipped("glyphs_cnn.onnx");

std::vector<std::string> tune(const std::string& output, const std::vector<std::string>& more) {
  return words({"tune", kModel, "-o", output, "--samples", "100", "--val",
                shipped("glyphs_test.npz"), "--val-samples", "200", "--no-learning"},
               train_data(), more);
}

double sqnr(const std::string& model, const std::string& reference,
            const std::vector<std::string>& data, const std::vector<std::string>& more = {}) {
  return run_json(words({"eval", model, "--reference", reference, "--samples", "200"}, data, more))
      .at("outputs")
      .at(0)
      .at("sqnr_db")
      .get<double>();
}

/// The same SQNR in ONNX Runtime.
void check_agreement(const std::string& model, const std::string& reference,
                     const std::vector<std::string>& data, double margin = 0.7) {
  const auto library = find_onnxruntime({}, QTOOL_SOURCE_DIR);
  if (!library) QTOOL_SKIP("no ONNX Runtime library: run scripts/setup to install it");
  const double there =
      sqnr(model, reference, data, {"--runner", "onnxruntime", "--ort-library", library->string()});
  CHECK(there == Approx(sqnr(model, reference, data)).margin(margin));
}

}  // namespace

TEST_CASE("mixed: widths of 4 bits in the mean beat 4 bits everywhere; the recipe makes the same") {
  const TemporaryFolder folder;
  const std::string found = folder / "found.onnx";
  const std::string page = folder / "page.html";
  const Json said =
      run_json(tune(found, {"--target-bits", "4", "--max-drop", "50", "--html", page}));
  const Json& mixed = said.at("mixed");
  CHECK(mixed.at("bits") <= 4);
  CHECK(mixed.at("bits") > 3.8);
  CHECK(mixed.at("layers").size() == 13);
  CHECK(mixed.at("front").size() > 5);
  CHECK(has(read_file(page), "<svg"));
  CHECK(has(read_file(page), "<circle class=\"reference\""));  // the chosen one
  CHECK(has(read_file(page), "prefers-color-scheme"));
  CHECK(has(read_file(found + ".recipe.yaml"), "rules:"));
  const std::string again = folder / "again.onnx";
  REQUIRE(run(words({"ptq", kModel, "-o", again, "--samples", "100", "--recipe",
                     found + ".recipe.yaml"},
                    train_data()))
              .code == 0);
  CHECK(read_file(found) == read_file(again));
  const std::string uniform = folder / "uniform.onnx";
  REQUIRE(
      run(words({"ptq", kModel, "-o", uniform, "--samples", "100", "--bits", "w4", "--edges-too"},
                train_data()))
          .code == 0);
  CHECK(sqnr(found, kModel, test_data()) > sqnr(uniform, kModel, test_data()) + 1);
}

TEST_CASE(
    "mixed: measured sensitivities are kept, finished when half done, and bound to the model") {
  const TemporaryFolder folder;
  const std::string file = folder / "s.json";
  const std::string one = folder / "one.onnx";
  const std::string two = folder / "two.onnx";
  const std::vector<std::string> flags{
      "--target-bits", "5", "--sensitivity", file, "--max-drop", "50", "--widths", "4", "8"};
  REQUIRE(run(tune(one, flags)).code == 0);
  Json kept = read_json(file);
  CHECK(kept.at("schema") == "qtool.sensitivity/1");
  const Json whole = kept;
  Json& layers = kept.at("layers");
  for (size_t i = 0; i < layers.size(); i += 2) layers[i]["widths"] = Json::object();
  write_json(file, kept);
  REQUIRE(run(tune(two, flags)).code == 0);
  CHECK(read_json(file) == whole);
  CHECK(read_file(one) == read_file(two));
  kept["model_sha256"] = "0123";
  write_json(file, kept);
  const Outcome other = run(tune(two, flags));
  CHECK(other.code == 1);
  CHECK(has(other.err, "another model"));
  write_json(file, whole);
  const Outcome samples =
      run(words({"tune", kModel, "-o", two, "--data", "random:8", "--no-learning"}, flags));
  CHECK(samples.code == 1);
  CHECK(has(samples.err, "other samples"));
}

TEST_CASE("mixed: a file of the wished size, with codes of 4 bits, also in ONNX Runtime") {
  const TemporaryFolder folder;
  const std::string found = folder / "found.onnx";
  const Json said = run_json(tune(found, {"--max-size", "95000", "--max-drop", "50"}));
  CHECK(said.at("bytes") <= 95000);
  CHECK(said.at("bytes") > 85000);
  const Graph graph = load_model(found);
  CHECK(graph.model.opset() == 21);
  int packed = 0;
  for (const ValueId id : graph.values()) {
    const Constant constant = graph.constant(id);
    packed += constant != nullptr && constant->dtype() == DType::int4 && constant->rank() > 1;
  }
  CHECK(packed > 0);
  check_agreement(found, kModel, test_data());
  const Outcome small = run(tune(found, {"--max-size", "0.05"}));
  CHECK(small.code == 2);
  CHECK(has(small.err, "out of reach"));
}

TEST_CASE("mixed: the fewest bits that keep the accuracy; by gradients; what makes no sense") {
  const TemporaryFolder folder;
  const std::string found = folder / "found.onnx";
  const Json said =
      run_json(tune(found, {"--mixed", "--sensitivity-by", "taylor", "--max-drop", "1"}));
  CHECK(said.at("reached") == true);
  CHECK(said.at("mixed").at("bits") < 6);
  for (const Json& trial : said.at("tried"))
    if (trial.at("name") == said.at("chosen")) CHECK(trial.at("drop_points") <= 1);
  const std::string none = folder / "none.onnx";
  const auto refused = [&](const std::vector<std::string>& flags, const char* why) {
    const Outcome outcome = run(tune(none, flags));
    CHECK(outcome.code == 2);
    CHECK(has(outcome.err, why));
  };
  refused({"--target-bits", "4", "--max-size", "0.2"}, "two bounds");
  refused({"--widths", "4"}, "mixed widths");
  refused({"--target-bits", "2", "--widths", "4", "8"}, "least widths need");
  refused({"--max-size", "0.2", "--widths", "4"}, "--widths");
  CHECK(!fs::exists(none));
  // A bound of the latency is one on what is taken.
  const Outcome slow = run(tune(found, {"--max-latency-ratio", "0.000001", "--max-drop", "50",
                                        "--target-bits", "8", "--widths", "8"}));
  CHECK(slow.code == 3);
}

TEST_CASE("hybrid: modes by rule in one model, here and in ONNX Runtime") {
  struct Case {
    const char* model;
    const char* data;
    const char* rules;
    double least;  ///< SQNR, dB
  };
  constexpr Case kCases[] = {
      {"glyphs_cnn.onnx", "glyphs",
       "  - {match: Gemm, mode: dynamic}\n"
       "  - {match: /res2.*/, mode: weight-only}\n"
       "  - {match: /sep1.*/, mode: float}\n",
       25},
      {"tunes_former.onnx", "tunes",
       "  - {match: /block0.*MatMul/, mode: dynamic}\n"
       "  - {match: /block1.*MatMul/, mode: weight-only, bits: w4, block: 32}\n"
       "  - {match: /block1.query.*/, mode: static}\n",
       15},
  };
  const TemporaryFolder folder;
  for (const Case& one : kCases) {
    INFO(one.model);
    const std::string source = shipped(one.model);
    std::vector<std::string> train{"--data", shipped(std::string(one.data) + "_train.npz")};
    std::vector<std::string> test{"--data", shipped(std::string(one.data) + "_test.npz")};
    for (auto* list : {&train, &test}) {
      if (std::string(one.data) == "glyphs")
        list->insert(list->end(), {"--preprocess", shipped("glyphs.yaml")});
    }
    const std::string recipe = folder / "r.yaml";
    write_file(recipe, std::string("schema: qtool.recipe/1\nrules:\n") + one.rules);
    const std::string made = folder / "made.onnx";
    const std::string plan = folder / "plan.json";
    const Outcome outcome = run(words(
        {"ptq", source, "-o", made, "--samples", "64", "--recipe", recipe, "--plan", plan}, train));
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK(has(outcome.out, "quantized at run time"));
    std::map<std::string, int> ops;
    const Graph graph = load_model(made);
    for (const NodeId id : graph.nodes()) ++ops[graph.node(id).op.type];
    CHECK(ops["DynamicQuantizeLinear"] > 0);
    CHECK(ops["MatMulInteger"] > 0);
    CHECK(ops["QuantizeLinear"] > 0);
    CHECK(ops["DequantizeLinear"] > ops["QuantizeLinear"]);
    CHECK(sqnr(made, source, test) > one.least);
    // The plan says it all.
    const std::string again = folder / "again.onnx";
    REQUIRE(run({"ptq", source, "-o", again, "--from-plan", plan}).code == 0);
    CHECK(read_file(again) == read_file(made));
    check_agreement(made, source, test);
  }
}
