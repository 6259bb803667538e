// SPDX-License-Identifier: Apache-2.0
// Data of other kinds than the shipped one, from the command line to the result.
#include "catch.h"
#include "onnx_io/onnx_io.h"
#include "run.h"
#include "support/file.h"
#include "tensor/npy.h"

using namespace qtool;
using namespace qtool::test;
namespace fs = std::filesystem;

namespace {

const std::string kModel = shipped("glyphs_cnn.onnx");

/// The images of the shipped test set as bytes without a header, and their labels as text.
void write_raw(const fs::path& folder) {
  const TensorMap arrays = read_npz(shipped("glyphs_test.npz"));
  for (const auto& [name, tensor] : arrays) {
    if (tensor.rank() == 4) {
      write_file(folder / "images.raw",
                 {reinterpret_cast<const char*>(tensor.raw()), tensor.bytes()});
      continue;
    }
    std::string text;
    for (const int64_t label : to_int64s(tensor)) text += std::to_string(label) + '\n';
    write_file(folder / "labels.txt", text);
  }
}

}  // namespace

TEST_CASE("raw bytes and a file of labels give the accuracy of the arrays that they came from") {
  const TemporaryFolder folder;
  write_raw(folder.path());
  const Json arrays = run_json(words({"eval", kModel}, test_data()));
  const Json raw = run_json({"eval", kModel, "--data", folder / "images.raw", "--shape", "3,24,24",
                             "--dtype", "uint8", "--labels", folder / "labels.txt", "--preprocess",
                             shipped("glyphs.yaml")});
  CHECK(raw.at("metrics") == arrays.at("metrics"));
  const Outcome wrong = run({"eval", kModel, "--data", folder / "images.raw", "--shape", "3,x"});
  CHECK(wrong.code == 2);
  CHECK(has(wrong.err, "--shape 3,x"));
}

TEST_CASE("random data: only when asked for by name, and said in every output") {
  const TemporaryFolder folder;
  const std::string table = folder / "table.json";
  const Outcome made = run({"calibrate", kModel, "--data", "random:3", "-o", table});
  INFO(made.err);
  REQUIRE(made.code == 0);
  CHECK(has(made.err, "RANDOM"));
  CHECK(has(made.out, "random:3"));
  CHECK(has(read_file(table), "\"kind\": \"random\""));
  const Outcome ptq = run({"ptq", kModel, "--calibration", table, "-o", folder / "q.onnx", "-q"});
  CHECK(ptq.code == 0);
  CHECK(has(ptq.out, "RANDOM"));
  CHECK(
      run_json({"ptq", kModel, "--data", "random:3", "-o", folder / "q.onnx"}).at("random_data") ==
      true);
  const Outcome report =
      run({"report", kModel, folder / "q.onnx", "--data", "random:4", "--no-bench", "-q"});
  CHECK(report.code == 0);
  CHECK(has(report.out, "RANDOM NUMBERS"));
  const Outcome unclear = run({"calibrate", kModel, "--data", "random", "-o", table});
  CHECK(unclear.code == 2);
  CHECK(has(unclear.err, "random:N"));
}

TEST_CASE("calibrating on ONNX's test data, whose inputs go by name") {
  const TemporaryFolder folder;
  const fs::path set = folder / "test_data_set_0";
  fs::create_directory(set);
  Tensor image(DType::float32, {2, 3, 24, 24});
  for (size_t i = 0; i < static_cast<size_t>(image.size()); ++i)
    image.data<float>()[i] = static_cast<float>(i % 7) / 3 - 1;
  write_file(set / "input_0.pb", serialize_tensor(image, "input"));
  const Json made =
      run_json({"calibrate", kModel, "--data", folder.path(), "-o", folder / "table.json"});
  CHECK(made.at("samples") == 1);
  write_file(set / "input_0.pb", serialize_tensor(image.clone(), "other"));
  const Outcome alone =
      run({"calibrate", kModel, "--data", folder.path(), "-o", folder / "table.json"});
  CHECK(alone.code == 0);  // a single array goes to a single input
  write_file(set / "input_1.pb", serialize_tensor(image.clone(), "third"));
  const Outcome wrong =
      run({"calibrate", kModel, "--data", folder.path(), "-o", folder / "table.json"});
  CHECK(wrong.code == 1);
  CHECK(has(wrong.err, "\"input\""));
}

