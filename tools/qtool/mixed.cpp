// SPDX-License-Identifier: Apache-2.0
#include "mixed.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <regex>

#include "calibration_memory.h"
#include "exec/session_runner.h"
#include "report/html_page.h"
#include "report/number_text.h"
#include "report/svg.h"
#include "support/text.h"

namespace qtool {

namespace {

constexpr size_t kSamples = 64;
constexpr size_t kBatch = 16;

double error_of(const WidthError& error, SensitivityMetric metric) {
  const auto& value = metric == SensitivityMetric::kl       ? error.kl
                      : metric == SensitivityMetric::taylor ? error.taylor
                                                            : error.noise;
  if (!value) {
    throw unsupported_error("--sensitivity-by kl is for classifiers",
                            "No output of the model is a row of class scores: use sqnr.");
  }
  return std::max(*value, 0.0);  // a divergence can be -1e-17
}

std::vector<TensorMap> batches_of(const Graph& graph, const DataOptions& data, size_t batch,
                                  Sensitivity& about) {
  const std::vector<RunnerValue> inputs = declared_inputs(graph);
  DataOptions some = data;
  auto opened = some.open(inputs);
  opened.order.resize(std::min(opened.order.size(), kSamples));
  about.data = opened.provenance();
  about.preprocessing = opened.preprocessing.to_json();
  about.samples = opened.order.size();
  Loader loader(*opened.dataset, opened.order,
                {.batch_size = batch_size(inputs, data.batch, batch)});
  std::vector<TensorMap> batches;
  while (auto next = loader.next()) batches.push_back(feeds(*next, inputs));
  return batches;
}

struct FrontPoint {
  WidthAssignment widths;
  bool chosen = false;
};

/// By cost, with the chosen widths in their place; they replace others of the same cost.
std::vector<FrontPoint> with_chosen(const std::vector<WidthAssignment>& front,
                                    const WidthAssignment* chosen) {
  std::vector<FrontPoint> points;
  for (const WidthAssignment& widths : front) {
    if (chosen == nullptr || widths.cost != chosen->cost) points.push_back({widths});
  }
  if (chosen == nullptr) return points;
  const auto place = std::ranges::find_if(
      points, [&](const FrontPoint& point) { return point.widths.cost > chosen->cost; });
  points.insert(place, {*chosen, true});
  return points;
}

}  // namespace

void MixedFlags::declare(CLI::App& app) {
  app.add_flag("--mixed", mixed,
               "a width for each layer's weights: the fewest bits that keep --max-drop");
  app.add_option("--target-bits", target_bits,
                 "widths of at most so many bits a weight in the mean, such as 4.5")
      ->type_name("BITS")
      ->check(CLI::Range(2.0, 8.0));
  app.add_option("--max-size", max_size,
                 "widths of 4 and 8 bits, stored so (opset 21), for a file of at most so many "
                 "bytes, or such a share of the float file: 300kB, 0.2")
      ->type_name("SIZE");
  app.add_option("--widths", widths, "the widths to choose from; default: 2 3 4 5 6 8")
      ->type_name("BITS")
      ->check(CLI::Range(2, 8));
  app.add_option(
         "--sensitivity-by", metric,
         "what a layer's rounding does to the outputs: sqnr, kl (of classes), both measured "
         "layer by layer, or taylor (foreseen by gradients, fast)")
      ->check(CLI::IsMember({"sqnr", "mse", "kl", "taylor"}))
      ->capture_default_str();
  app.add_option("--sensitivity", file,
                 "keeps what was measured in this file; begun, it is finished; whole, it is used")
      ->type_name("FILE");
  app.add_option("--html", page, "the widths and what each bit buys as an HTML page")
      ->type_name("FILE");
}

void MixedFlags::check() const {
  const auto refuse = [](const char* what, const char* advice) { throw usage_error(what, advice); };
  if (target_bits && packed())
    refuse("--target-bits and --max-size are two bounds of one thing", "Give one of them.");
  if (packed() && !widths.empty())
    refuse("--max-size chooses between 4 and 8 bits, which files can store", "Leave --widths out.");
  const bool any = !widths.empty() || !file.empty() || !page.empty() || metric != "sqnr";
  if (any && !wanted())
    refuse("--widths, --sensitivity, --sensitivity-by and --html are for mixed widths",
           "Add --mixed, --target-bits or --max-size.");
}

uint64_t parse_size(const std::string& flag, const std::string& text, uint64_t float_bytes) {
  char* end = nullptr;
  const double share = std::strtod(text.c_str(), &end);
  if (end != text.c_str() && *end == '\0' && share > 0 && share <= 1)
    return static_cast<uint64_t>(share * static_cast<double>(float_bytes));
  return parse_bytes(flag, text);
}

MixedWidths::MixedWidths(const LoadedModel& model, const Graph& graph,
                         const CalibrationTable& table, const Target& target,
                         const DataOptions& data, const MixedFlags& flags, const Globals& globals,
                         Log& log)
    : metric_(parse_sensitivity_metric(flags.metric)), widths_(flags.widths) {
  if (flags.packed()) widths_ = {4, 8};
  if (widths_.empty()) widths_ = {2, 3, 4, 5, 6, 8};
  std::ranges::sort(widths_);
  widths_.erase(std::unique(widths_.begin(), widths_.end()), widths_.end());
  for (const NodeId id : graph.nodes()) ops_.push_back(to_string(graph.node(id).op));
  measure(model, graph, table, target, data, flags, globals, log);
  std::vector<std::vector<WidthChoice>> layers;
  for (const LayerSensitivity& layer : sensitivity_.layers) {
    weights_ += layer.weights;
    layers.emplace_back();
    for (const int bits : widths_) {
      layers.back().push_back({bits, static_cast<uint64_t>(bits) * layer.weights,
                               error_of(layer.widths.at(bits), metric_)});
    }
  }
  search_.emplace(std::move(layers));
}

void MixedWidths::resume(const std::string& file) {
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) return;
  within_frame([&] { return file; },
               [&] {
                 Sensitivity known = sensitivity_from_json(read_json(file));
                 const auto refuse = [](const std::string& what) {
                   throw input_error("the sensitivities are of " + what,
                                     "Name another file with --sensitivity, or remove this one.");
                 };
                 if (known.model_sha256 != sensitivity_.model_sha256) refuse("another model");
                 if (known.data != sensitivity_.data || known.samples != sensitivity_.samples ||
                     known.preprocessing != sensitivity_.preprocessing)
                   refuse("other samples");
                 if (known.setting != sensitivity_.setting)
                   refuse("another setting: " + known.setting);
                 for (LayerSensitivity& layer : sensitivity_.layers) {
                   const auto found =
                       std::ranges::find(known.layers, layer.nodes, &LayerSensitivity::nodes);
                   if (found != known.layers.end()) layer.widths = found->widths;
                 }
               });
}

