// SPDX-License-Identifier: Apache-2.0
#include <cstdio>

#include "evaluate.h"
#include "kept_float.h"
#include "kernels/onednn/primitives.h"
#include "machine.h"
#include "measure.h"
#include "report/gates.h"
#include "report/html.h"
#include "report/model_facts.h"
#include "report/table.h"
#include "support/file.h"
#include "support/text.h"
#include "version.h"

namespace qtool {

namespace {

struct ReportFlags {
  std::string reference;
  std::vector<std::string> candidates;
  DataOptions data;
  RunnerOptions runner;
  std::vector<std::string> gates;
  std::string gate_file;
  std::string json_file;
  std::string markdown_file;
  std::string html_file;
  std::vector<std::string> training_logs;
  std::string junit_file;
  size_t bench_batch = 1;
  size_t runs = 50;
  size_t layer_samples = 16;
  bool no_bench = false;
};

constexpr size_t kBatch = 32;

/// One of the models side by side while it is measured.
struct Subject {
  LoadedModel model;
  std::unique_ptr<Runner> runner;
  ClassificationMetrics accuracy;
  std::map<std::string, FidelityMetrics> fidelity;  ///< by output, against the float model
};

ReportedModel describe(const Subject& subject) {
  ReportedModel result;
  const ModelFacts facts = model_facts(subject.model.graph);
  result.file = subject.model.file.file;
  result.sha256 = subject.model.file.sha256;
  result.file_bytes = subject.model.file.bytes;
  result.parameters = facts.parameters;
  result.weight_bytes = facts.weight_bytes;
  return result;
}

/// Every batch goes through all models, so that no outputs have to be kept.
void measure_outputs(std::vector<Subject>& subjects, const ReportFlags& flags,
                     const Globals& globals, ReportRecord& record, Log& log) {
  const auto data = flags.data.open(subjects[0].runner->inputs(), &log);
  const size_t batch = batch_size(subjects[0].runner->inputs(), flags.data.batch, kBatch);
  const bool labelled = data.dataset->labelled();
  bool classes = true;
  Progress progress("report", "samples", data.order.size(), globals.progress());
  Loader loader(*data.dataset, data.order, {.batch_size = batch});
  while (auto next = loader.next()) {
    const TensorMap inputs = feeds(*next, subjects[0].runner->inputs());
    const TensorMap expected = subjects[0].runner->run(inputs);
    for (size_t i = 0; i < subjects.size(); ++i) {
      Subject& subject = subjects[i];
      within_frame(
          [&] { return subject.model.path.string(); },
          [&] {
            TensorMap own;
            if (i > 0) own = subject.runner->run(inputs);
            const TensorMap& outputs = i > 0 ? own : expected;
            const Tensor* scores = class_scores(outputs, *subject.runner);
            classes = classes && scores != nullptr;
            if (labelled && classes) subject.accuracy.add(*scores, next->labels, next->ids);
            if (i == 0) return;
            for (const auto& [name, reference] : expected) {
              const auto found = own.find(name);
              if (found == own.end())
                throw input_error("it has no output \"" + name + "\" as the float model has");
              subject.fidelity[name].add(reference, found->second);
            }
          });
    }
    progress.advance(next->size);
  }
  record.samples = data.order.size();
  record.data = data.provenance();
  if (!labelled || !classes) return;
  record.reference.metrics = subjects[0].accuracy.accuracy();
  for (size_t i = 1; i < subjects.size(); ++i) {
    record.candidates[i - 1].model.metrics = subjects[i].accuracy.accuracy();
    record.candidates[i - 1].delta.outcome =
        compare_outcomes(subjects[0].accuracy, subjects[i].accuracy);
  }
}

void add_fidelity(const std::vector<Subject>& subjects, ReportRecord& record) {
  for (size_t i = 1; i < subjects.size(); ++i) {
    for (const auto& [name, metrics] : subjects[i].fidelity) {
      record.candidates[i - 1].outputs.push_back({name, metrics.result()});
    }
  }
}

/// Which layers lose most, on some of the samples.
void measure_layers(const std::vector<Subject>& subjects, const ReportFlags& flags,
                    const Globals& globals, ReportRecord& record, Log& log) {
  if (flags.layer_samples == 0) return;
  auto data = flags.data.open(subjects[0].runner->inputs());
  if (data.order.size() > flags.layer_samples) data.order.resize(flags.layer_samples);
  for (size_t i = 1; i < subjects.size(); ++i) {
    Progress progress("compare", "samples", data.order.size(), globals.progress());
    try {
      record.candidates[i - 1].layers =
          compare_tensors(subjects[0].model, subjects[i].model, data, std::nullopt, progress, log);
    } catch (const Error& error) {
      log.warn("no comparison of layers: " + error.message());
    }
  }
}

void measure_speed(std::vector<Subject>& subjects, const ReportFlags& flags, ReportRecord& record) {
  const size_t batch = batch_size(subjects[0].runner->inputs(), std::nullopt, flags.bench_batch);
  const TensorMap inputs = timing_feeds(subjects[0].runner->inputs(), batch);
  std::vector<std::function<void()>> jobs;
  for (Subject& subject : subjects) jobs.emplace_back([&] { subject.runner->run(inputs); });
  const auto times = time_interleaved(jobs, {5, flags.runs, 0.5});
  record.bench = BenchConditions{threads_used(), static_cast<int64_t>(batch), flags.runner.runner,
                                 times[0].size()};
  for (size_t i = 0; i < subjects.size(); ++i) {
    ReportedModel& model = i == 0 ? record.reference : record.candidates[i - 1].model;
    model.latency_ms = summarize_latency(times[i]);
    model.throughput = throughput(batch, times[i]);
    if (flags.runner.runner == "onednn") {
      model.peak_rss_bytes = peak_rss_alone(subjects[i].model.path, batch, threads_used());
    }
  }
}

std::vector<Gate> gates_of(const ReportFlags& flags) {
  std::vector<Gate> gates;
  if (!flags.gate_file.empty()) gates = read_gates(flags.gate_file);
  for (const std::string& text : flags.gates) gates.push_back(parse_gate(text));
  return gates;
}

std::vector<std::pair<std::string, const std::string*>> outputs(const ReportFlags& flags) {
  return {{"--json-file", &flags.json_file},
          {"--markdown", &flags.markdown_file},
          {"--html", &flags.html_file},
          {"--junit", &flags.junit_file}};
}

/// Of what computed the numbers of this report.
std::map<std::string, std::string> versions(const std::vector<Subject>& subjects,
                                            const ReportFlags& flags) {
  std::map<std::string, std::string> result{{"qtool", program_version()}};
  if (flags.runner.runner == "onnxruntime") {
    // "ONNX Runtime 1.30.0, all optimizations, 2 threads"
    const std::string text = subjects[0].runner->description();
    const std::string name = "ONNX Runtime";
    result[name] = text.substr(std::min(name.size() + 1, text.size()));
  } else {
    result["oneDNN"] = onednn::version() + " " + onednn::instruction_set();
  }
  return result;
}

int report(const ReportFlags& flags, const Globals& globals) {
  const std::vector<Gate> gates = gates_of(flags);  // before any work: a typing error costs nothing
  if (!flags.training_logs.empty() && flags.html_file.empty())
    throw usage_error("--training needs --html", "Its curves are drawn there.");
  std::vector<Scatter> curves;
  for (const std::string& file : flags.training_logs) {
    within_frame([&] { return file; },
                 [&] {
                   const std::string name = std::filesystem::path(file).filename().string();
                   for (Scatter& curve : training_curves(read_file(file), name))
                     curves.push_back(std::move(curve));
                 });
  }
  Log log(globals.log_level());
  std::vector<std::string> paths{flags.reference};
  paths.insert(paths.end(), flags.candidates.begin(), flags.candidates.end());
  for (const auto& [flag, file] : outputs(flags)) {
    if (!file->empty()) check_output(flag, *file, {paths.begin(), paths.end()});
  }
  std::vector<Subject> subjects;
  for (const std::string& path : paths) {
    Subject subject;
    subject.model = open_model(path);
    subject.runner = flags.runner.open(subject.model, globals, log);
    subjects.push_back(std::move(subject));
  }
  ReportRecord record;
  record.reference = describe(subjects[0]);
  for (size_t i = 1; i < subjects.size(); ++i) {
    record.candidates.emplace_back();
    record.candidates.back().model = describe(subjects[i]);
    record.candidates.back().kept_float =
        kept_float(subjects[i].model, flags.runner, subjects[i].runner->inputs(), log);
  }
  if (flags.data.given()) {
    measure_outputs(subjects, flags, globals, record, log);
    add_fidelity(subjects, record);
    measure_layers(subjects, flags, globals, record, log);
  }
  if (!flags.no_bench) measure_speed(subjects, flags, record);
  fill_deltas(record);
  record.gates = evaluate(gates, record);
  record.provenance.versions = versions(subjects, flags);
  record.provenance.cpu = cpu_name();
  record.provenance.options = {{"preprocess", flags.data.preprocess},
                               {"runner", flags.runner.runner}};
  if (!flags.json_file.empty()) write_json(flags.json_file, to_json(record));
  if (!flags.markdown_file.empty()) write_file(flags.markdown_file, markdown_report(record));
  if (!flags.html_file.empty()) write_file(flags.html_file, html_report(record, curves));
  if (!flags.junit_file.empty()) write_file(flags.junit_file, junit_report(record));
  std::fputs((globals.json ? to_text(to_json(record)) : terminal_report(record)).c_str(), stdout);
  return all_passed(record.gates) ? 0 : 3;
}

}  // namespace

std::function<int()> declare_report(CLI::App& app, const Globals& globals) {
  auto flags = std::make_shared<ReportFlags>();
  app.add_option("FLOAT", flags->reference, "the float model")->required();
  app.add_option("MODEL", flags->candidates, "one or more quantized models")->required();
  flags->data.declare(app, false,
                      "samples to compare on; with labels: accuracy, without: outputs only");
  flags->runner.declare(app);
  std::string names =
      "a condition every candidate must meet, else exit code 3; repeatable. NAME OP NUMBER, such "
      "as 'top1_drop<=1.0'. Names:";
  for (const GateName& gate : gate_names())
    names += "\n  " + std::string(gate.name) + ": " + std::string(gate.meaning);
  app.add_option("--gate", flags->gates, names)->type_name("CONDITION");
  app.add_option("--gates", flags->gate_file, "a file with one gate a line")->type_name("FILE");
  app.add_option("--json-file", flags->json_file, "also write the report as JSON")
      ->type_name("FILE");
  app.add_option("--markdown", flags->markdown_file,
                 "also write it as Markdown, for a pull request")
      ->type_name("FILE");
  app.add_option("--html", flags->html_file, "also write it as one HTML page with charts")
      ->type_name("FILE");
  app.add_option("--training", flags->training_logs,
                 "with --html: also the curves of a log that qat --log wrote; repeatable")
      ->type_name("FILE");
  app.add_option("--junit", flags->junit_file, "also write the gates as JUnit's XML, for CI")
      ->type_name("FILE");
  app.add_option("--bench-batch", flags->bench_batch, "batch size of the latency measurement")
      ->capture_default_str();
  app.add_option("--runs", flags->runs, "measured runs at least")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_option("--layer-samples", flags->layer_samples,
                 "samples on which layers are compared; 0: none")
      ->capture_default_str();
  app.add_flag("--no-bench", flags->no_bench, "leave out latency and memory");
  app.footer(
      "Example: qtool report model.onnx model.int8.onnx --data test/ --preprocess imagenet --gate "
      "'top1_drop<=1'");
  return [flags, &globals] { return report(*flags, globals); };
}

}  // namespace qtool
