// SPDX-License-Identifier: Apache-2.0
// Every model in the assets runs on qtool's executor, and its float outputs are ONNX Runtime's to
// 1e-4 of the output's largest magnitude: on data where the manifest names some, else on seeded
// numbers of the range that the model was made for.
#include <cmath>
#include <cstdio>
#include <cstring>

#include "catch.h"
#include "data/batch.h"
#include "data/open.h"
#include "exec/onnxruntime_runner.h"
#include "exec/session_runner.h"
#include "onnx_io/onnx_io.h"
#include "passes/batch.h"
#include "passes/pipelines.h"
#include "report/metrics.h"
#include "support/rng.h"

using namespace qtool;
namespace fs = std::filesystem;

namespace {

constexpr double kMostOff = 1e-4;
/// Outputs in float16 are rounded to 11 bits on both sides.
constexpr double kMostOffHalf = 2e-3;

/// How a model is fed where seeded numbers in [-1, 1) would not do.
struct Feeding {
  const char* model;
  const char* data = nullptr;  ///< below assets/data
  const char* steps = "none";
  double low = -1;  ///< of the seeded numbers, where there is no data
  double high = 1;
};

constexpr Feeding kFeedings[] = {
    {"resnet20_cifar10", "cifar10/test_batch.bin", "cifar10"},
    {"resnet56_cifar10", "cifar10/test_batch.bin", "cifar10"},
    {"mlperf_tiny_resnet8_cifar10", "cifar10/test_batch.bin"},
    {"mobilenetv2_1.0_224_imagenet", "imagenet_500", "imagenet-tf"},
    {"squeezenet1.1_imagenet", "imagenet_500", "imagenet"},
    {"squeezenet_fp16_winml", "imagenet_500",
     "{resize: 256, crop: 224, color: bgr, mean: [104, 117, 123]}"},
    {"mlperf_tiny_kws_dscnn", "kws_dscnn.npz"},
    {"kwt1_speech_commands_op13", "kwt_speech_commands.npz"},
    {"kwt1_speech_commands_op17", "kwt_speech_commands.npz"},
    {"magika_standard_v3_3", "magika_basic.npz"},
    {"ultraface_rfb320", "imagenet_500", "{resize: [240, 320], mean: 127, std: 128}"},
    {"mlperf_tiny_ad_autoencoder", nullptr, "none", -80, 0},
};

Feeding feeding_of(const std::string& model) {
  for (const Feeding& feeding : kFeedings) {
    if (model == feeding.model) return feeding;
  }
  return {model.c_str()};
}

/// Inputs that are no data: what the model's state or settings are.
std::optional<Tensor> setting(const RunnerValue& input, int64_t batch) {
  if (input.name == "sr") return Tensor::scalar(int64_t{16000});
  if (input.name == "state") return Tensor(DType::float32, {2, batch, 128});
  return std::nullopt;
}

Shape seeded_shape(const RunnerValue& input, int64_t batch) {
  Shape shape = input.dims;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] < 0) shape[d] = d == 0 ? batch : 576;  // silero_vad: samples of a frame
  }
  return shape;
}

Tensor seeded(const Shape& shape, const Feeding& feeding) {
  Tensor tensor(DType::float32, shape);
  Rng rng(17);
  for (float& value : tensor.data<float>()) {
    const double share = static_cast<double>(rng.below(1 << 20)) / (1 << 20);
    value = static_cast<float>(feeding.low + share * (feeding.high - feeding.low));
  }
  return tensor;
}

TensorMap feeds_for(const Runner& runner, const Feeding& feeding, int64_t batch) {
  TensorMap feeds;
  std::optional<Batch> loaded;
  if (feeding.data != nullptr) {
    const auto data = open_dataset({.path = fs::path(QTOOL_ASSETS) / "data" / feeding.data,
                                    .preprocessing = Preprocessing::parse(feeding.steps)});
    std::vector<size_t> indices;
    for (size_t i = 0; i < static_cast<size_t>(batch); ++i) indices.push_back(i);
    loaded = make_batch(*data, indices);
  }
  for (const RunnerValue& input : runner.inputs()) {
    if (auto fixed = setting(input, batch)) {
      feeds.emplace(input.name, std::move(*fixed));
    } else if (loaded) {
      feeds.emplace(input.name, cast(loaded->inputs.begin()->second, input.dtype));
    } else {
      feeds.emplace(input.name, cast(seeded(seeded_shape(input, batch), feeding), input.dtype));
    }
  }
  return feeds;
}