void MixedWidths::measure(const LoadedModel& model, const Graph& graph,
                          const CalibrationTable& table, const Target& target,
                          const DataOptions& data, const MixedFlags& flags, const Globals& globals,
                          Log& log) {
  std::map<int, QuantPlan> plans;
  for (const int bits : widths_) {
    Recipe recipe;
    recipe.weight_bits = bits;
    recipe.edges_too = true;
    plans.emplace(bits, plan_quantization(graph, builtin_ops(), table, target, recipe));
  }
  const bool taylor = metric_ == SensitivityMetric::taylor;
  const std::vector<TensorMap> batches = batches_of(graph, data, taylor ? 1 : kBatch, sensitivity_);
  sensitivity_.model_sha256 = model.file.sha256;
  sensitivity_.setting = "target " + target.name;
  sensitivity_.layers = sensitive_layers(graph, plans.begin()->second);
  if (sensitivity_.layers.empty())
    throw unsupported_error(model.path.string() + ": no layer has weights to choose a width for");
  if (!flags.file.empty()) resume(flags.file);
  const auto keep = [&] {
    if (!flags.file.empty()) write_json(flags.file, to_json(sensitivity_));
  };
  Progress progress("sensitivity", "layers", sensitivity_.layers.size(), globals.progress());
  const SensitivityTask task{graph, batches, plans};
  const auto lacks = [&](const LayerSensitivity& layer) {
    return std::ranges::any_of(widths_, [&](int bits) {
      const auto found = layer.widths.find(bits);
      return found == layer.widths.end() || !(taylor ? found->second.taylor : found->second.noise);
    });
  };
  if (std::ranges::none_of(sensitivity_.layers, lacks)) {
    log.info("all sensitivities are in " + flags.file);
  } else if (taylor) {
    taylor_scores(task, sensitivity_.layers);
    keep();
  } else {
    measure_sensitivity(task, sensitivity_.layers, [&] {
      keep();
      progress.advance(1);
    });
  }
}

double MixedWidths::mean_bits(const WidthAssignment& widths) const {
  return static_cast<double>(widths.cost) / static_cast<double>(std::max<uint64_t>(weights_, 1));
}

