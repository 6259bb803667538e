// SPDX-License-Identifier: Apache-2.0
// Models quantized with default options: their accuracy in qtool's integer kernels, and whether
// ONNX Runtime, which we did not write, gives the same answers for the same file.
#include <cstdio>

#include "calib/calibrate.h"
#include "catch.h"
#include "data/batch.h"
#include "data/open.h"
#include "exec/onnxruntime_runner.h"
#include "exec/session_runner.h"
#include "onnx_io/onnx_io.h"
#include "passes/pipelines.h"
#include "quant/insert_qdq.h"
#include "quant/planner.h"
#include "report/fidelity.h"
#include "report/metrics.h"

using namespace qtool;

namespace {

struct Case {
  std::string name;
  std::filesystem::path model;
  DataSpec calibration;
  size_t calibration_samples;
  DataSpec evaluation;
  size_t evaluation_samples;
  size_t batch;
  double most_lost_points;        ///< of top-1 against the float model
  double least_agreement = 99.5;  ///< per cent of samples with the same top-1 in ONNX Runtime
};

TensorMap feed(Batch& batch, const Runner& runner) {
  TensorMap feeds;
  Tensor& data = batch.inputs.begin()->second;
  feeds.emplace(runner.inputs()[0].name, cast(data, runner.inputs()[0].dtype));
  return feeds;
}

Graph quantized(const Case& test) {
  const Target target = load_target("ort-cpu");
  Graph graph = load_model(test.model);
  run_pipeline(graph, quantization_pipeline(target.opset), {builtin_ops()});
  const auto values = values_to_calibrate(graph, builtin_ops(), target);
  const auto data = open_dataset(test.calibration);
  Loader loader(*data, in_order(data->size(), test.calibration_samples), {.batch_size = 1});
  const RunnerValue input = declared_inputs(graph).at(0);
  const CalibrationTable table =
      calibrate(graph, builtin_ops(), values, [&]() -> std::optional<FeedBatch> {
        auto batch = loader.next();
        if (!batch) return std::nullopt;
        FeedBatch fed{{}, batch->ids};
        fed.inputs.emplace(input.name, cast(batch->inputs.begin()->second, input.dtype));
        return fed;
      });
  insert_qdq(graph, plan_quantization(graph, builtin_ops(), table, target));
  REQUIRE(verify(graph).empty());
  return graph;
}

std::unique_ptr<Runner> float_runner(const std::filesystem::path& path) {
  auto graph = std::make_shared<Graph>(load_model(path));
  run_pipeline(*graph, preparation_pipeline(), {builtin_ops()});
  return open_session(graph, builtin_ops());
}

/// Each convolution and matrix product of the model runs on codes, those of two activations
/// (attention) too.
void check_integer(const Graph& graph, const Runner& runner) {
  SessionOptions options;
  for (const RunnerValue& input : runner.inputs()) {
    Shape shape = input.dims;
    for (int64_t& extent : shape) extent = extent < 0 ? 1 : extent;
    options.input_shapes.emplace(input.name, shape);
  }
  const Session session(graph, builtin_ops(), options);
  for (const StepInfo& step : session.steps()) {
    if (step.macs == 0) continue;
    INFO(step.name << ": " << step.op << " " << step.types << " " << step.fallback);
    CHECK(step.integer);
  }
}

void check_case(const Case& test) {
  INFO(test.name);
  const test::TemporaryFolder folder;
  const auto file = folder / "q.onnx";
  save_model(quantized(test), file);
  const auto reference = float_runner(test.model);
  const auto quantized_graph = std::make_shared<Graph>(load_model(file));
  const auto ours = open_session(quantized_graph, builtin_ops());
  check_integer(*quantized_graph, *ours);
  std::unique_ptr<Runner> theirs;
  if (const auto library = find_onnxruntime({}, QTOOL_SOURCE_DIR)) {
    OnnxRuntimeOptions options;
    options.library = *library;
    options.model = file;
    theirs = open_onnxruntime(options);
  }
  ClassificationMetrics float_accuracy;
  ClassificationMetrics our_accuracy;
  FidelityMetrics against_float;
  FidelityMetrics against_runtime;
  const auto data = open_dataset(test.evaluation);
  Loader loader(*data, in_order(data->size(), test.evaluation_samples), {.batch_size = test.batch});
  while (auto batch = loader.next()) {
    const TensorMap feeds = feed(*batch, *ours);
    const Tensor expected = std::move(reference->run(feeds).begin()->second);
    const Tensor got = std::move(ours->run(feeds).begin()->second);
    float_accuracy.add(expected, batch->labels, batch->ids);
    our_accuracy.add(got, batch->labels, batch->ids);
    against_float.add(expected, got);
    if (theirs) against_runtime.add(std::move(theirs->run(feeds).begin()->second), got);
  }
  const double before = 100 * float_accuracy.accuracy().top1.value();
  const double after = 100 * our_accuracy.accuracy().top1.value();
  std::printf("%s: float %.2f, int8 %.2f, SQNR %.1f dB", test.name.c_str(), before, after,
              against_float.result().sqnr_db.value_or(0));
  CHECK(after >= before - test.most_lost_points);
  if (theirs) {
    const double agreement = 100 * against_runtime.result().agreement.value();
    std::printf(", same top-1 in ONNX Runtime %.2f %%", agreement);
    CHECK(agreement >= test.least_agreement);
  } else {
    std::printf(", SKIPPED: no ONNX Runtime to compare with");
  }
  std::printf(" (%zu samples)\n", static_cast<size_t>(our_accuracy.samples()));
}

Preprocessing steps(const char* text) { return Preprocessing::parse(text); }

}  // namespace

