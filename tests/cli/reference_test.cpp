// SPDX-License-Identifier: Apache-2.0
// eval against another model, recorded outputs, and the outputs of ONNX's test data.
#include <cmath>

#include "catch.h"
#include "onnx_io/onnx_io.h"
#include "run.h"
#include "support/file.h"
#include "tensor/npy.h"

using namespace qtool;
using namespace qtool::test;
namespace fs = std::filesystem;

namespace {

/// y = 2 x of [N,3].
void write_doubling(const fs::path& path) {
  Graph graph;
  graph.model.opsets[""] = 13;
  const ValueId x = graph.add_value("x", TensorType(DType::float32, {{Dim{{}, "N"}, Dim{3, {}}}}));
  graph.add_input(x);
  const ValueId y = graph.add_value("y", TensorType(DType::float32, {{Dim{{}, "N"}, Dim{3, {}}}}));
  Node node;
  node.op = {"", "Add"};
  node.inputs = {x, x};
  node.outputs = {y};
  graph.add_node(std::move(node));
  graph.add_output(y);
  save_model(graph, path);
}

}  // namespace

TEST_CASE("eval --reference: a quantized model against the float one, with labels and without") {
  const std::string model = shipped("glyphs_cnn.onnx");
  const Json json = run_json(
      words({"eval", quantized().model, "--reference", model, "--samples", "64"}, test_data()));
  CHECK(json.at("schema") == "qtool.eval/1");
  CHECK(json.at("reference") == "glyphs_cnn.onnx");
  const Json& metrics = json.at("metrics");
  CHECK(metrics.at("top1").get<double>() > 0.8);
  for (const char* key : {"sqnr_db", "cosine", "mse", "max_abs_error", "agreement"})
    CHECK(metrics.at(key).is_number());
  CHECK(json.at("outputs").at(0).at("name") == "logits");
  CHECK(json.at("outputs").at(0).at("sqnr_db") == metrics.at("sqnr_db"));
  // report measures the same thing by another way.
  const Json report = run_json(words(
      {"report", model, quantized().model, "--samples", "64", "--no-bench", "--layer-samples", "0"},
      test_data()));
  CHECK(report.at("candidates").at(0).at("delta").at("sqnr_db") == metrics.at("sqnr_db"));
  const Outcome itself =
      run(words({"eval", model, "--reference", model, "--samples", "9"}, test_data()));
  CHECK(has(itself.out, "exact"));
}

TEST_CASE("eval --reference: numbers worked out by hand, from arrays") {
  const TemporaryFolder folder;
  write_doubling(folder / "double.onnx");
  write_npy(folder / "x.npy", Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, 6}));
  // The model says 2 4 6 and 8 10 12.
  write_npz(folder / "y.npz", [] {
    TensorMap arrays;
    arrays.emplace("y", Tensor::of<float>({2, 3}, {2, 4, 6, 8, 13, 12}));
    return arrays;
  }());
  const Json json = run_json({"eval", folder / "double.onnx", "--data", folder / "x.npy",
                              "--reference", folder / "y.npz"});
  const Json& metrics = json.at("metrics");
  CHECK(metrics.at("max_abs_error") == 3);
  CHECK(metrics.at("mse") == Approx(9.0 / 6));
  CHECK(metrics.at("agreement") == 0.5);
  const double signal = 4 + 16 + 36 + 64 + 169 + 144;
  CHECK(metrics.at("sqnr_db").get<double>() == Approx(10 * std::log10(signal / 9)));
  CHECK(
      metrics.at("cosine").get<double>() ==
      Approx((4 + 16 + 36 + 64 + 130 + 144) / std::sqrt(signal * (4 + 16 + 36 + 64 + 100 + 144))));
  // Only the second sample, which must meet its own row.
  CHECK(run_json({"eval", folder / "double.onnx", "--data", folder / "x.npy", "--reference",
                  folder / "y.npz", "--skip", "1"})
            .at("metrics")
            .at("mse") == 3);
}

TEST_CASE("eval compares with what ONNX's test data say") {
  const TemporaryFolder folder;
  write_doubling(folder / "model.onnx");
  const fs::path set = folder / "test_data_set_0";
  fs::create_directory(set);
  write_file(set / "input_0.pb", serialize_tensor(Tensor::of<float>({1, 3}, {1, 2, 3}), "x"));
  write_file(set / "output_0.pb", serialize_tensor(Tensor::of<float>({1, 3}, {2, 4, 7})));
  const Json json = run_json({"eval", folder / "model.onnx", "--data", folder.path()});
  CHECK(json.at("metrics").at("max_abs_error") == 1);
  CHECK(json.at("reference") == "the data");
}

TEST_CASE("eval --reference: what does not fit") {
  const TemporaryFolder folder;
  write_doubling(folder / "double.onnx");
  write_npy(folder / "x.npy", Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, 6}));
  const auto refused = [&](const std::string& reference, int code, const std::string& said) {
    const Outcome outcome =
        run({"eval", folder / "double.onnx", "--data", folder / "x.npy", "--reference", reference});
    INFO(outcome.err);
    CHECK(outcome.code == code);
    CHECK(outcome.out.empty());
    CHECK(has(outcome.err, said));
  };
  write_npy(folder / "few.npy", Tensor::of<float>({1, 3}, {1, 2, 3}));
  refused(folder / "few.npy", 1, "the data has 2 samples");
  write_npy(folder / "wide.npy", Tensor::of<float>({2, 2}, {1, 2, 3, 4}));
  refused(folder / "wide.npy", 1, "output \"y\"");
  TensorMap arrays;
  arrays.emplace("z", Tensor::of<float>({2, 1}, {1, 2}));
  write_npz(folder / "z.npz", arrays);
  refused(folder / "z.npz", 1, "\"z\"");
  refused(folder / "absent.onnx", 1, "absent.onnx");
  const Outcome none = run({"eval", folder / "double.onnx", "--data", folder / "x.npy"});
  CHECK(none.code == 1);
  CHECK(has(none.err, "--reference"));
}
