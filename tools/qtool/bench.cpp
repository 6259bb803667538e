// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>

#include "exec/session.h"
#include "measure.h"
#include "options.h"
#include "passes/batch.h"
#include "report/latency.h"
#include "report/number_text.h"
#include "support/text.h"

namespace qtool {

namespace {

struct BenchOptions {
  std::string model;
  RunnerOptions runner;
  std::optional<size_t> batch;
  size_t runs = 50;
  size_t warmup = 5;
  double seconds = 0.5;
  std::vector<std::string> shapes;
  bool profile = false;
};

/// Slowest steps first.
std::string profile_table(std::span<const StepInfo> all, double runs) {
  std::vector<StepInfo> steps(all.begin(), all.end());
  std::ranges::stable_sort(steps, std::greater{}, &StepInfo::total_ms);
  double total = 0;
  for (const StepInfo& step : steps) total += step.total_ms;
  std::vector<std::vector<std::string>> rows{
      {"ms", "%", "GOP/s", "op", "node", "kernel", "types", "result", "layout", "why not better"}};
  for (const StepInfo& step : steps) {
    const double ms = step.total_ms / runs;
    const double speed = ms > 0 ? 2e-6 * static_cast<double>(step.macs) / ms : 0;
    rows.push_back({fmt::format("{:.4f}", ms),
                    fmt::format("{:.1f}", total > 0 ? 100 * step.total_ms / total : 0),
                    step.macs > 0 ? fmt::format("{:.0f}", speed) : "-", step.op,
                    elided(step.name, 48), step.kernel, step.types, step.shape,
                    std::string(name(step.layout)), step.fallback});
  }
  return text_table(rows);
}

void print_profile(const LoadedModel& model, size_t batch, const BenchOptions& options, Log& log) {
  Graph graph = *prepared(model, log);
  if (options.batch) graph = with_batch(graph, builtin_ops(), static_cast<int64_t>(batch));
  SessionOptions session_options;
  session_options.profile = true;
  std::vector<RunnerValue> inputs;
  const auto runner = options.runner.open(model, {}, log, options.batch);
  const TensorMap feeds = timing_feeds(runner->inputs(), batch, parse_input_shapes(options.shapes));
  for (const auto& [input, tensor] : feeds)
    session_options.input_shapes.emplace(input, tensor.shape());
  session_options.backend =
      options.runner.runner == "reference" ? Backend::reference : Backend::onednn;
  Session session(graph, builtin_ops(), session_options);
  for (size_t i = 0; i < options.warmup; ++i) session.run(feeds);
  std::vector<StepInfo> before(session.steps().begin(), session.steps().end());
  for (size_t i = 0; i < options.runs; ++i) session.run(feeds);
  std::vector<StepInfo> spent(session.steps().begin(), session.steps().end());
  for (size_t i = 0; i < spent.size(); ++i) spent[i].total_ms -= before[i].total_ms;
  fmt::print("{}\nactivations and scratch: {}, {} MACs\n",
             profile_table(spent, static_cast<double>(options.runs)),
             human_bytes(session.arena_bytes()), human_count(session.macs()));
}

int bench(const BenchOptions& options, const Globals& globals) {
  Log log(globals.log_level());
  const LoadedModel model = open_model(options.model);
  if (options.profile && options.runner.runner == "onnxruntime") {
    throw usage_error("--profile shows qtool's own steps", "Leave out --runner onnxruntime.");
  }
  BenchRecord record;
  record.model = model.file;
  within_frame(
      [&] { return options.model; },
      [&] {
        const auto runner = options.runner.open(model, globals, log, options.batch);
        const size_t batch = batch_size(runner->inputs(), options.batch, 1);
        const TensorMap feeds =
            timing_feeds(runner->inputs(), batch, parse_input_shapes(options.shapes));
        const std::vector<std::function<void()>> jobs{[&] { runner->run(feeds); }};
        const auto times = time_interleaved(jobs, {options.warmup, options.runs, options.seconds});
        record.conditions = {threads_used(), static_cast<int64_t>(batch), options.runner.runner,
                             times[0].size()};
        record.latency_ms = summarize_latency(times[0]);
        record.throughput = throughput(batch, times[0]);
        record.peak_rss_bytes = peak_rss_bytes();
        if (options.profile && !globals.json) print_profile(model, batch, options, log);
      });
  if (globals.json) {
    std::fputs(to_text(to_json(record)).c_str(), stdout);
    return 0;
  }
  fmt::print(
      "{}: median {:.3f} ms (p10 {:.3f}, p90 {:.3f}), {:.1f} samples/s, peak memory {}\n"
      "  batch {}, {} thread{}, {} runs on random input, runner {}\n",
      record.model.file, record.latency_ms.median, record.latency_ms.p10, record.latency_ms.p90,
      record.throughput.value_or(0),
      record.peak_rss_bytes ? human_bytes(*record.peak_rss_bytes) : "unknown",
      record.conditions.batch, record.conditions.threads, record.conditions.threads == 1 ? "" : "s",
      record.conditions.runs, record.conditions.runner);
  return 0;
}

}  // namespace

std::function<int()> declare_bench(CLI::App& app, const Globals& globals) {
  auto options = std::make_shared<BenchOptions>();
  app.add_option("MODEL", options->model, "an ONNX model, float or quantized")->required();
  options->runner.declare(app);
  app.add_option("--batch", options->batch, "samples computed at once; default 1");
  app.add_option("--runs", options->runs, "measured runs at least")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_option("--warmup", options->warmup, "runs before")->capture_default_str();
  app.add_option("--seconds", options->seconds, "measure at least so long")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  declare_input_shapes(app, options->shapes);
  app.add_flag("--profile", options->profile, "time per step: kernel, layout, why nothing faster");
  app.footer("Example: qtool bench model.onnx --threads 1 --profile");
  return [options, &globals] { return bench(*options, globals); };
}

}  // namespace qtool
