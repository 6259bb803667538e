// SPDX-License-Identifier: Apache-2.0
// What goes wrong is said in one message that names the file or flag and what to do, with the
// right exit code, nothing on stdout, and no file left behind.
#include "catch.h"
#include "onnx_io/onnx_io.h"
#include "run.h"
#include "support/file.h"
#include "support/text.h"

using namespace qtool;
using namespace qtool::test;
namespace fs = std::filesystem;

namespace {

const std::string kModel = shipped("glyphs_cnn.onnx");

void check_refused(const std::vector<std::string>& arguments, int code,
                   const std::vector<std::string>& said) {
  const Outcome outcome = run(arguments);
  INFO("$ qtool " << join(arguments, " ") << "\n" << outcome.out << outcome.err);
  CHECK(outcome.code == code);
  CHECK(outcome.out.empty());
  CHECK(outcome.err.starts_with("qtool: error: "));
  CHECK(!has(outcome.err, "bug"));
  for (const std::string& part : said) {
    INFO("should say: " << part);
    CHECK(has(outcome.err, part));
  }
}

}  // namespace

TEST_CASE("errors: command lines") {
  check_refused({"calibrat", kModel}, 2, {"calibrat", "\"calibrate\""});
  check_refused({"frobnicate"}, 2, {"frobnicate", "inspect, calibrate, ptq"});
  check_refused({}, 2, {"qtool --help"});
  check_refused({"ptq"}, 2, {"MODEL"});
  check_refused({"inspect", kModel, "--layer"}, 2, {"--layer", "--layers"});
  check_refused({"bench", kModel, "--threads", "many"}, 2, {"--threads", "many"});
  check_refused({"bench", kModel, "--runs", "0"}, 2, {"--runs"});
  check_refused({"bench", kModel, "--shape", "image"}, 2, {"--shape", "image", "NAME=EXTENT"});
  check_refused({"bench", kModel, "--shape", "input=1,x"}, 2, {"--shape", "NAME=EXTENT"});
  check_refused({"bench", kModel, "--shape", "picture=1,1,2,2"}, 2, {"picture", "input"});
  check_refused({"bench", kModel, "--shape", "input=1,1,2,2"}, 2, {"input", "[1,1,2,2]"});
  check_refused({"bench", kModel, "--runner", "tensorflow"}, 2, {"--runner", "onnxruntime"});
  check_refused({"ptq", kModel}, 2, {"--calibration", "--data"});
  check_refused({"ptq", kModel, "--calibration", "table.json"}, 2, {"-o"});
}

TEST_CASE("errors: models") {
  const TemporaryFolder folder;
  const std::string output = folder / "out.json";
  const auto calibrate = [&](const std::string& model) {
    return words({"calibrate", model, "-o", output}, train_data());
  };
  check_refused(calibrate(folder / "absent.onnx"), 1, {"absent.onnx"});
  check_refused(calibrate(folder.path()), 1, {folder.path().filename()});
  check_refused(calibrate(shipped("glyphs.yaml")), 1, {"glyphs.yaml", "ONNX"});
  const std::string bytes = read_file(kModel);
  for (const size_t length :
       {size_t{0}, size_t{1}, size_t{1000}, bytes.size() / 2, bytes.size() - 1}) {
    INFO(length << " bytes");
    write_file(folder / "cut.onnx", bytes.substr(0, length));
    check_refused(calibrate(folder / "cut.onnx"), 1, {"cut.onnx"});
    check_refused({"inspect", folder / "cut.onnx"}, 1, {"cut.onnx"});
  }
  CHECK(files_in(folder.path()) == std::vector<std::string>{"cut.onnx"});
}

TEST_CASE("errors: data and preprocessing") {
  const TemporaryFolder folder;
  const std::vector<std::string> calibrate{"calibrate", kModel, "-o", folder / "table.json"};
  const std::string data = shipped("glyphs_train.npz");
  check_refused(words(calibrate, std::vector<std::string>{"--data", "absent.npz"}), 1,
                {"absent.npz"});
  check_refused(calibrate, 2, {"--data"});
  check_refused(
      words(calibrate, std::vector<std::string>{"--data", data, "--preprocess", "cifar11"}), 2,
      {"--preprocess", "cifar11", "cifar10"});
  check_refused(
      words(calibrate, std::vector<std::string>{"--data", data, "--preprocess", "imagenet"}), 1,
      {"glyphs_train.npz", "resizes or crops"});
  check_refused(words(calibrate,
                      std::vector<std::string>{"--data", data, "--preprocess", folder / "no.yaml"}),
                1, {"--preprocess", "no.yaml"});
  check_refused(
      words(calibrate, std::vector<std::string>{"--data", data, "--preprocess", "{scael: 2}"}), 2,
      {"--preprocess", "scael", "\"scale\""});
  check_refused(words(calibrate, train_data(), std::vector<std::string>{"--samples", "6001"}), 2,
                {"--samples 6001", "6000"});
  check_refused(words(calibrate, train_data(), std::vector<std::string>{"--skip", "6000"}), 2,
                {"--skip 6000", "6000 samples"});
  check_refused(
      words(calibrate, train_data(), std::vector<std::string>{"--skip", "5999", "--samples", "2"}),
      2, {"--samples 2", "only 1 behind"});
  check_refused(words(calibrate, train_data(), std::vector<std::string>{"--samples", "0"}), 2,
                {"--samples"});
  check_refused(words(calibrate, train_data(), std::vector<std::string>{"--batch", "0"}), 2,
                {"--batch"});
  CHECK(files_in(folder.path()).empty());

  write_file(folder / "images.npy", blank_images());
  check_refused({"eval", kModel, "--data", folder / "images.npy"}, 1, {"images.npy", "labels"});
}

