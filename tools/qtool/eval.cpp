// SPDX-License-Identifier: Apache-2.0
#include <cstdio>

#include "command.h"
#include "evaluate.h"
#include "support/text.h"

namespace qtool {

namespace {

struct EvalOptions {
  std::string model;
  DataOptions data;
  RunnerOptions runner;
};

constexpr size_t kBatch = 32;

int eval(const EvalOptions& options, const Globals& globals) {
  Log log(globals.log_level());
  const LoadedModel model = open_model(options.model);
  const auto data = options.data.open();
  if (!data.dataset->labelled()) {
    throw input_error(options.data.data + " has no labels",
                      "Accuracy needs them; qtool report compares outputs without labels.");
  }
  const auto runner = options.runner.open(model, globals, log);
  const size_t batch = batch_size(runner->inputs(), options.data.batch, kBatch);
  ClassificationMetrics metrics;
  {
    Progress progress("eval", "samples", data.order.size(), globals.progress());
    within_frame([&] { return options.model; },
                 [&] {
                   for_each_batch(
                       *runner, data, batch, progress, [&](const Batch& done, TensorMap& outputs) {
                         const Tensor* scores = class_scores(outputs, *runner);
                         if (scores == nullptr) {
                           throw unsupported_error(
                               "the model has no output of class scores [N,C]",
                               "qtool report compares the outputs of any model with a float one.");
                         }
                         metrics.add(*scores, done.labels, done.ids);
                       });
                 });
  }
  EvalRecord record;
  record.samples = metrics.samples();
  record.metrics = metrics.accuracy();
  record.model = model.file;
  record.data = data.provenance;
  record.preprocess = data.preprocessing.to_json();
  if (globals.json) {
    std::fputs(to_text(to_json(record)).c_str(), stdout);
    return 0;
  }
  const auto percent = [](const std::optional<double>& share) {
    return share ? fmt::format("{:.2f} %", 100 * *share) : std::string("-");
  };
  fmt::print("{}: top-1 {}, top-5 {} on {} samples of {} ({})\n", model.file.file,
             percent(record.metrics.top1), percent(record.metrics.top5), record.samples,
             options.data.data, runner->description());
  if (record.metrics.nan_samples > 0) {
    log.warn(fmt::format("{} samples have NaN scores", record.metrics.nan_samples));
  }
  return 0;
}

}  // namespace

std::function<int()> declare_eval(CLI::App& app, const Globals& globals) {
  auto options = std::make_shared<EvalOptions>();
  app.add_option("MODEL", options->model, "an ONNX classifier, float or quantized")->required();
  options->data.declare(app, true, "labelled samples: image folder, labels.csv, CIFAR .bin, .npz");
  options->runner.declare(app);
  app.footer("Example: qtool eval model.onnx --data test_batch.bin --preprocess cifar10");
  return [options, &globals] { return eval(*options, globals); };
}

}  // namespace qtool