WidthAssignment MixedWidths::within(uint64_t bits) const {
  if (const auto found = search_->best(bits)) return *found;
  const auto mean = [&](uint64_t all) {
    return static_cast<double>(all) / static_cast<double>(weights_);
  };
  throw usage_error(fmt::format("a mean of {:.2f} bits is less than the least widths need, {:.2f}",
                                mean(bits), mean(search_->least_cost())),
                    "Allow more, or narrower --widths.");
}

std::string MixedWidths::rules(const WidthAssignment& widths) const {
  std::map<int, Json> by_width;
  static const std::regex kSpecial(R"([.^$|()\[\]{}*+?\\/])");
  for (size_t l = 0; l < widths.choice.size(); ++l) {
    Json& names = by_width[widths_[widths.choice[l]]];
    for (const std::string& node : sensitivity_.layers[l].nodes) {
      // What reads as an op type or as an expression is written as an expression for the name.
      const bool plain = std::ranges::find(ops_, node) == ops_.end() &&
                         !(node.size() > 1 && node.starts_with('/') && node.ends_with('/'));
      names.push_back(plain ? node : "/" + std::regex_replace(node, kSpecial, R"(\$&)") + "/");
    }
  }
  std::string text = "rules:\n";
  for (const auto& [bits, names] : by_width)
    text += fmt::format("  - {{match: {}, bits: w{}}}\n", names.dump(), bits);
  return text;
}

std::string MixedWidths::expected(double error) const {
  if (metric_ == SensitivityMetric::kl) return fmt::format("{:.4f} nats", error);
  return error > 0 ? fmt::format("{:.1f} dB", -10 * std::log10(error)) : "exact";
}

std::vector<std::vector<std::string>> MixedWidths::front_rows(const WidthAssignment* chosen) const {
  std::vector<std::vector<std::string>> rows{{"bits a weight", "weights", "expected", ""}};
  for (const FrontPoint& point : with_chosen(search_->front(13), chosen)) {
    rows.push_back({fmt::format("{:.2f}", mean_bits(point.widths)),
                    human_bytes(point.widths.cost / 8), expected(point.widths.error),
                    point.chosen ? "chosen" : ""});
  }
  return rows;
}

std::vector<std::vector<std::string>> MixedWidths::layer_rows(const WidthAssignment& widths) const {
  std::vector<std::vector<std::string>> rows{{"layer", "weights", "bits"}};
  for (const int bits : widths_) rows[0].push_back(fmt::format("at {} bits", bits));
  for (size_t l = 0; l < sensitivity_.layers.size(); ++l) {
    const LayerSensitivity& layer = sensitivity_.layers[l];
    rows.push_back({join(layer.nodes, ", "), std::to_string(layer.weights),
                    std::to_string(widths_[widths.choice[l]])});
    for (const int bits : widths_)
      rows.back().push_back(expected(error_of(layer.widths.at(bits), metric_)));
  }
  return rows;
}

std::string MixedWidths::front_page(const WidthAssignment* chosen, const std::string& model) const {
  const bool divergence = metric_ == SensitivityMetric::kl;
  Scatter chart{"What a bit buys",
                "bits a weight",
                divergence ? "expected divergence, nats" : "expected SQNR, dB",
                {},
                true};
  for (const auto& [widths, is_chosen] : with_chosen(front(), chosen)) {
    if (!divergence && !(widths.error > 0)) continue;
    chart.points.push_back({mean_bits(widths),
                            divergence ? widths.error : -10 * std::log10(widths.error),
                            is_chosen ? "chosen" : "widths", is_chosen});
  }
  std::string text = scatter_chart(chart) + html_table(front_rows(chosen));
  if (chosen != nullptr) {
    text +=
        "<h2>Layers</h2>\n<p>The chosen width, and what the outputs lose when this layer's "
        "weights alone have a width.</p>\n" +
        html_table(layer_rows(*chosen));
  }
  return html_page(model + ": widths layer by layer", text);
}

Json MixedWidths::json(const WidthAssignment& chosen) const {
  Json layers = Json::array();
  for (size_t l = 0; l < chosen.choice.size(); ++l) {
    layers.push_back({{"nodes", sensitivity_.layers[l].nodes},
                      {"weights", sensitivity_.layers[l].weights},
                      {"bits", widths_[chosen.choice[l]]}});
  }
  Json points = Json::array();
  for (const WidthAssignment& point : front())
    points.push_back({{"bits", mean_bits(point)}, {"expected", point.error}});
  return {{"bits", mean_bits(chosen)},
          {"expected", chosen.error},
          {"layers", std::move(layers)},
          {"front", std::move(points)}};
}

}  // namespace qtool
