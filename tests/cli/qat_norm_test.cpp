// SPDX-License-Identifier: Apache-2.0
// `qtool qat --bn train` on the shipped model, which has twelve batch norms.
#include "catch.h"
#include "run.h"
#include "support/file.h"
#include "support/text.h"

using namespace qtool;
using namespace qtool::test;
namespace fs = std::filesystem;

namespace {

using Words = std::vector<std::string>;

const std::string kModel = shipped("glyphs_cnn.onnx");

}  // namespace

TEST_CASE("qat --bn train: the exported model has the accuracy of the last validation") {
  const TemporaryFolder folder;
  const fs::path output = folder / "q.onnx";
  for (const char* freeze : {"1", "2"}) {  // after half, never
    INFO(freeze);
    const Json json = run_json(
        words({"qat",           kModel,      "--epochs", "2",     "--samples",
               "320",           "-o",        output,     "--val", shipped("glyphs_test.npz"),
               "--val-samples", "500",       "--export", "last",  "--bits",
               "w4a4",          "--distill", "--bn",     "train", "--freeze-bn-after",
               freeze},
              train_data()));
    const double accuracy = json.at("accuracy").get<double>();
    CHECK(accuracy >= json.at("ptq_accuracy").get<double>() - 0.01);
    const Json again = run_json(words({"eval", output, "--samples", "500"}, test_data()));
    CHECK(again.at("metrics").at("top1").get<double>() == Approx(accuracy).margin(0.001));
  }
}

TEST_CASE("qat --bn train: killed and resumed before and after statistics stay, the same model") {
  const TemporaryFolder folder;
  const fs::path log = folder / "log.jsonl";
  const auto line = [&](const std::string& name, const Words& more) {
    return words({"qat",
                  kModel,
                  "--samples",
                  "320",
                  "--epochs",
                  "5",
                  "--bn",
                  "train",
                  "--freeze-bn-after",
                  "2",
                  "--bn-samples",
                  "100",
                  "--bits",
                  "w4a4",
                  "--progressive",
                  "w8a8:2",
                  "--ema",
                  "0.9",
                  "--augment",
                  "mixup:0.4",
                  "-o",
                  folder / (name + ".onnx")},
                 train_data(), more);
  };
  REQUIRE(run(line("whole", {"--threads", "2"})).code == 0);
  const fs::path checkpoint = folder / "state.npz";
  const Words kept{"--checkpoint", checkpoint, "--log", log};
  for (const size_t epochs : {1, 2}) {
    INFO(epochs);
    fs::remove(checkpoint);
    fs::remove(log);
    run_and_kill(line("cut", kept), [&] {
      return fs::exists(checkpoint) && split(read_file(log), '\n').size() > epochs;
    });
    const Outcome resumed = run(line("cut", words(kept, Words{"--resume", "--threads", "1"})));
    INFO(resumed.err);
    REQUIRE(resumed.code == 0);
    CHECK(read_file(folder / "cut.onnx") == read_file(folder / "whole.onnx"));
  }
}

TEST_CASE("qat --bn: what goes together, and a model that has none left") {
  const TemporaryFolder folder;
  const fs::path output = folder / "q.onnx";
  const auto train = [&](const std::string& model, const Words& more) {
    return run(words({"qat", model, "--epochs", "1", "--samples", "64", "-o", output}, train_data(),
                     more));
  };
  const std::vector<std::pair<Words, Words>> refused{
      {{"--freeze-bn-after", "1"}, {"--freeze-bn-after", "--bn train"}},
      {{"--bn", "train", "--quantizer", "dorefa"}, {"dorefa", "bounds"}},
      {{"--bn", "train", "--method", "cle"}, {"--method cle"}},
      {{"--method", "adaround"}, {"adaround", "ptq", "cle"}},
      {{"--bn", "train", "--damping", "0.1"}, {"--damping", "--freeze-oscillating"}}};
  for (const auto& [flags, said] : refused) {
    const Outcome outcome = train(kModel, flags);
    CHECK(outcome.code == 2);
    for (const std::string& part : said) CHECK(has(outcome.err, part));
    CHECK_FALSE(fs::exists(output));
  }
  const Outcome outcome = train(quantized().model, {"--bn", "train"});
  INFO(outcome.err);
  CHECK(outcome.code == 0);
  CHECK(has(outcome.err, "no Conv or Gemm has a BatchNormalization behind it"));
}

TEST_CASE("qat --method cle begins with the model that ptq equalizes") {
  const TemporaryFolder folder;
  const fs::path output = folder / "q.onnx";
  const Words common = words({"--samples", "320", "--per-tensor", "--method", "cle"}, train_data());
  const Json json = run_json(
      words({"qat", kModel, "--epochs", "1", "--export", "last", "--val",
             shipped("glyphs_test.npz"), "--val-samples", "500", "--distill", "-o", output},
            common));
  const fs::path ptq = folder / "ptq.onnx";
  REQUIRE(run(words({"ptq", kModel, "-o", ptq, "--no-smooth-quant"}, common)).code == 0);
  const auto top1 = [&](const fs::path& model) {
    const Json seen = run_json(words({"eval", model, "--samples", "500"}, test_data()));
    return seen.at("metrics").at("top1").get<double>();
  };
  CHECK(json.at("ptq_accuracy").get<double>() == Approx(top1(ptq)));
  CHECK(json.at("accuracy").get<double>() == Approx(top1(output)).margin(0.001));
}
