// SPDX-License-Identifier: Apache-2.0
#include "report/compare.h"

#include <cstdio>

#include "evaluate.h"
#include "exec/session_runner.h"
#include "report/diagnosis.h"
#include "report/escape.h"
#include "report/sections.h"
#include "report/table.h"
#include "support/text.h"

namespace qtool {

namespace {

struct CompareFlags {
  std::string reference;
  std::string candidate;
  DataOptions data;
  size_t show = 20;
};

/// The tensors of one batch are held: a small one does.
constexpr size_t kBatch = 1;

}  // namespace

std::vector<LayerError> compare_tensors(const LoadedModel& reference, const LoadedModel& candidate,
                                        const DataOptions::Opened& data,
                                        std::optional<size_t> batch, Progress& progress, Log& log) {
  const auto graph = prepared(reference, log);
  const std::vector<RunnerValue> inputs = declared_inputs(*graph);
  Loader loader(*data.dataset, data.order, {.batch_size = batch_size(inputs, batch, kBatch)});
  return within_frame([&] { return candidate.path.string(); },
                      [&] {
                        TensorComparison comparison(graph, prepared(candidate, log), builtin_ops());
                        while (auto next = loader.next()) {
                          comparison.add(feeds(*next, inputs));
                          progress.advance(next->size);
                        }
                        return comparison.result();
                      });
}

namespace {

/// Tensors that show the same in one line.
std::string findings_text(std::span<const Finding> findings) {
  std::vector<std::pair<Finding, std::vector<std::string>>> groups;
  for (const Finding& finding : findings) {
    const auto same = std::ranges::find_if(groups, [&](const auto& group) {
      return group.first.cause == finding.cause && group.first.advice == finding.advice;
    });
    auto& group =
        same == groups.end() ? groups.emplace_back(finding, std::vector<std::string>{}) : *same;
    group.second.push_back(finding.tensor);
  }
  std::string text = groups.empty() ? "" : "\nWhat the worst layers show\n";
  for (const auto& [finding, tensors] : groups)
    text += fmt::format("  {}: {}\n    {}\n", join(tensors, ", "), finding.cause, finding.advice);
  return text;
}

int compare(const CompareFlags& flags, const Globals& globals) {
  Log log(globals.log_level());
  const LoadedModel reference = open_model(flags.reference);
  const LoadedModel candidate = open_model(flags.candidate);
  const auto data = flags.data.open(declared_inputs(reference.graph), &log);
  std::vector<LayerError> layers;
  {
    Progress progress("compare", "samples", data.order.size(), globals.progress());
    layers = compare_tensors(reference, candidate, data, flags.data.batch, progress, log);
  }
  const std::vector<Finding> findings = diagnose(layers, *prepared(candidate, log), builtin_ops());
  if (globals.json) {
    const CompareRecord record{
        reference.file, candidate.file,    data.order.size(),           layers,
        findings,       data.provenance(), data.preprocessing.to_json()};
    std::fputs(to_text(to_json(record)).c_str(), stdout);
    return 0;
  }
  Section section = layers_section(candidate.file.file, layers, flags.show);
  section.title = candidate.file.file + " against " + reference.file.file + ", tensor by tensor";
  section.notes.push_back(
      is_random(data.provenance())
          ? std::string(kRandomWarning) + '.'
          : fmt::format("Over {} samples of {}.", data.order.size(), flags.data.data));
  section.notes.push_back(
      "SQNR: with the errors of all layers before. Own SQNR: of the layer fed with the float "
      "model's tensors. Saturated: beyond what the codes can represent.");
  std::fputs(terminal_text(section).c_str(), stdout);
  std::fputs(findings_text(findings).c_str(), stdout);
  return 0;
}

}  // namespace

std::function<int()> declare_compare(CLI::App& app, const Globals& globals) {
  auto flags = std::make_shared<CompareFlags>();
  flags->data.usual_samples = 32;
  app.add_option("FLOAT", flags->reference, "the float model")->required();
  app.add_option("MODEL", flags->candidate, "a quantized copy of it")->required();
  flags->data.declare(app, true, "samples to run through both; labels are not needed");
  app.add_option("--show", flags->show, "tensors in the table; --json has all")
      ->capture_default_str();
  app.footer(
      "Example: qtool compare model.onnx model.int8.onnx --data test/ --preprocess imagenet");
  return [flags, &globals] { return compare(*flags, globals); };
}

}  // namespace qtool
