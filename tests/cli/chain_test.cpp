// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "exec/onnxruntime_runner.h"
#include "run.h"
#include "support/file.h"

using namespace qtool;
using namespace qtool::test;
namespace fs = std::filesystem;

namespace {

// models/README.md: torch, numpy and ONNX Runtime agree on it.
constexpr double kFloatTop1 = 0.9445;

double top1(const std::string& model, const std::vector<std::string>& more = {}) {
  const Json json = run_json(words({"eval", model}, test_data(), more));
  CHECK(json.at("samples") == 2000);
  return json.at("metrics").at("top1").get<double>();
}

}  // namespace

TEST_CASE("the float model has the accuracy that it was published with") {
  CHECK(top1(shipped("glyphs_cnn.onnx")) == Approx(kFloatTop1).margin(1e-9));
}

TEST_CASE("calibrate, ptq and eval: int8 is within a point and less than half the size") {
  const Quantized& made = quantized();
  CHECK(top1(made.model) == Approx(kFloatTop1).margin(0.01));
  const auto ratio = static_cast<double>(fs::file_size(made.model)) /
                     static_cast<double>(fs::file_size(shipped("glyphs_cnn.onnx")));
  CHECK(ratio < 0.45);
  CHECK(files_in(made.model.parent_path()) ==
        std::vector<std::string>{"glyphs_cnn.int8.onnx", "plan.json", "table.json"});
}

TEST_CASE("every convolution and the classifier of the shipped model run on codes") {
  const Json report =
      run_json({"report", shipped("glyphs_cnn.onnx"), quantized().model, "--no-bench"});
  for (const Json& kept : report.at("candidates").at(0).value("kept_float", Json::array())) {
    FAIL_CHECK(kept.dump());
  }
}

TEST_CASE("table and model have the same bytes at any thread count and batch size") {
  const TemporaryFolder folder;
  const std::string model = shipped("glyphs_cnn.onnx");
  std::string first_table;
  std::string first_model;
  for (const char* threads : {"1", "2"}) {
    for (const char* batch : {"1", "3", "7"}) {
      INFO(threads << " threads, batch " << batch);
      const std::string table = folder / "table.json";
      const std::string output = folder / "model.onnx";
      REQUIRE(run(words({"calibrate", model, "--samples", "50", "--threads", threads, "--batch",
                         batch, "-o", table},
                        train_data()))
                  .code == 0);
      REQUIRE(
          run({"ptq", model, "--calibration", table, "--threads", threads, "-o", output}).code ==
          0);
      if (first_table.empty()) {
        first_table = read_file(table);
        first_model = read_file(output);
      }
      CHECK(read_file(table) == first_table);
      CHECK(read_file(output) == first_model);
    }
  }
}

TEST_CASE("ptq --method learns from samples, and says what it lacks") {
  const TemporaryFolder folder;
  const std::string model = shipped("glyphs_cnn.onnx");
  const auto learn = [&](const std::string& output, const std::vector<std::string>& more) {
    return run(
        words({"ptq", model, "--calibration", quantized().table, "--bits", "w3a4", "--method",
               "brecq", "--iterations", "60", "--samples", "48", "-o", folder / output},
              train_data(), more));
  };
  const Outcome outcome = learn("a.onnx", {"-v"});
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(has(outcome.err, "of the weights rounded otherwise"));
  REQUIRE(learn("b.onnx", {"--threads", "1"}).code == 0);
  const bool same = read_file(folder / "a.onnx") == read_file(folder / "b.onnx");
  CHECK(same);
  CHECK(!has(outcome.err, "batches"));
  const Outcome little = learn("b.onnx", {"--mem-limit", "1MiB"});
  CHECK(little.code == 0);
  CHECK(has(little.err, "batches of 1 instead of 32"));
  const auto refused = [&](const std::vector<std::string>& flags, const std::string& said) {
    const Outcome result = run(words({"ptq", model, "-o", folder / "c.onnx"}, flags));
    CHECK(result.code == 2);
    CHECK(has(result.err, said));
  };
  refused({"--calibration", quantized().table, "--method", "adaround"}, "--data");
  refused({"--calibration", quantized().table, "--method", "percentile-search"}, "--data");
  refused(words({"--mode", "dynamic", "--method", "percentile-search"}, train_data()), "static");
  refused({"--calibration", quantized().table, "--method", "adaruond"}, "adaround");
  refused(words({"--method", "adaround,brecq"}, train_data()), "both decide");
}

TEST_CASE("ptq --method percentile-search measures percentiles, with a table or without") {
  const TemporaryFolder folder;
  const std::string model = shipped("glyphs_cnn.onnx");
  const auto search = [&](const std::string& output, const std::vector<std::string>& more) {
    const Outcome outcome =
        run(words({"ptq", model, "--method", "percentile-search", "--bits", "a4", "--activations",
                   "minmax", "--samples", "24", "-v", "-o", folder / output},
                  train_data(), more));
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK(has(outcome.err, "dB less error where it is read"));
  };
  search("a.onnx", {"--calibration", quantized().table, "--plan", folder / "plan.json"});
  CHECK(has(read_file(folder / "plan.json"), "found by search"));
  search("b.onnx", {"--calibration", quantized().table, "--threads", "1", "--batch", "7"});
  search("c.onnx", {"--calibration", quantized().table, "--mem-limit", "100MiB"});
  const std::string made = read_file(folder / "a.onnx");
  CHECK(made == read_file(folder / "b.onnx"));
  CHECK(made == read_file(folder / "c.onnx"));
  search("d.onnx", {});
  REQUIRE(run({"ptq", model, "--from-plan", folder / "plan.json", "-o", folder / "e.onnx"}).code ==
          0);
  CHECK(made == read_file(folder / "e.onnx"));
}

