// SPDX-License-Identifier: Apache-2.0
#include <cstdio>

#include "report/number_text.h"
#include "report/table.h"
#include "support/file.h"
#include "support/text.h"
#include "tuner.h"

namespace qtool {

namespace {

constexpr size_t kValidation = 1000;

std::string table_text(const Tuner& tuner) {
  std::vector<std::vector<std::string>> rows{{"tried", "top-1", "points", "SQNR, dB", "seconds"}};
  for (const Tried& tried : tuner.tried()) {
    rows.push_back({tried.trial.name, percent(tried.score.top1),
                    tried.score.top1 ? fmt::format("{:+.2f}", -tried.score.drop) : "-",
                    !tried.problem.empty() ? "no model"
                    : tried.score.sqnr_db  ? fmt::format("{:.1f}", *tried.score.sqnr_db)
                                           : "exact",
                    fmt::format("{:.1f}", tried.seconds)});
  }
  return text_table(rows);
}

Json json_of(const Tuner& tuner, const TuneFlags& flags, uint64_t bytes) {
  Json list = Json::array();
  for (const Tried& tried : tuner.tried()) {
    Json entry{
        {"name", tried.trial.name}, {"recipe", tried.trial.yaml}, {"seconds", tried.seconds}};
    if (tried.score.top1) entry["top1"] = *tried.score.top1;
    if (tried.score.top1) entry["drop_points"] = tried.score.drop;
    if (tried.score.sqnr_db) entry["sqnr_db"] = *tried.score.sqnr_db;
    if (tried.score.latency_ratio) entry["latency_ratio"] = *tried.score.latency_ratio;
    if (!tried.problem.empty()) entry["problem"] = tried.problem;
    list.push_back(std::move(entry));
  }
  Json result{{"schema", "qtool.tune/1"},
              {"tried", std::move(list)},
              {"chosen", tuner.best()->trial.name},
              {"reached", tuner.reached()},
              {"out_of_time", tuner.out_of_time()},
              {"random_data", is_random(tuner.validation().provenance())},
              {"recipe", flags.recipe_output},
              {"output", flags.output},
              {"bytes", bytes},
              {"float_bytes", tuner.model().file.bytes}};
  if (tuner.widths()) result["mixed"] = tuner.mixed()->json(*tuner.widths());
  return result;
}

std::string verdict(const Tuner& tuner, const TuneFlags& flags) {
  const Score& score = tuner.best()->score;
  const std::string goal = tuner.labelled()
                               ? fmt::format("a drop of at most {} points", flags.max_drop)
                               : fmt::format("an SQNR of at least {} dB", flags.min_sqnr);
  const std::string have = tuner.labelled() ? fmt::format("{:+.2f} points", -score.drop)
                           : score.sqnr_db  ? fmt::format("{:.1f} dB", *score.sqnr_db)
                                            : "exact";
  if (tuner.reached()) {
    return fmt::format("chosen: {}, the first with {} ({})", tuner.best()->trial.name, goal, have);
  }
  return fmt::format("chosen: {}, the best of them ({}); {} was not reached{}",
                     tuner.best()->trial.name, have, goal,
                     tuner.out_of_time() ? " within the time" : "");
}

void complete(TuneFlags& flags) {
  flags.mixed.check();
  check_output("-o", flags.output, {flags.model});
  if (flags.recipe_output.empty()) flags.recipe_output = flags.output + ".recipe.yaml";
  check_output("--recipe-out", flags.recipe_output, {flags.model, flags.output});
  if (!flags.mixed.page.empty())
    check_output("--html", flags.mixed.page, {flags.model, flags.output, flags.recipe_output});
  if (!flags.mixed.file.empty())
    check_output("--sensitivity", flags.mixed.file, {flags.model, flags.output});
  DataOptions& validation = flags.validation;
  validation.preprocess = flags.data.preprocess;
  validation.labels = flags.data.labels;
  validation.usual_samples = kValidation;
  if (!validation.given()) {
    validation.data = flags.data.data;
    validation.split = flags.data.split;
    validation.shapes = flags.data.shapes;
    validation.dtype = flags.data.dtype;
  }
}

int tune(TuneFlags flags, const Globals& globals) {
  complete(flags);
  Log log(globals.log_level());
  if (flags.validation.data == flags.data.data && flags.validation.split == flags.data.split) {
    log.warn("the samples that decide are those that it is calibrated with: --val names others");
  }
  Tuner tuner(flags, globals, log);
  tuner.run();
  if (!tuner.best()) {
    throw unsupported_error(flags.model + ": no trial gave a model" +
                            (tuner.tried().empty() ? ": the time was over before the first"
                                                   : ": " + tuner.tried().back().problem));
  }
  const uint64_t bytes = save_model(tuner.best()->model.graph, flags.output, save_options(false));
  write_file(flags.recipe_output, fmt::format("# Found by qtool tune for {}.\n{}",
                                              tuner.model().file.file, tuner.best()->trial.yaml));
  const WidthAssignment* widths = tuner.widths() ? &*tuner.widths() : nullptr;
  if (!flags.mixed.page.empty())
    write_file(flags.mixed.page, tuner.mixed()->front_page(widths, tuner.model().file.file));
  if (globals.json) {
    std::fputs(to_text(json_of(tuner, flags, bytes)).c_str(), stdout);
  } else {
    if (tuner.mixed()) fmt::print("{}\n", text_table(tuner.mixed()->front_rows(widths)));
    fmt::print("{}\n{}\n{} and {}: {} -> {}\n", table_text(tuner), verdict(tuner, flags),
               flags.output, flags.recipe_output, human_bytes(tuner.model().file.bytes),
               human_bytes(bytes));
  }
  return tuner.reached() ? 0 : 3;
}

}  // namespace

std::function<int()> declare_tune(CLI::App& app, const Globals& globals) {
  auto flags = std::make_shared<TuneFlags>();
  app.add_option("MODEL", flags->model, "the float ONNX model")->required();
  app.add_option("-o,--output", flags->output, "the quantized model to write")
      ->type_name("FILE")
      ->required();
  app.add_option("--recipe-out", flags->recipe_output,
                 "the recipe that makes it again with qtool ptq; default: OUTPUT.recipe.yaml")
      ->type_name("FILE");
  flags->data.declare(app, true, "samples to calibrate and learn with, as in ptq");
  app.add_option("--val", flags->validation.data,
                 "other samples, which decide; with labels by top-1, 1000 without --val-samples")
      ->type_name("PATH");
  app.add_option("--val-split", flags->validation.split, "its part, as --split")->type_name("NAME");
  app.add_option("--val-samples", flags->validation.samples, "use only its first N samples")
      ->type_name("N");
  app.add_option("--val-skip", flags->validation.skip, "leave out its first N samples")
      ->type_name("N");
  app.add_option("--target", flags->plan.target, "as in ptq; default: ort-cpu")->type_name("NAME");
  app.add_option("--bits", flags->plan.bits, "as in ptq, such as w4a8; default: the target's")
      ->type_name("WIDTHS");
  app.add_option("--max-drop", flags->max_drop,
                 "stop at the first model that loses at most so many points of top-1")
      ->capture_default_str();
  app.add_option("--min-sqnr", flags->min_sqnr, "the same without labels, in dB of the outputs")
      ->capture_default_str();
  app.add_option("--time-budget", flags->time_budget,
                 "begin nothing new after, but for weights alone at last: 90s, 10m, 2h")
      ->type_name("TIME");
  app.add_flag("--no-learning", flags->no_learning,
               "leave out the methods that learn, which take minutes");
  app.add_option("--max-latency-ratio", flags->max_latency_ratio,
                 "take no model that needs more than so many times the float model's time here, "
                 "batch 1")
      ->type_name("RATIO")
      ->check(CLI::PositiveNumber);
  flags->mixed.declare(app);
  app.footer(
      "Tries ranges, bias and channel corrections, then leaves the worst layers in float, then\n"
      "methods that learn, and for CPUs at last 8-bit weights alone and float16.\n"
      "Exit code 3: the goal was not reached; the best model is written.\n"
      "Example: qtool tune model.onnx --data train/ --val test/ --max-drop 0.5 -o q.onnx");
  return [flags, &globals] { return tune(*flags, globals); };
}

}  // namespace qtool