TEST_CASE("the shipped models keep their accuracy, and ONNX Runtime agrees") {
  const std::filesystem::path models = std::filesystem::path(QTOOL_SOURCE_DIR) / "models";
  const Preprocessing glyphs = Preprocessing::parse((models / "glyphs.yaml").string());
  check_case({"glyphs_cnn",
              models / "glyphs_cnn.onnx",
              {models / "glyphs_train.npz", glyphs},
              500,
              {models / "glyphs_test.npz", glyphs},
              2000,
              50,
              1.0});
  check_case({"tunes_former",
              models / "tunes_former.onnx",
              {models / "tunes_train.npz", {}},
              500,
              {models / "tunes_test.npz", {}},
              2000,
              50,
              1.0});
}

TEST_CASE("real models keep their accuracy, and ONNX Runtime agrees", "[assets]") {
  QTOOL_NEED_ASSETS();
  const std::filesystem::path assets = QTOOL_ASSETS;
  const auto model = [&](const char* name) {
    return assets / "models" / (std::string(name) + ".onnx");
  };
  const auto cifar = [&](const char* file) { return assets / "data" / "cifar10" / file; };
  const auto photos = assets / "data" / "imagenet_500";
  check_case({"resnet20",
              model("resnet20_cifar10"),
              {cifar("data_batch_1.bin"), steps("cifar10")},
              512,
              {cifar("test_batch.bin"), steps("cifar10")},
              10000,
              50,
              0.2});
  check_case({"resnet8",
              model("mlperf_tiny_resnet8_cifar10"),
              {cifar("data_batch_1.bin"), steps("none")},
              512,
              {cifar("test_batch.bin"), steps("none")},
              10000,
              50,
              0.5});
  check_case({"mobilenetv2",
              model("mobilenetv2_1.0_224_imagenet"),
              {photos, steps("imagenet-tf")},
              100,
              {photos, steps("imagenet-tf")},
              500,
              10,
              2.0});
  check_case({"squeezenet",
              model("squeezenet1.1_imagenet"),
              {photos, steps("imagenet")},
              100,
              {photos, steps("imagenet")},
              500,
              10,
              2.0});
}
