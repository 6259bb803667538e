// SPDX-License-Identifier: Apache-2.0
// What scripts may rely on: the JSON of eval, bench, report and inspect.
#include <algorithm>

#include "catch.h"
#include "run.h"
#include "support/file.h"

using namespace qtool;
using namespace qtool::test;

namespace {

void check_latency(const Json& latency) {
  const double p10 = latency.at("p10").get<double>();
  const double median = latency.at("median").get<double>();
  CHECK(p10 > 0);
  CHECK(median >= p10);
  CHECK(latency.at("p90").get<double>() >= median);
}

}  // namespace

TEST_CASE("eval --json") {
  const Json json =
      run_json(words({"eval", shipped("glyphs_cnn.onnx"), "--samples", "100"}, test_data()));
  CHECK(json.at("schema") == "qtool.eval/1");
  CHECK(json.at("samples") == 100);
  const double top1 = json.at("metrics").at("top1").get<double>();
  CHECK(top1 > 0.8);
  CHECK(top1 <= 1);
  CHECK(json.at("metrics").at("top5").get<double>() >= top1);
}

TEST_CASE("--skip and --samples divide a data set") {
  const auto right = [](const std::vector<std::string>& part) {
    const Json json = run_json(words({"eval", shipped("glyphs_cnn.onnx")}, test_data(), part));
    return json.at("metrics").at("top1").get<double>() * json.at("samples").get<double>();
  };
  CHECK(right({"--samples", "150"}) + right({"--skip", "150"}) == Approx(right({})));
}