TEST_CASE("errors: a batch size that the model does not take") {
  const TemporaryFolder folder;
  Graph graph = load_model(kModel);
  for (const ValueId input : graph.required_inputs()) {
    TensorType type = graph.value(input).type;
    type.shape->front() = Dim{4, {}};
    graph.set_type(input, type);
  }
  save_model(graph, folder / "four.onnx");
  check_refused(words({"eval", folder / "four.onnx", "--batch", "3"}, test_data()), 2,
                {"--batch 3", "batches of 4"});
}

TEST_CASE("errors: tables") {
  const TemporaryFolder folder;
  const std::string output = folder / "out.onnx";
  const Quantized& made = quantized();
  check_refused({"ptq", made.model, "--calibration", made.table, "-o", output}, 1,
                {"table.json", "glyphs_cnn.onnx", "SHA-256", "qtool calibrate"});
  check_refused({"ptq", kModel, "--calibration", made.plan, "-o", output}, 1,
                {"plan.json", "qtool."});
  check_refused({"ptq", kModel, "--calibration", shipped("glyphs.yaml"), "-o", output}, 1,
                {"glyphs.yaml"});
  check_refused({"ptq", kModel, "--calibration", folder / "absent.json", "-o", output}, 1,
                {"absent.json"});
  check_refused({"ptq", kModel, "--from-plan", made.table, "-o", output}, 1, {"table.json"});
  check_refused(
      {"ptq", kModel, "--from-plan", made.plan, "--calibration", made.table, "-o", output}, 2,
      {"--from-plan"});
  CHECK(files_in(folder.path()).empty());
}

TEST_CASE("errors: a quantized model is not quantized again unasked") {
  const TemporaryFolder folder;
  check_refused(words({"ptq", quantized().model, "-o", folder / "out.onnx"}, train_data()), 1,
                {"glyphs_cnn.int8.onnx", "quantized already", "--allow-quantized"});
  CHECK(files_in(folder.path()).empty());
}

TEST_CASE("errors: outputs") {
  const TemporaryFolder folder;
  const std::string model = folder / "model.onnx";
  const Quantized& made = quantized();
  fs::copy_file(kModel, model);
  check_refused({"ptq", model, "--calibration", made.table, "-o", model}, 2,
                {"model.onnx", "overwrite"});
  check_refused({"ptq", model, "--calibration", made.table, "-o", made.table}, 2,
                {"table.json", "overwrite"});
  check_refused({"ptq", model, "--calibration", made.table, "-o", folder / "none/out.onnx"}, 1,
                {"out.onnx", "none"});
  check_refused(words({"calibrate", model, "-o", folder.path()}, train_data()), 1,
                {folder.path().filename()});
  check_refused(
      {"ptq", model, "--calibration", made.table, "-o", folder / "same", "--plan", folder / "same"},
      2, {"--plan"});
  check_refused({"report", model, made.model, "--no-bench", "--json-file", model}, 2,
                {"--json-file"});
  CHECK(files_in(folder.path()) == std::vector<std::string>{"model.onnx"});
  CHECK(read_file(model) == read_file(kModel));
}

TEST_CASE("errors: recipes, targets, patterns") {
  const TemporaryFolder folder;
  const std::vector<std::string> ptq{
      "ptq", kModel, "--calibration", quantized().table, "-o", folder / "out.onnx"};
  const auto with = [&](const std::string& flag, const std::string& value) {
    return words(ptq, std::vector<std::string>{flag, value});
  };
  check_refused(with("--exclude", "Genm"), 2, {"Genm", "\"Gemm\""});
  check_refused(with("--exclude", "res1/conv2/Convv"), 2,
                {"res1/conv2/Convv", "\"res1/conv2/Conv\""});
  check_refused(with("--include", "/(/"), 2, {"/(/"});
  check_refused(with("--target", "ort-cp"), 2, {"ort-cp", "ort-cpu"});
  check_refused(with("--activations", "minmx"), 2, {"minmx", "minmax"});
  check_refused(with("--weights", "percentile"), 2, {"percentile", "mse"});
  write_file(folder / "recipe.yaml", "schema: qtool.recipe/1\nactivation: mse\n");
  check_refused(with("--recipe", folder / "recipe.yaml"), 1, {"recipe.yaml", "activation"});
  CHECK(files_in(folder.path()) == std::vector<std::string>{"recipe.yaml"});
}