/// The largest difference as a share of the largest magnitude.
double off(const Tensor& ours, const Tensor& theirs) {
  REQUIRE(ours.dtype() == theirs.dtype());
  REQUIRE(ours.shape() == theirs.shape());
  const std::vector<double> a = to_doubles(ours);
  const std::vector<double> b = to_doubles(theirs);
  double most = 0;
  double magnitude = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    REQUIRE(std::isfinite(a[i]));
    most = std::max(most, std::abs(a[i] - b[i]));
    magnitude = std::max(magnitude, std::abs(b[i]));
  }
  return magnitude > 0 ? most / magnitude : most;
}

bool takes_any_batch(const Runner& runner) {
  for (const RunnerValue& input : runner.inputs()) {
    if (!input.dims.empty() && input.name != "state" && input.dims[0] >= 0) return false;
  }
  return true;
}

/// The samples of a batch, one by one.
TensorMap sample_of(const TensorMap& feeds, int64_t batch, int64_t i) {
  TensorMap one;
  for (const auto& [name, tensor] : feeds) {
    Shape shape = tensor.shape();
    shape[0] = 1;
    Tensor part(tensor.dtype(), shape);
    const size_t bytes = tensor.bytes() / static_cast<size_t>(batch);
    std::memcpy(part.raw(), tensor.raw() + static_cast<size_t>(i) * bytes, bytes);
    one.emplace(name, std::move(part));
  }
  return one;
}

/// A model that was exported for one sample gives for three what it gives for each, or says why
/// not.
void check_widened(const std::string& name, const Graph& graph, Runner& single,
                   const Feeding& feeding) {
  constexpr int64_t kBatch = 3;
  std::shared_ptr<Graph> wide;
  try {
    wide = std::make_shared<Graph>(with_batch(graph, builtin_ops(), kBatch));
  } catch (const Error& error) {
    CHECK_THAT(error.what(), Catch::Contains("exported for batches of 1"));
    std::printf("%s, batch %d: %s\n", name.c_str(), static_cast<int>(kBatch), error.what());
    return;
  }
  const auto together = open_session(wide, builtin_ops());
  const TensorMap feeds = feeds_for(*together, feeding, kBatch);
  const TensorMap all = together->run(feeds);
  double most = 0;
  for (int64_t i = 0; i < kBatch; ++i) {
    const TensorMap alone = single.run(sample_of(feeds, kBatch, i));
    for (const auto& [output, tensor] : sample_of(all, kBatch, i))
      most = std::max(most, off(tensor, alone.at(output)));
  }
  CHECK(most <= kMostOffHalf);
  std::printf("%s, exported for 1, batch %d: %.1e apart\n", name.c_str(), static_cast<int>(kBatch),
              most);
}

void check_model(const fs::path& file, const fs::path& library) {
  const std::string name = file.stem();
  INFO(name);
  auto graph = std::make_shared<Graph>(load_model(file));
  run_pipeline(*graph, preparation_pipeline(), {builtin_ops()});
  const auto ours = open_session(graph, builtin_ops());
  const auto theirs = open_onnxruntime({.library = library, .model = file});
  const Feeding feeding = feeding_of(name);
  std::vector<int64_t> batches{1};
  if (takes_any_batch(*ours)) batches.push_back(5);
  for (const int64_t batch : batches) {
    const TensorMap feeds = feeds_for(*ours, feeding, batch);
    const TensorMap got = ours->run(feeds);
    const TensorMap wanted = theirs->run(feeds);
    REQUIRE(got.size() == wanted.size());
    double most = 0;
    bool half = false;
    for (const auto& [output, tensor] : got) {
      INFO(output << " at batch " << batch);
      half = half || tensor.dtype() == DType::float16;
      const double here = off(tensor, wanted.at(output));
      CHECK(here <= (half ? kMostOffHalf : kMostOff));
      most = std::max(most, here);
    }
    std::printf("%s, batch %d: %.1e of the largest output apart\n", name.c_str(),
                static_cast<int>(batch), most);
  }
  if (batches.size() == 1) check_widened(name, *graph, *theirs, feeding);
}

}  // namespace

