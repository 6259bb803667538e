// SPDX-License-Identifier: Apache-2.0
// Tables of shards, memory limits, data that are no numbers, tensors of one value.
#include <limits>

#include "catch.h"
#include "run.h"
#include "support/file.h"
#include "tensor/npy.h"

using namespace qtool;
using namespace qtool::test;

namespace {

const std::string kModel = shipped("glyphs_cnn.onnx");

Json calibrated(const std::vector<std::string>& more, const std::string& table) {
  const Outcome outcome = run(words({"calibrate", kModel, "-o", table}, train_data(), more));
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  return read_json(table);
}

/// Four images of the shipped model's size as floats.
Tensor images(float fill) {
  Tensor tensor(DType::float32, {4, 3, 24, 24});
  for (float& element : tensor.data<float>()) element = fill;
  return tensor;
}

}  // namespace

TEST_CASE("calibrate --merge: shards give the table of one run, byte for byte but for provenance") {
  const TemporaryFolder folder;
  const std::string a = folder / "a.json";
  const std::string b = folder / "b.json";
  const std::string c = folder / "c.json";
  const Json whole = calibrated({"--samples", "60"}, folder / "whole.json");
  calibrated({"--samples", "20"}, a);
  calibrated({"--samples", "7", "--skip", "20", "--batch", "7", "--threads", "1"}, b);
  calibrated({"--samples", "33", "--skip", "27", "--threads", "2", "--batch", "5"}, c);
  const Outcome outcome = run({"calibrate", "--merge", c, a, b, "-o", folder / "merged.json"});
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(has(outcome.out, "20 tensors over 60 samples of 3 tables"));
  Json merged = read_json(folder / "merged.json");
  CHECK(merged.at("data").size() == 3);
  merged["data"] = whole.at("data");
  CHECK(to_text(merged) == to_text(whole));

  // The order leaves no trace at all, and naming the model changes nothing.
  REQUIRE(run({"calibrate", kModel, "--merge", b, c, a, "-o", folder / "again.json"}).code == 0);
  CHECK(read_file(folder / "again.json") == read_file(folder / "merged.json"));
}

TEST_CASE("calibrate --merge: what cannot be joined") {
  const TemporaryFolder folder;
  const std::string a = folder / "a.json";
  const std::string former = folder / "former.json";
  calibrated({"--samples", "2"}, a);
  REQUIRE(run({"calibrate", shipped("tunes_former.onnx"), "--data", shipped("tunes_train.npz"),
               "--samples", "2", "-o", former})
              .code == 0);
  const std::string output = folder / "merged.json";
  const auto refused = [&](const std::vector<std::string>& arguments, int code, const char* why) {
    const Outcome outcome = run(words({"calibrate", "-o", output}, arguments));
    INFO(why << '\n' << outcome.err);
    CHECK(outcome.code == code);
    CHECK(has(outcome.err, why));
  };
  refused({"--merge", a, former}, 1, "one is of glyphs_cnn.onnx");
  refused({shipped("tunes_former.onnx"), "--merge", a, a}, 1, "was made for glyphs_cnn.onnx");
  refused({"--merge", a}, 2, "two tables or more");
  refused({"--merge", a, a, "--data", "x"}, 2, "--data has no use");
  refused({}, 2, "needs a MODEL");
  refused({kModel}, 2, "--data is missing");
  refused({"--merge", a, output}, 1, "merged.json");
  CHECK_FALSE(std::filesystem::exists(output));
}

TEST_CASE("calibrate --mem-limit: kept, by smaller batches, or refused with what it needs") {
  const TemporaryFolder folder;
  const std::string table = folder / "table.json";
  const std::vector<std::string> wide = {"--samples", "200", "--batch", "100", "--threads", "1"};
  const Json free = calibrated(wide, table);

  // Too little for one sample: the number in the message is one that does.
  const auto limited = [&](const std::string& limit) {
    return run(words({"calibrate", kModel, "-o", folder / "limited.json", "--mem-limit", limit},
                     train_data(), wide));
  };
  const Outcome refused = limited("5MB");
  CHECK(refused.code == 1);
  CHECK(has(refused.err, "--mem-limit 5MiB: one sample at a time needs about"));
  CHECK_FALSE(std::filesystem::exists(folder / "limited.json"));
  const std::string words = "Give --mem-limit ";
  const size_t begin = refused.err.find(words) + words.size();
  const std::string enough = refused.err.substr(begin, refused.err.find(' ', begin) - begin);
  const uint64_t bytes = std::stoull(enough) << 20;
  CAPTURE(enough);

  const Outcome kept = limited(enough);
  INFO(kept.err);
  REQUIRE(kept.code == 0);
  CHECK(kept.peak_bytes <= bytes);
  CHECK(has(kept.err, "instead of 100"));
  CHECK(read_file(folder / "limited.json") == read_file(table));

  CHECK(limited("lots").code == 2);
  CHECK(limited("0").code == 2);
}

