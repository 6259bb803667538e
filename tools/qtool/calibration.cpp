// SPDX-License-Identifier: Apache-2.0
#include "calibration.h"

#include "calibration_memory.h"
#include "exec/session_runner.h"
#include "passes/pipelines.h"
#include "quant/methods.h"
#include "quant/widths.h"
#include "support/text.h"

namespace qtool {

namespace {
// Small enough that a batch's tensors stay in the cache while they are observed.
constexpr size_t kBatch = 2;
}  // namespace

void PlanOptions::declare_target(CLI::App& app) {
  std::vector<std::string> names;
  for (const auto& [name, text] : builtin_targets()) names.push_back(name);
  app.add_option("--target", target,
                 "the runtime to quantize for: " + join(names, ", ") +
                     ", or a target file; default: the recipe's, else ort-cpu")
      ->type_name("NAME");
  names.clear();
  for (const auto& [name, text] : builtin_recipes()) names.push_back(name);
  app.add_option("--recipe", recipe_file,
                 "wishes in one place: " + join(names, ", ") +
                     ", or a YAML file, also with rules for some nodes; flags win")
      ->type_name("NAME");
}

void PlanOptions::declare(CLI::App& app) {
  declare_target(app);
  app.add_option("--activations", activations,
                 "how activation ranges follow from the statistics: " + range_method_names() +
                     "; default: percentile:99.999 from 8 bits on, mse below")
      ->type_name("METHOD");
  app.add_option("--weights", weights,
                 "how weight ranges follow from the weights: minmax, mse; default: minmax from 8 "
                 "bits on, mse below")
      ->type_name("METHOD");
  app.add_option(
         "--bits", bits,
         "bits of the layers' weights and inputs, such as w4a4 or w4, or a16w8: 16-bit activations "
         "everywhere (opset 21); default: the target's")
      ->type_name("WIDTHS");
  app.add_flag("--pack", pack,
               "store weights of 4 bits and fewer as 4-bit tensors (opset 21): half the file; "
               "runtimes compute such layers in float unless they have kernels for them");
  app.add_flag("--edges-too", edges_too, "with --bits: the first and last layers as well");
  app.add_option("--include", include,
                 "quantize only these: node names, op types, /regular expressions/")
      ->type_name("PATTERN");
  app.add_option("--exclude", exclude, "leave these in float; wins over --include")
      ->type_name("PATTERN");
  app.add_flag("--per-tensor", per_tensor,
               "one scale per weight tensor though the target takes one per channel");
  app.add_flag("--no-bias-correction", no_bias_correction,
               "do not take the mean error of rounded weights off the biases");
  app.add_flag("--reduce-range", reduce_range,
               "for x86 without VNNI, whose kernels add two products in 16 bits: larger weight "
               "scales, only where these sums could saturate");
  app.add_flag("--no-smooth-quant", no_smooth_quant,
               "do not scale the channels of what products read, and their weights inversely");
  app.add_option(
         "--method", method,
         "with commas between: what qtool methods lists, such as adaround; those that learn "
         "take --data")
      ->type_name("NAME");
  app.add_option("--block", block,
                 "with --mode weight-only: so many weights of a row share a scale, 16, 32 ... 256; "
                 "default: all of a result")
      ->type_name("N");
  app.add_option("--iterations", iterations,
                 "of a method that learns, for each layer or block; default: 2000")
      ->check(CLI::Range(1, 1000000));
  app.add_flag("--allow-quantized", allow_quantized,
               "take a model that is partly quantized already");
}

Recipe PlanOptions::recipe() const {
  Recipe result = recipe_file.empty() ? Recipe{} : load_recipe(recipe_file);
  if (!activations.empty()) result.activation_method = parse_range_method(activations);
  if (!weights.empty()) result.weight_method = parse_weight_method(weights);
  result.include.insert(result.include.end(), include.begin(), include.end());
  result.exclude.insert(result.exclude.end(), exclude.begin(), exclude.end());
  if (!bits.empty()) set_bits(result, bits);
  if (!method.empty()) set_methods(result, method);
  if (block) result.block = *block;
  if (iterations) result.iterations = iterations;
  if (pack) result.pack = true;
  if (edges_too) result.edges_too = true;
  if (no_bias_correction) result.bias_correction = false;
  if (no_smooth_quant) result.smooth_quant = false;
  if (per_tensor) result.per_tensor_weights = true;
  if (reduce_range) result.reduce_range = true;
  if (allow_quantized) result.allow_quantized = true;
  return result;
}

Target PlanOptions::load() const { return with_bits(plain_target(), recipe()); }

Target PlanOptions::plain_target() const {
  if (!target.empty()) return load_target(target);
  const std::string of_recipe = recipe_file.empty() ? "" : load_recipe(recipe_file).target;
  return load_target(of_recipe.empty() ? "ort-cpu" : of_recipe);
}

Graph quantizable_graph(const LoadedModel& model, const Target& target, Log& log) {
  Graph graph = model.graph;
  within_frame([&] { return model.path.string(); },
               [&] {
                 run_pipeline(graph, quantization_pipeline(target.opset), {builtin_ops(), &log});
               });
  return graph;
}

CalibrationTable calibrate_model(const LoadedModel& model, const DataOptions& data,
                                 const PlanOptions& plan, const CalibrationOptions& how,
                                 const Globals& globals, Log& log) {
  const Graph graph = quantizable_graph(model, plan.load(), log);
  return calibrate_graph(model, graph, data, plan, how, globals, log);
}

CalibrationTable calibrate_graph(const LoadedModel& model, const Graph& graph,
                                 const DataOptions& data, const PlanOptions& plan,
                                 const CalibrationOptions& how, const Globals& globals, Log& log) {
  const Target target = plan.load();
  const Recipe recipe = plan.recipe();
  const std::vector<ValueId> tensors =
      within_frame([&] { return model.path.string(); },
                   [&] { return values_to_calibrate(graph, builtin_ops(), target, recipe); });
  if (tensors.empty()) {
    throw unsupported_error(
        model.path.string() + ": target " + target.name + " quantizes nothing of this model",
        "qtool inspect shows what it consists of.");
  }
  return calibrate_values(model, graph, tensors, data, how, globals, log);
}

CalibrationTable calibrate_values(const LoadedModel& model, const Graph& graph,
                                  std::span<const ValueId> tensors, const DataOptions& data_options,
                                  const CalibrationOptions& how, const Globals& globals, Log& log) {
  const std::vector<RunnerValue> inputs = declared_inputs(graph);
  const auto data = data_options.open(inputs, &log);
  size_t batch = batch_size(inputs, data_options.batch, kBatch);
  if (how.memory_limit) {
    const MemoryForecast forecast(graph, tensors, *data.dataset, data.order, inputs);
    const size_t wished = batch;
    batch = forecast.batch_within(*how.memory_limit, wished);
    if (batch < wished) {
      log.warn(fmt::format("--mem-limit: batches of {} instead of {}; the table is the same", batch,
                           wished));
    }
  }
  Loader loader(*data.dataset, data.order, {.batch_size = batch});
  Progress progress("calibrate", "samples", data.order.size(), globals.progress());
  CalibrateOptions options;
  options.non_finite = how.non_finite;
  options.advance = [&](size_t samples) {
    progress.advance(samples);
    if (how.memory_limit) check_memory(*how.memory_limit);
  };
  CalibrationTable table =
      within_frame([&] { return model.path.string(); },
                   [&] {
                     return calibrate(
                         graph, builtin_ops(), tensors,
                         [&]() -> std::optional<FeedBatch> {
                           auto next = loader.next();
                           if (!next) return std::nullopt;
                           TensorMap fed = feeds(*next, inputs);
                           return FeedBatch{std::move(fed), std::move(next->ids)};
                         },
                         options);
                   });
  table.model_sha256 = model.file.sha256;
  table.model_name = model.file.file;
  table.data = data.provenance();
  table.preprocessing = data.preprocessing.to_json();
  return table;
}

CalibrationTable table_of(const LoadedModel& model, const std::string& path) {
  CalibrationTable table = read_table(path);
  if (table.model_sha256 == model.file.sha256) return table;
  throw input_error(
      fmt::format("{} was made for {} with the SHA-256 {}..., {} has {}...", path, table.model_name,
                  table.model_sha256.substr(0, 12), model.path.string(),
                  model.file.sha256.substr(0, 12)),
      "Calibrate this model: qtool calibrate " + model.path.string() + " --data ... -o " + path);
}

void stamp(Graph& graph, const LoadedModel& model, const std::string& target) {
  auto& metadata = graph.model.metadata;
  std::erase_if(metadata, [](const auto& entry) { return entry.first.starts_with("qtool."); });
  metadata.emplace_back("qtool.source_sha256", model.file.sha256);
  metadata.emplace_back("qtool.target", target);
}

}  // namespace qtool