namespace {

/// Top-1 and top-5 in per cent, as the assets' manifest states them.
struct Accurate {
  const char* model;
  size_t samples;
  double top1;
  double top5;
};

constexpr Accurate kAccurate[] = {
    {"resnet20_cifar10", 10000, 91.73, 99.66},
    {"resnet56_cifar10", 10000, 93.39, 99.77},
    {"mlperf_tiny_resnet8_cifar10", 10000, 87.19, 99.38},
    {"mobilenetv2_1.0_224_imagenet", 500, 79.40, 94.00},
    {"squeezenet1.1_imagenet", 500, 60.00, 85.00},
    {"squeezenet_fp16_winml", 500, 47.60, 75.60},
    {"mlperf_tiny_kws_dscnn", 600, 91.50, 99.17},
    {"kwt1_speech_commands_op13", 600, 92.00, 94.83},
    {"kwt1_speech_commands_op17", 600, 92.00, 94.83},
    {"magika_standard_v3_3", 76, 100, 100},
};

Accuracy accuracy_of(const Accurate& stated) {
  const Feeding feeding = feeding_of(stated.model);
  auto graph = std::make_shared<Graph>(
      load_model(fs::path(QTOOL_ASSETS) / "models" / (std::string(stated.model) + ".onnx")));
  run_pipeline(*graph, preparation_pipeline(), {builtin_ops()});
  const auto runner = open_session(graph, builtin_ops());
  const RunnerValue input = runner->inputs()[0];
  const auto data = open_dataset({.path = fs::path(QTOOL_ASSETS) / "data" / feeding.data,
                                  .preprocessing = Preprocessing::parse(feeding.steps)});
  const size_t batch_size = input.dims[0] == 1 ? 1 : 25;
  Loader loader(*data, in_order(data->size()), {.batch_size = batch_size});
  ClassificationMetrics metrics;
  while (auto batch = loader.next()) {
    TensorMap feeds;
    feeds.emplace(input.name, cast(batch->inputs.begin()->second, input.dtype));
    metrics.add(runner->run(feeds).begin()->second, batch->labels, batch->ids);
  }
  CHECK(metrics.samples() == stated.samples);
  return metrics.accuracy();
}

}  // namespace

TEST_CASE("real float models are as accurate as their manifest states", "[assets]") {
  QTOOL_NEED_ASSETS();
  for (const Accurate& stated : kAccurate) {
    INFO(stated.model);
    if (std::string_view(stated.model) == "resnet56_cifar10" &&
        std::getenv("QTOOL_TEST_EFFORT") == nullptr) {
      std::printf("SKIPPED: the accuracy of resnet56_cifar10, a minute; set QTOOL_TEST_EFFORT=1\n");
      continue;
    }
    const Accuracy measured = accuracy_of(stated);
    CHECK(100 * measured.top1.value() == Approx(stated.top1).margin(0.1));
    CHECK(100 * measured.top5.value() == Approx(stated.top5).margin(0.1));
    std::printf("%s: top-1 %.2f, top-5 %.2f\n", stated.model, 100 * measured.top1.value(),
                100 * measured.top5.value());
  }
}

TEST_CASE("real float models give what ONNX Runtime gives", "[assets]") {
  QTOOL_NEED_ASSETS();
  const auto library = find_onnxruntime({}, QTOOL_SOURCE_DIR);
  if (!library) QTOOL_SKIP("no ONNX Runtime to compare with: run scripts/setup to install it");
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(fs::path(QTOOL_ASSETS) / "models")) {
    if (entry.path().extension() == ".onnx") files.push_back(entry.path());
  }
  std::ranges::sort(files);
  CHECK(files.size() >= std::size(kFeedings));
  for (const fs::path& file : files) check_model(file, *library);
}
