// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "run.h"
#include "support/file.h"

using namespace qtool;
using namespace qtool::test;
namespace fs = std::filesystem;

namespace {

const std::string kModel = shipped("glyphs_cnn.onnx");

std::vector<std::string> tune(const std::string& output, const std::vector<std::string>& more) {
  return words({"tune", kModel, "-o", output, "--samples", "100", "--val",
                shipped("glyphs_test.npz"), "--val-samples", "300"},
               train_data(), more);
}

}  // namespace

TEST_CASE("tune stops at the goal; its recipe makes the same model") {
  const TemporaryFolder folder;
  const std::string found = folder / "found.onnx";
  const Json said = run_json(tune(found, {"--max-drop", "1"}));
  CHECK(said.at("schema") == "qtool.tune/1");
  CHECK(said.at("reached") == true);
  CHECK(said.at("chosen") == "default");
  CHECK(said.at("tried").size() == 1);
  CHECK(said.at("bytes") == fs::file_size(found));
  const std::string again = folder / "again.onnx";
  REQUIRE(run(words({"ptq", kModel, "-o", again, "--samples", "100", "--recipe",
                     found + ".recipe.yaml"},
                    train_data()))
              .code == 0);
  CHECK(read_file(found) == read_file(again));
}

TEST_CASE(
    "tune tries on, leaves the worst layers in float, and says that the goal is out of reach") {
  const TemporaryFolder folder;
  const std::string found = folder / "found.onnx";
  const std::string recipe = folder / "found.yaml";
  const Outcome outcome = run(
      tune(found, {"--bits", "w2a3", "--max-drop", "0", "--no-learning", "--recipe-out", recipe}));
  INFO(outcome.out << outcome.err);
  CHECK(outcome.code == 3);
  CHECK(has(outcome.out, "without the worst layer"));
  CHECK(has(outcome.out, "was not reached"));
  CHECK(has(read_file(recipe), "bits: w2a3"));
  CHECK(files_in(folder.path()) == std::vector<std::string>{"found.onnx", "found.yaml"});
  // The float model's own accuracy is what a drop is measured from.
  const Json float_eval = run_json(words({"eval", kModel, "--samples", "300"}, test_data()));
  const Json made = run_json(words({"eval", found, "--samples", "300"}, test_data()));
  const double drop = 100 * (float_eval.at("metrics").at("top1").get<double>() -
                             made.at("metrics").at("top1").get<double>());
  CHECK(drop > 0);
}

TEST_CASE("tune: each trial's accuracy is what eval gives for its recipe") {
  const TemporaryFolder folder;
  const Json said = run_json(
      tune(folder / "found.onnx", {"--bits", "w3a4", "--max-drop", "-50", "--no-learning"}), 3);
  const Json& tried = said.at("tried");
  REQUIRE(tried.size() > 5);
  CHECK(said.at("reached") == false);
  double best = 100;
  for (const Json& trial : tried) {
    if (trial.contains("drop_points")) best = std::min(best, trial.at("drop_points").get<double>());
  }
  for (size_t i = 0; i < 2; ++i) {
    const std::string recipe = folder / "trial.yaml";
    write_file(recipe, tried.at(i).at("recipe").get<std::string>());
    const std::string model = folder / "trial.onnx";
    REQUIRE(run(words({"ptq", kModel, "-o", model, "--samples", "100", "--recipe", recipe},
                      train_data()))
                .code == 0);
    const Json measured = run_json(words({"eval", model, "--samples", "300"}, test_data()));
    CHECK(measured.at("metrics").at("top1") == tried.at(i).at("top1"));
  }
  for (const Json& trial : tried) {
    if (trial.at("name") == said.at("chosen")) CHECK(trial.at("drop_points") == best);
  }
}

TEST_CASE("tune without labels goes by the SQNR; bad flags write nothing") {
  const TemporaryFolder folder;
  const std::string found = folder / "found.onnx";
  const Json said =
      run_json({"tune", kModel, "-o", found, "--data", "random:16", "--min-sqnr", "5"});
  CHECK(said.at("reached") == true);
  CHECK(said.at("random_data") == true);
  CHECK(!said.at("tried").at(0).contains("top1"));
  CHECK(said.at("tried").at(0).at("sqnr_db") > 5);
  const std::string none = folder / "none.onnx";
  CHECK(run({"tune", kModel, "-o", none}).code == 2);
  CHECK(run(tune(none, {"--time-budget", "0.000001s", "--max-drop", "-50"})).code == 1);
  const Outcome time = run(tune(none, {"--time-budget", "soon"}));
  CHECK(time.code == 2);
  CHECK(has(time.err, "--time-budget \"soon\""));
  CHECK(run(tune(none, {"--target", "nowhere"})).code == 2);
  CHECK(!fs::exists(none));
}