namespace {

/// The shipped model, exported for so many images at once.
std::string for_batches_of(int64_t size, const TemporaryFolder& folder) {
  Graph graph = load_model(kModel);
  const ValueId input = graph.inputs()[0];
  TensorType type = graph.value(input).type;
  type.shape->front() = Dim{size, {}};
  graph.set_type(input, type);
  save_model(graph, folder / "m.onnx");
  return folder / "m.onnx";
}

}  // namespace

TEST_CASE("a model in halves is trained and rounded, and stays one outside") {
  const TemporaryFolder folder;
  const std::string half = folder / "half.onnx";
  REQUIRE(run({"ptq", kModel, "--mode", "float16", "--half-io", "-o", half}).code == 0);
  const std::vector<std::string> command = GENERATE(
      std::vector<std::string>{"ptq", "--bits", "w4", "--method", "adaround", "--iterations", "50"},
      std::vector<std::string>{"qat", "--bits", "w4a4", "--epochs", "1", "--loss", "mse"});
  const Outcome outcome =
      run(words(command, std::vector<std::string>{half, "--samples", "64", "-o", folder / "q.onnx"},
                train_data()));
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  const Graph graph = load_model(folder / "q.onnx");
  for (const ValueId id : {graph.inputs()[0], graph.outputs()[0]})
    CHECK(graph.value(id).type.dtype == DType::float16);
  const Json metrics =
      run_json(words({"eval", folder / "q.onnx", "--samples", "200"}, test_data())).at("metrics");
  CHECK(metrics.at("top1").get<double>() > 0.8);
}

TEST_CASE("a model exported for one sample is trained and rounded like one for any number") {
  const TemporaryFolder folder;
  const std::string single = for_batches_of(1, folder);
  const auto made = [&](const std::vector<std::string>& command, const std::string& model) {
    const std::string output = folder / "q.onnx";
    const std::vector<std::string> rest{"--samples", "128", "-o", output, "-q"};
    const Outcome outcome = run(words(command, std::vector{model}, rest, train_data()));
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    const Dim batch = load_model(output).value(load_model(output).inputs()[0]).type.shape->front();
    CHECK((model == single ? batch.value == 1 : !batch.value.has_value()));
    return run_json(words({"eval", output, "--samples", "64"}, test_data())).at("metrics");
  };
  const std::vector<std::string> command =
      GENERATE(std::vector<std::string>{"ptq", "--bits", "w4", "--method", "gptq"},
               std::vector<std::string>{"qat", "--bits", "w4a4", "--epochs", "1", "--batch", "32"});
  CHECK(made(command, single) == made(command, kModel));
}

TEST_CASE(
    "a model for batches of a fixed size leaves out the samples that fill none, and says so") {
  const TemporaryFolder folder;
  const std::string model = for_batches_of(16, folder);
  const auto eval = [&](const char* samples) {
    return run(words({"eval", model, "--json", "--samples", samples}, test_data()));
  };
  const Outcome some = eval("40");
  INFO(some.err);
  REQUIRE(some.code == 0);
  CHECK(has(some.err, "batches of 16: the last 8 samples are left out"));
  const Json whole = run_json(words({"eval", kModel, "--samples", "32"}, test_data()));
  CHECK(Json::parse(some.out).at("metrics") == whole.at("metrics"));
  const Outcome few = eval("9");
  CHECK(few.code == 1);
  CHECK(has(few.err, "batches of 16, the data has 9 samples"));
  const auto refused = [&](const std::vector<std::string>& command, const char* message) {
    const Outcome outcome =
        run(words(command, std::vector<std::string>{model, "-o", folder / "q.onnx"}, train_data()));
    CHECK(outcome.code == 1);
    CHECK(has(outcome.err, message));
    CHECK(files_in(folder.path()) == std::vector<std::string>{"m.onnx"});
  };
  refused({"qat", "--epochs", "1"}, "Train with --batch 16");
  refused({"ptq", "--method", "adaround"}, "exported for batches of 16");
}