TEST_CASE("calibrate: what is not a number names tensor and sample, or is counted") {
  const TemporaryFolder folder;
  Tensor data = images(0.5F);
  data.data<float>()[size_t{2} * 3 * 24 * 24 + 5] = std::numeric_limits<float>::quiet_NaN();
  write_npy(folder / "data.npy", data);
  const std::vector<std::string> line = {"calibrate",         kModel, "--data",
                                         folder / "data.npy", "-o",   folder / "table.json"};
  const Outcome refused = run(line);
  INFO(refused.err);
  CHECK(refused.code == 1);
  CHECK(has(refused.err, "tensor \"input\" has a NaN or an infinity for the sample data.npy:2"));
  CHECK_FALSE(std::filesystem::exists(folder / "table.json"));

  const Outcome counted = run(words(line, std::vector<std::string>{"--nonfinite", "ignore"}));
  INFO(counted.err);
  REQUIRE(counted.code == 0);
  CHECK(has(counted.err, "were NaN or infinite and were left out"));
  const Json input = read_json(folder / "table.json").at("tensors").at("input");
  CHECK(input.at("nans") == 1);
  CHECK(input.at("elements") == 4 * 3 * 24 * 24 - 1);
}

TEST_CASE("tensors of one value are listed and have a valid scale") {
  const TemporaryFolder folder;
  for (const float fill : {0.0F, 0.75F}) {
    write_npy(folder / "data.npy", images(fill));
    const Outcome outcome =
        run({"calibrate", kModel, "--data", folder / "data.npy", "-o", folder / "table.json"});
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    CHECK(has(outcome.err, fill == 0 ? "in all samples: \"input\" (0)" : "\"input\" (0.75)"));
    const Outcome ptq = run({"ptq", kModel, "--calibration", folder / "table.json", "--plan",
                             folder / "plan.json", "-o", folder / "q.onnx"});
    INFO(ptq.err);
    REQUIRE(ptq.code == 0);
    CHECK(has(ptq.err, fill == 0 ? "\"input\" was zero in all samples"
                                 : "\"input\" was 0.75 in all samples"));
    CHECK(run({"eval", folder / "q.onnx", "--data", folder / "data.npy", "--reference", kModel})
              .code == 0);
  }
}

TEST_CASE("a table without statistics of a tensor: that stays float for want of data") {
  const TemporaryFolder folder;
  Json table = read_json(quantized().table);
  const std::string name = "input";
  table["tensors"].erase(name);
  write_json(folder / "table.json", table);
  const Outcome ptq = run({"ptq", kModel, "--calibration", folder / "table.json",
                           "--no-bias-correction", "-o", folder / "q.onnx"});
  INFO(ptq.out << ptq.err);
  CHECK(ptq.code == 0);
  CHECK(has(ptq.out, "no data: \"" + name + "\" was never observed"));
}

TEST_CASE("every range method gives a model that is near the float one") {
  const TemporaryFolder folder;
  for (const char* method :
       {"minmax", "moving-average", "percentile:99.99", "mse", "entropy", "auto"}) {
    INFO(method);
    const std::string model = folder / "q.onnx";
    REQUIRE(run({"ptq", kModel, "--calibration", quantized().table, "--activations", method,
                 "--plan", folder / "plan.json", "-o", model})
                .code == 0);
    const Json json =
        run_json(words({"eval", model, "--reference", kModel, "--samples", "200"}, test_data()));
    CHECK(json.at("metrics").at("top1").get<double>() > 0.9);
  }
  CHECK(has(read_file(folder / "plan.json"), "] auto: "));
}
