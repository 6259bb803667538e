// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <map>

#include "calibration.h"
#include "calibration_memory.h"
#include "learning.h"
#include "onnx_io/onnx_io.h"
#include "passes/qoperator_form.h"
#include "ptq_modes.h"
#include "ptq_weights.h"
#include "quant/algorithms/equalize.h"
#include "quant/algorithms/smooth_quant.h"
#include "quant/summary.h"
#include "static_plan.h"
#include "support/text.h"

namespace qtool {

namespace {

struct PtqFlags {
  std::string model;
  std::string output;
  std::string calibration;
  std::string plan_file;
  std::string from_plan;
  DataOptions data;
  PlanOptions plan;
  ModeFlags mode;
  std::string format = "qdq";
  std::string memory_limit;
  bool dry_run = false;
  bool external_data = false;
};

/// Flags that say how ranges become integers mean nothing in the other modes.
void check_static_flags(const PtqFlags& flags) {
  const bool weights = flags.mode.mode == "weight-only";
  const std::pair<const char*, bool> given[] = {
      {"--calibration", !flags.calibration.empty()},
      {"--from-plan", !flags.from_plan.empty()},
      {"--plan", !flags.plan_file.empty()},
      {"--format", flags.format != "qdq" && !weights},
      {"--target", !flags.plan.target.empty()},
      {"--activations", !flags.plan.activations.empty()},
      {"--weights", !flags.plan.weights.empty() && !weights},
      {"--bits", !flags.plan.bits.empty() && !weights},
      {"--edges-too", flags.plan.edges_too},
      {"--per-tensor", flags.plan.per_tensor},
      {"--pack", flags.plan.pack},
      {"--reduce-range", flags.plan.reduce_range},
      {"--mem-limit", !flags.memory_limit.empty() && !weights},
  };
  for (const auto& [flag, is_given] : given) {
    if (is_given) {
      throw usage_error(fmt::format("{} belongs to --mode static, not {}", flag, flags.mode.mode),
                        "Leave one of the two out.");
    }
  }
}

void check(const PtqFlags& flags) {
  if (!flags.mode.is_static()) check_static_flags(flags);
  if (flags.mode.is_static() && flags.plan.recipe().rounding == Rounding::hqq)
    throw usage_error("hqq is for --mode weight-only", "With activations, choose gptq.");
  if (flags.plan.recipe().awq && flags.mode.mode != "weight-only")
    throw usage_error("awq is for --mode weight-only",
                      "With activations in codes, smooth-quant does the like, by itself.");
  if (flags.plan.block && flags.mode.mode != "weight-only")
    throw usage_error("--block belongs to --mode weight-only", "Leave one of the two out.");
  if (flags.format == (flags.mode.is_static() ? "matmul-nbits" : "qoperator")) {
    throw usage_error("--format " + flags.format + " is not for --mode " + flags.mode.mode,
                      "matmul-nbits is for weight-only, qoperator for static.");
  }
  if (flags.format == "qoperator" && flags.plan.recipe().pack)
    throw usage_error("--pack is not for --format qoperator", "Its ops take 8-bit weights.");
  if (flags.mode.half_io && flags.mode.mode != "float16")
    throw usage_error("--half-io belongs to --mode float16", "Add it, or leave --half-io out.");
  if (flags.plan.recipe().search_percentiles && !flags.mode.is_static())
    throw usage_error("percentile-search is for --mode static",
                      "The other modes have no ranges that are taken beforehand.");
  const bool learning = reads_samples(flags.plan.recipe());
  if (learning && !flags.data.given())
    throw usage_error("the method learns from samples, and there are none", "Give --data.");
  const bool ranges_of_data = flags.data.given() && !learning;
  int sources = (flags.calibration.empty() ? 0 : 1) + (ranges_of_data ? 1 : 0) +
                (flags.from_plan.empty() ? 0 : 1);
  if (learning && sources == 0) sources = 1;
  if (sources != 1 && flags.mode.is_static()) {
    throw usage_error(
        sources == 0 ? "nothing to take ranges from" : "more than one source of ranges",
        "Give one of --calibration table.json, --data, --from-plan plan.json.");
  }
  if (flags.output.empty() && !flags.dry_run)
    throw usage_error("-o says where to write the model", "Or use --dry-run.");
  if (!flags.output.empty())
    check_output("-o", flags.output, {flags.model, flags.calibration, flags.from_plan});
  if (!flags.plan_file.empty())
    check_output("--plan", flags.plan_file, {flags.model, flags.calibration});
  if (!flags.plan_file.empty() && flags.plan_file == flags.output) {
    throw usage_error("-o and --plan name the same file, " + flags.output, "They need one each.");
  }
}

std::string form_text(const QOperatorForm& form) {
  std::string text =
      fmt::format("QOperator form: {} nodes compute on codes, {} move them, {} stay Q/DQ\n",
                  form.computing, form.moving, form.kept.size());
  std::map<std::string, std::vector<std::string>> by_reason;
  for (const auto& [node, reason] : form.kept) by_reason[reason].push_back(node);
  for (auto& [reason, nodes] : by_reason) {
    const size_t more = nodes.size() > 3 ? nodes.size() - 3 : 0;
    nodes.resize(nodes.size() - more);
    text += "  " + join(nodes, ", ") + (more > 0 ? fmt::format(" and {} more", more) : "") + ": " +
            reason + '\n';
  }
  return text;
}

/// What is to be written, and what is said of it.
struct Outcome {
  Graph graph;
  std::string text;
  std::vector<std::string> notes;
  Json json;
  bool random = false;
};

Outcome quantize_statically(const PtqFlags& flags, const LoadedModel& model, const Globals& globals,
                            Log& log) {
  Target target = flags.plan.load();
  if (!flags.from_plan.empty()) {
    within_frame([&] { return flags.from_plan; },
                 [&] {
                   const auto opset = member<int64_t>(read_json(flags.from_plan), "opset");
                   target.opset = std::max(target.opset, std::min<int64_t>(opset, 21));
                 });
  }
  Outcome result;
  Graph& graph = result.graph;
  graph = quantizable_graph(model, target, log);
  const Recipe recipe = flags.plan.recipe();
  std::optional<uint64_t> limit;
  if (!flags.memory_limit.empty()) limit = parse_bytes("--mem-limit", flags.memory_limit);
  QuantPlan plan;
  if (!flags.from_plan.empty()) {
    within_frame([&] { return flags.from_plan; },
                 [&] {
                   const Json json = read_json(flags.from_plan);
                   equalize(graph, equalizations_from_json(json));
                   smooth(graph, smoothings_from_json(json));
                 });
    plan = read_plan(flags.from_plan, graph);
  } else {
    const PlanningData data{model, flags.data, flags.plan, {.memory_limit = limit}, globals, log};
    const bool calibrated = !flags.calibration.empty();
    CalibrationTable table = calibrated ? table_of(model, flags.calibration) : data.table(graph);
    if (calibrated && is_random(table.data)) log.warn(kRandomWarning);
    result.random = is_random(table.data);
    plan = within_frame([&] { return flags.model; },
                        [&] {
                          return static_plan(graph, table, target, recipe,
                                             flags.data.given() ? &data : nullptr);
                        });
  }
  if (plan.placements.empty() && plan.dynamic.empty()) {
    throw unsupported_error(flags.model + ": nothing of it would be quantized\n" +
                            summary(plan, graph));
  }
  result.text = summary(plan, graph);
  if (!flags.plan_file.empty()) write_plan(flags.plan_file, plan, graph);
  if (learns(recipe)) {
    within_frame([&] { return flags.model; },
                 [&] { learn(graph, plan, recipe, flags.data, limit, globals, log); });
  }
  carry_out(graph, plan);
  if (flags.format == "qoperator") result.text += form_text(to_qoperator_form(graph));
  stamp(graph, model, plan.target);
  result.notes = plan.notes;
  result.json = {{"target", plan.target},
                 {"format", flags.format},
                 {"quantized_nodes", plan.quantized.size()},
                 {"moved_nodes", plan.moved.size()},
                 {"placements", plan.placements.size()},
                 {"skipped_nodes", plan.skipped.size()}};
  return result;
}

Outcome convert_mode(const PtqFlags& flags, const LoadedModel& model, const Globals& globals,
                     Log& log) {
  std::optional<uint64_t> limit;
  if (!flags.memory_limit.empty()) limit = parse_bytes("--mem-limit", flags.memory_limit);
  const bool weights = flags.mode.mode == "weight-only";
  ConvertedModel made = weights ? convert_weights(model, flags.data, flags.plan.recipe(),
                                                  flags.format, limit, globals, log)
                                : convert(model, flags.mode, flags.data, flags.plan, globals, log);
  stamp(made.graph, model, flags.mode.mode);
  return {.graph = std::move(made.graph),
          .text = std::move(made.text),
          .notes = std::move(made.notes),
          .json = {{"converted", made.converted}, {"kept", made.kept}},
          .random = made.random};
}

int ptq(const PtqFlags& flags, const Globals& globals) {
  check(flags);
  Log log(globals.log_level());
  const LoadedModel model = open_model(flags.model);
  Outcome made = flags.mode.is_static() ? quantize_statically(flags, model, globals, log)
                                        : convert_mode(flags, model, globals, log);
  const SaveOptions save = save_options(flags.external_data);
  for (const std::string& note : made.notes) log.warn(note);
  const uint64_t bytes = flags.dry_run ? saved_bytes(made.graph, flags.output, save)
                                       : save_model(made.graph, flags.output, save);
  if (globals.json) {
    made.json.update(Json{{"schema", "qtool.ptq/1"},
                          {"mode", flags.mode.mode},
                          {"random_data", made.random},
                          {"output", flags.output},
                          {"bytes", bytes},
                          {"float_bytes", model.file.bytes}});
    std::fputs(to_text(made.json).c_str(), stdout);
    return 0;
  }
  if (made.random) fmt::print("{}\n", kRandomWarning);
  fmt::print("{}{}: {} -> {} ({:.2f} of the float file)\n", made.text,
             flags.dry_run ? "would write" : flags.output, human_bytes(model.file.bytes),
             human_bytes(bytes),
             static_cast<double>(bytes) / static_cast<double>(model.file.bytes));
  return 0;
}

}  // namespace

std::function<int()> declare_ptq(CLI::App& app, const Globals& globals) {
  auto flags = std::make_shared<PtqFlags>();
  app.add_option("MODEL", flags->model, "the float ONNX model")->required();
  app.add_option("-o,--output", flags->output, "the quantized model to write")->type_name("FILE");
  app.add_flag("--external-data", flags->external_data, kExternalDataHelp);
  app.add_option("--calibration", flags->calibration, "the table that qtool calibrate wrote")
      ->type_name("FILE");
  flags->mode.declare(app);
  flags->data.declare(app, false, "calibrate with these samples instead of a table");
  flags->plan.declare(app);
  app.add_option("--plan", flags->plan_file, "also write every decision with its reason (JSON)")
      ->type_name("FILE");
  app.add_option("--from-plan", flags->from_plan, "carry out such a file, edited or not")
      ->type_name("FILE");
  app.add_option("--format", flags->format,
                 "qdq: QuantizeLinear and DequantizeLinear around float ops; qoperator: "
                 "QLinearConv, QLinearMatMul and com.microsoft's QLinear... where there is one; "
                 "matmul-nbits: com.microsoft's MatMulNBits for --mode weight-only")
      ->check(CLI::IsMember({"qdq", "qoperator", "matmul-nbits"}))
      ->capture_default_str();
  app.add_option("--mem-limit", flags->memory_limit,
                 "at most so much resident memory, such as 512MiB; samples that a method learns "
                 "from go to files beyond it")
      ->type_name("SIZE");
  app.add_flag("--dry-run", flags->dry_run, "say what would be done, write no model");
  app.footer(
      "Example: qtool ptq model.onnx --calibration table.json -o model.int8.onnx --plan plan.json");
  return [flags, &globals, &app] {
    const Recipe recipe = flags->plan.recipe();
    if (app.count("--mode") == 0 && !recipe.mode.empty()) flags->mode.mode = recipe.mode;
    if (app.count("--format") == 0 && !recipe.format.empty()) flags->format = recipe.format;
    return ptq(*flags, globals);
  };
}

}  // namespace qtool