TEST_CASE("bench --json") {
  const Json json = run_json({"bench", shipped("glyphs_cnn.onnx"), "--batch", "3", "--threads", "2",
                              "--runs", "5", "--seconds", "0"});
  CHECK(json.at("schema") == "qtool.bench/1");
  CHECK(json.at("threads") == 2);
  CHECK(json.at("batch") == 3);
  check_latency(json.at("latency_ms"));
  // More than the weights, less than a gigabyte.
  CHECK(json.at("peak_rss_bytes").get<int64_t>() > 400'000);
  CHECK(json.at("peak_rss_bytes").get<int64_t>() < 1'000'000'000);
}

TEST_CASE("bench chooses open extents by name") {
  const auto profile = [](const std::vector<std::string>& shape) {
    const Outcome outcome = run(
        words({"bench", shipped("glyphs_cnn.onnx"), "--profile", "--runs", "1", "--seconds", "0"},
              shape));
    CHECK(outcome.code == 0);
    return outcome.out;
  };
  CHECK(has(profile({}), "[1,10]"));
  CHECK(has(profile({"--shape", "input=3,3,24,24"}), "[3,10]"));
}

TEST_CASE("report --json, and the same in its file") {
  const TemporaryFolder folder;
  const std::string file = folder / "report.json";
  const std::string markdown = folder / "report.md";
  const Json json = run_json(
      words({"report", shipped("glyphs_cnn.onnx"), quantized().model, "--samples", "100", "--runs",
             "5", "--json-file", file, "--markdown", markdown, "--gate", "size_ratio<=0.45"},
            test_data()));
  CHECK(json.at("schema") == "qtool.report/1");
  CHECK(json.at("float").at("file") == "glyphs_cnn.onnx");
  REQUIRE(json.at("candidates").size() == 1);
  const Json& candidate = json.at("candidates").at(0);
  CHECK(candidate.at("file_bytes") == std::filesystem::file_size(quantized().model));
  check_latency(candidate.at("latency_ms"));
  CHECK(candidate.at("metrics").at("top1").is_number());
  const Json& delta = candidate.at("delta");
  CHECK(delta.at("top1").get<double>() ==
        Approx(candidate.at("metrics").at("top1").get<double>() -
               json.at("float").at("metrics").at("top1").get<double>())
            .margin(1e-9));
  CHECK(delta.at("size_ratio").get<double>() < 0.45);
  CHECK(delta.at("speedup").get<double>() > 0);
  CHECK(delta.at("sqnr_db").get<double>() > 15);
  CHECK(candidate.at("layers").is_array());
  REQUIRE(json.at("gates").size() == 1);
  CHECK(json.at("gates").at(0).at("expr") == "size_ratio<=0.45");
  CHECK(json.at("gates").at(0).at("value") == delta.at("size_ratio"));
  CHECK(json.at("gates").at(0).at("ok") == true);
  CHECK(read_json(file) == json);
  CHECK(has(read_file(markdown), "int8.onnx"));  // underscores are escaped
}

TEST_CASE("report without labels compares outputs") {
  const TemporaryFolder folder;
  write_file(folder / "images.npy", blank_images());
  const Json json =
      run_json({"report", shipped("glyphs_cnn.onnx"), quantized().model, "--no-bench", "--data",
                folder / "images.npy", "--preprocess", shipped("glyphs.yaml")});
  const Json& candidate = json.at("candidates").at(0);
  CHECK(!candidate.at("delta").contains("top1"));
  CHECK(candidate.at("delta").at("sqnr_db").is_number());
}

TEST_CASE("inspect: text for people, JSON for scripts") {
  const Json json = run_json({"inspect", shipped("glyphs_cnn.onnx")});
  CHECK(json.at("schema") == "qtool.inspect/1");
  CHECK(json.at("parameters").get<int64_t>() >= 90'650);  // models/README.md, without BN statistics
  CHECK(json.at("opsets").at("") == 13);
  CHECK(json.at("inputs").at(0).at("name") == "input");
  CHECK(json.at("outputs").at(0).at("name") == "logits");
  CHECK(json.at("ops").at("Gemm").at("count") == 1);
  CHECK(json.at("ops").at("Gemm").at("macs") == 640);  // 64 x 10

  const Outcome text = run({"inspect", shipped("glyphs_cnn.onnx"), "--layers"});
  CHECK(text.code == 0);
  CHECK(text.err.empty());
  CHECK(has(text.out, "opset ai.onnx 13"));
  CHECK(has(text.out, "res1/conv2/Conv"));
  CHECK(has(text.out, "follows its input"));
}

TEST_CASE("inspect --weights and the layers in JSON") {
  const Json json = run_json({"inspect", shipped("glyphs_cnn.onnx"), "--weights"});
  CHECK(json.at("layers").size() == json.at("nodes"));
  for (const Json& layer : json.at("layers")) {
    CHECK(layer.at("node").is_string());
    CHECK(!layer.at("quantization").get<std::string>().empty());
    CHECK(!layer.at("reason").get<std::string>().empty());
  }
  bool gemm = false;
  for (const Json& weights : json.at("weights")) {
    CHECK(weights.at("low").get<double>() <= weights.at("high").get<double>());
    if (weights.at("op") != "Gemm" || !weights.contains("channels")) continue;
    gemm = true;
    CHECK(weights.at("channels").at("count") == 10);
    CHECK(weights.at("channels").at("int8_sqnr_db").get<double>() > 30);
  }
  CHECK(gemm);
  const Outcome text = run({"inspect", shipped("glyphs_cnn.onnx"), "--weights"});
  CHECK(text.code == 0);
  CHECK(has(text.out, "per channel dB"));
}

TEST_CASE("calibrate and ptq say in JSON what they did") {
  const TemporaryFolder folder;
  const Json table = run_json(words(
      {"calibrate", shipped("glyphs_cnn.onnx"), "--samples", "4", "-o", folder / "table.json"},
      train_data()));
  CHECK(table.at("schema") == "qtool.calibrate/1");
  CHECK(table.at("samples") == 4);
  const Json done = run_json({"ptq", shipped("glyphs_cnn.onnx"), "--calibration",
                              folder / "table.json", "-o", folder / "model.onnx"});
  CHECK(done.at("schema") == "qtool.ptq/1");
  CHECK(done.at("bytes") == std::filesystem::file_size(folder / "model.onnx"));
}
