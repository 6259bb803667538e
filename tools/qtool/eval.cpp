// SPDX-License-Identifier: Apache-2.0
#include <cstdio>

#include "command.h"
#include "evaluate.h"
#include "reference.h"
#include "report/number_text.h"
#include "support/text.h"

namespace qtool {

namespace {

struct EvalOptions {
  std::string model;
  std::string reference;
  DataOptions data;
  RunnerOptions runner;
};

constexpr size_t kBatch = 32;

/// What is collected batch by batch.
struct Measures {
  ClassificationMetrics accuracy;
  std::map<std::string, FidelityMetrics> fidelity;  ///< by output
};

void compare(const TensorMap& expected, const TensorMap& outputs, Measures& measures) {
  bool any = false;
  for (const auto& [name, reference] : expected) {
    const auto found = outputs.find(name);
    if (found == outputs.end()) continue;
    any = true;
    within_frame(
        [&, &key = name] { return "output \"" + key + '"'; },
        [&, &wanted = reference] { measures.fidelity[found->first].add(wanted, found->second); });
  }
  if (any) return;
  std::vector<std::string> names;
  for (const auto& [name, tensor] : expected) names.push_back('"' + name + '"');
  throw input_error("the reference has the outputs " + join(names, ", ") +
                    ", the model none of them");
}

void measure(Runner& runner, Reference* reference, const DataOptions::Opened& data,
             const EvalOptions& options, Progress& progress, Measures& measures) {
  const size_t batch = batch_size(runner.inputs(), options.data.batch, kBatch);
  Loader loader(*data.dataset, data.order, {.batch_size = batch});
  while (auto next = loader.next()) {
    const TensorMap inputs = feeds(*next, runner.inputs());
    const TensorMap outputs = runner.run(inputs);
    if (reference != nullptr) {
      const auto samples = std::span(data.order).subspan(next->first, next->size);
      compare(reference->outputs(*next, samples, inputs), outputs, measures);
    }
    const Tensor* scores = data.dataset->labelled() ? class_scores(outputs, runner) : nullptr;
    if (scores != nullptr) {
      measures.accuracy.add(*scores, next->labels, next->ids);
    } else if (reference == nullptr) {
      throw unsupported_error("the model has no output of class scores [N,C]",
                              "Compare its outputs with those of another model: --reference.");
    }
    progress.advance(next->size);
  }
}

void print(const EvalRecord& record, const EvalOptions& options, const Runner& runner,
           bool random) {
  if (record.metrics.top1) {
    fmt::print("{}: top-1 {}, top-5 {} on {} samples of {} ({})\n", record.model.file,
               percent(record.metrics.top1), percent(record.metrics.top5), record.samples,
               options.data.data, runner.description());
  }
  if (record.outputs.empty()) return;
  if (random) fmt::print("{}\n", kRandomWarning);
  fmt::print("{} against {}, {} samples of {} ({})\n\n", record.model.file, record.reference,
             record.samples, options.data.data, runner.description());
  std::vector<std::vector<std::string>> rows{
      {"output", "SQNR, dB", "cosine", "MSE", "largest error", "same top-1"}};
  for (const auto& [name, found] : record.outputs) {
    rows.push_back({elided(name, 40),
                    found.exact     ? "exact"
                    : found.sqnr_db ? fmt::format("{:.2f}", *found.sqnr_db)
                                    : "-",
                    found.cosine ? fmt::format("{:.6f}", *found.cosine) : "-",
                    found.mse ? fmt::format("{:.4g}", *found.mse) : "-",
                    found.max_abs_error ? three_digits(*found.max_abs_error) : "-",
                    percent(found.agreement)});
  }
  std::fputs(text_table(rows).c_str(), stdout);
}

int eval(const EvalOptions& options, const Globals& globals) {
  Log log(globals.log_level());
  const LoadedModel model = open_model(options.model);
  const auto runner = options.runner.open(model, globals, log, options.data.batch);
  const auto data = options.data.open(runner->inputs(), &log);
  // Without labels only what a data set brings along can be compared with.
  const bool labelled = data.dataset->labelled();
  if (!labelled && !data.dataset->batched() && options.reference.empty()) {
    throw input_error(options.data.data + " has no labels",
                      "Accuracy needs them; --reference compares with another model's outputs.");
  }
  std::unique_ptr<Reference> reference;
  if (!labelled || !options.reference.empty())
    reference = open_reference(options.reference, *data.dataset, runner->outputs(), log);
  Measures measures;
  {
    Progress progress("eval", "samples", data.order.size(), globals.progress());
    within_frame([&] { return options.model; },
                 [&] { measure(*runner, reference.get(), data, options, progress, measures); });
  }
  EvalRecord record;
  record.samples = data.order.size();
  record.metrics = measures.accuracy.accuracy();
  record.model = model.file;
  record.data = data.provenance();
  record.preprocess = data.preprocessing.to_json();
  if (reference) record.reference = reference->name();
  for (const auto& [name, metrics] : measures.fidelity)
    record.outputs.push_back({name, metrics.result()});
  if (globals.json) {
    std::fputs(to_text(to_json(record)).c_str(), stdout);
    return 0;
  }
  print(record, options, *runner, is_random(data.provenance()));
  if (record.metrics.nan_samples > 0) {
    log.warn(fmt::format("{} samples have NaN scores", record.metrics.nan_samples));
  }
  return 0;
}

}  // namespace

std::function<int()> declare_eval(CLI::App& app, const Globals& globals) {
  auto options = std::make_shared<EvalOptions>();
  app.add_option("MODEL", options->model, "an ONNX model, float or quantized")->required();
  options->data.declare(app, true,
                        "samples: an image folder, labels.csv, .npz, .csv, IDX, CIFAR .bin, "
                        "ONNX's test data; see the README");
  app.add_option("--reference", options->reference,
                 "compare the outputs with those of this model (.onnx) or with these outputs "
                 "(.npz by name, .npy): SQNR, cosine, MSE, largest error, same top-1")
      ->type_name("FILE");
  options->runner.declare(app);
  app.footer(
      "Example: qtool eval model.onnx --data test_batch.bin --preprocess cifar10\n"
      "         qtool eval model.int8.onnx --reference model.onnx --data photos/");
  return [options, &globals] { return eval(*options, globals); };
}

}  // namespace qtool