TEST_CASE("ptq with data gives the same model as calibrate and ptq") {
  const TemporaryFolder folder;
  const std::string model = shipped("glyphs_cnn.onnx");
  const std::vector<std::string> data =
      words(train_data(), std::vector<std::string>{"--samples", "20"});
  const std::string table = folder / "table.json";
  REQUIRE(run(words({"calibrate", model, "-o", table}, data)).code == 0);
  REQUIRE(run({"ptq", model, "--calibration", table, "-o", folder / "two.onnx"}).code == 0);
  REQUIRE(run(words({"ptq", model, "-o", folder / "one.onnx"}, data)).code == 0);
  CHECK(read_file(folder / "one.onnx") == read_file(folder / "two.onnx"));
}

TEST_CASE("carrying out the written plan gives the same model") {
  const TemporaryFolder folder;
  const Quantized& made = quantized();
  const Outcome again = run(
      {"ptq", shipped("glyphs_cnn.onnx"), "--from-plan", made.plan, "-o", folder / "again.onnx"});
  INFO(again.err);
  REQUIRE(again.code == 0);
  CHECK(read_file(folder / "again.onnx") == read_file(made.model));
}

TEST_CASE("recipes that come along: each gives a model for its target; flags win") {
  const TemporaryFolder folder;
  const std::string model = shipped("glyphs_cnn.onnx");
  const std::vector<std::string> data =
      words(train_data(), std::vector<std::string>{"--samples", "40"});
  for (const std::string recipe : {"int8-fast", "int8-accurate", "tensorrt", "tidl-po2"}) {
    INFO(recipe);
    const std::string table = folder / "table.json";
    const std::string output = folder / "q.onnx";
    REQUIRE(run(words({"calibrate", model, "--recipe", recipe, "-o", table}, data)).code == 0);
    const Json made =
        run_json({"ptq", model, "--calibration", table, "--recipe", recipe, "-o", output});
    const std::string target = recipe == "tidl-po2"   ? "tidl"
                               : recipe == "tensorrt" ? "tensorrt"
                                                      : "ort-cpu";
    CHECK(made.at("target") == target);
    CHECK(top1(output) > 0.9);
  }
  const Json other = run_json({"ptq", model, "--calibration", folder / "table.json", "--recipe",
                               "tidl-po2", "--target", "generic", "-o", folder / "q.onnx"});
  CHECK(other.at("target") == "generic");
}

TEST_CASE("--format qoperator: the accuracy of Q/DQ, and what stays Q/DQ is said") {
  const TemporaryFolder folder;
  const Outcome outcome =
      run({"ptq", shipped("glyphs_cnn.onnx"), "--calibration", quantized().table, "--format",
           "qoperator", "-o", folder / "form.onnx"});
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(has(outcome.out, "QOperator form: 17 nodes compute on codes, 3 move them, 0 stay Q/DQ"));
  CHECK(top1(folder / "form.onnx") == Approx(top1(quantized().model)).margin(0.002));
}

TEST_CASE("--exclude leaves a node in float, and --dry-run writes nothing") {
  const TemporaryFolder folder;
  const Outcome outcome =
      run({"ptq", shipped("glyphs_cnn.onnx"), "--calibration", quantized().table, "--exclude",
           "Gemm", "--dry-run", "-o", folder / "model.onnx"});
  CHECK(outcome.code == 0);
  CHECK(has(outcome.out, "Gemm"));
  CHECK(has(outcome.out, "would write"));
  CHECK(files_in(folder.path()).empty());
}

TEST_CASE("a report says what ONNX Runtime really computes in float") {
  const auto library = find_onnxruntime({}, QTOOL_SOURCE_DIR);
  if (!library) QTOOL_SKIP("no ONNX Runtime library: run scripts/setup to install it");
  const TemporaryFolder folder;
  const std::string part = folder / "part.onnx";
  REQUIRE(run({"ptq", shipped("glyphs_cnn.onnx"), "--calibration", quantized().table, "--exclude",
               "Gemm", "-o", part})
              .code == 0);
  const Json json = run_json({"report", shipped("glyphs_cnn.onnx"), quantized().model, part,
                              "--no-bench", "--runner", "onnxruntime", "--ort-library", *library});
  CHECK(!json.at("candidates")[0].contains("kept_float"));
  const Json& kept = json.at("candidates")[1].at("kept_float");
  REQUIRE(kept.size() == 1);
  CHECK(has(kept[0].at("op").get<std::string>(), "Gemm"));
}

TEST_CASE("ONNX Runtime has the same accuracy with the quantized model") {
  const auto library = find_onnxruntime({}, QTOOL_SOURCE_DIR);
  if (!library) QTOOL_SKIP("no ONNX Runtime library: run scripts/setup to install it");
  const std::string model = quantized().model;
  const double theirs = top1(model, {"--runner", "onnxruntime", "--ort-library", *library});
  CHECK(theirs == Approx(top1(model)).margin(0.01));
  CHECK(theirs == Approx(kFloatTop1).margin(0.01));
}
