// SPDX-License-Identifier: Apache-2.0
#include <cstdio>

#include "inspection.h"
#include "ops/op_def.h"
#include "options.h"
#include "report/escape.h"
#include "report/model_facts.h"
#include "report/number_text.h"
#include "report/weight_facts.h"
#include "support/text.h"

namespace qtool {

namespace {

struct InspectOptions {
  std::string model;
  bool layers = false;
  bool weights = false;
  bool text = false;
  std::vector<std::string> shapes;
};

Json type_json(const Value& value) {
  return {{"name", value.name}, {"type", to_string(value.type)}};
}

Json to_json(const LoadedModel& model, const Inspection& found, const ModelFacts& facts,
             const std::vector<WeightFacts>& all_weights) {
  Json json{
      {"schema", "qtool.inspect/1"},
      {"model",
       {{"file", model.file.file}, {"sha256", model.file.sha256}, {"bytes", model.file.bytes}}},
      {"ir_version", model.graph.model.ir_version},
      {"opsets", model.graph.model.opsets},
      {"nodes", model.graph.node_count()},
      {"parameters", facts.parameters},
      {"weight_bytes", facts.weight_bytes},
      {"macs", found.macs},
      {"nodes_of_unknown_macs", found.open_nodes},
      {"body_ops", found.body_ops},
      {"inputs", Json::array()},
      {"outputs", Json::array()},
      {"ops", Json::object()}};
  for (const ValueId id : model.graph.required_inputs())
    json["inputs"].push_back(type_json(model.graph.value(id)));
  for (const ValueId id : model.graph.outputs())
    json["outputs"].push_back(type_json(model.graph.value(id)));
  for (const auto& [op, row] : found.ops) {
    json["ops"][op] = {{"count", row.count},
                       {"macs", row.macs},
                       {"quantization", row.standing.verdict},
                       {"reason", row.standing.reason}};
  }
  json["layers"] = Json::array();
  for (const LayerRow& layer : found.layers) {
    json["layers"].push_back({{"node", valid_utf8(layer.node)},
                              {"op", valid_utf8(layer.op)},
                              {"result", layer.result},
                              {"macs", layer.macs},
                              {"quantization", layer.standing.verdict},
                              {"reason", layer.standing.reason}});
  }
  for (const WeightFacts& weights : all_weights) json["weights"].push_back(to_json(weights));
  return json;
}

std::string layer_table(const std::vector<LayerRow>& layers) {
  std::vector<std::vector<std::string>> rows{
      {"node", "op", "result", "MACs", "quantization", "why"}};
  for (const LayerRow& layer : layers) {
    rows.push_back({printable(layer.node), printable(layer.op), printable(layer.result),
                    layer.macs > 0 ? human_count(layer.macs) : std::string(layer.open ? "?" : "-"),
                    layer.standing.verdict, layer.standing.reason});
  }
  return text_table(rows);
}

std::string weight_table(const std::vector<WeightFacts>& all) {
  const auto decibels = [](const std::optional<double>& value) {
    return value ? fmt::format("{:.1f}", *value) : std::string("-");
  };
  std::vector<std::vector<std::string>> rows{{"tensor", "read by", "type", "lowest", "highest",
                                              "deviation", "outliers", "channels", "largest/median",
                                              "int8 dB", "per channel dB"}};
  for (const WeightFacts& w : all) {
    const auto& channels = w.channels;
    const auto ratio = channels ? channels->ratio() : std::nullopt;
    rows.push_back({elided(w.tensor, 36), elided(w.node, 28), w.type, three_digits(w.low),
                    three_digits(w.high), three_digits(w.deviation), std::to_string(w.outliers),
                    channels ? std::to_string(channels->channels) : "-",
                    ratio ? fmt::format("{:.1f}", *ratio) : "-",
                    channels ? decibels(w.sqnr_db) : "-",
                    channels ? decibels(channels->sqnr_db) : "-"});
  }
  return text_table(rows) +
         "\noutliers: further than 6 deviations from the mean. largest/median: of the channels' "
         "largest magnitudes.\nint8 dB, per channel dB: SQNR as symmetric 8-bit codes with one "
         "scale, with one a channel.\n";
}

std::string work(const Inspection& found) {
  const std::string macs = human_count(found.macs) + " MACs at batch 1";
  if (found.open_nodes == 0) return macs;
  const std::string nodes = fmt::format("{} node{} of unknown extents", found.open_nodes,
                                        found.open_nodes == 1 ? "" : "s");
  return (found.macs > 0 ? macs + " and those of " : "MACs unknown: ") + nodes +
         " (--shape NAME=EXTENT,... settles open inputs)";
}

void print(const LoadedModel& model, const Inspection& found, const ModelFacts& facts,
           const std::vector<WeightFacts>& weights, bool layers) {
  const Graph& graph = model.graph;
  fmt::print("{}: {}, {} nodes, {} parameters, {}\n", model.file.file,
             human_bytes(model.file.bytes), graph.node_count(), human_count(facts.parameters),
             work(found));
  std::vector<std::string> opsets;
  for (const auto& [domain, version] : graph.model.opsets) {
    opsets.push_back((domain.empty() ? "ai.onnx" : domain) + " " + std::to_string(version));
  }
  fmt::print("IR {}, opset {}\nsha256 {}\n\n", graph.model.ir_version, join(opsets, ", "),
             model.file.sha256);
  for (const ValueId id : graph.required_inputs()) {
    fmt::print("input   {}  {}\n", graph.value(id).name, to_string(graph.value(id).type));
  }
  for (const ValueId id : graph.outputs()) {
    fmt::print("output  {}  {}\n", graph.value(id).name, to_string(graph.value(id).type));
  }
  for (const auto& [dtype, bytes] : facts.weight_bytes) {
    const bool half = dtype == "float16" || dtype == "bfloat16";
    fmt::print("weights {}  {}{}\n", dtype, human_bytes(bytes),
               half ? ", computed in float32" : "");
  }
  std::vector<std::vector<std::string>> rows{{"op", "count", "MACs", "quantization", "why"}};
  for (const auto& [op, row] : found.ops) {
    rows.push_back({op, std::to_string(row.count), row.macs > 0 ? human_count(row.macs) : "-",
                    row.standing.verdict, row.standing.reason});
  }
  fmt::print("\n{}", text_table(rows));
  if (!found.body_ops.empty()) {
    std::vector<std::string> bodies;
    for (const auto& [op, count] : found.body_ops)
      bodies.push_back(fmt::format("{} {}", count, op));
    fmt::print("\nin bodies of If, Loop and Scan, which stay float and are not counted above: {}\n",
               join(bodies, ", "));
  }
  if (layers) fmt::print("\n{}", layer_table(found.layers));
  if (!weights.empty()) fmt::print("\n{}", weight_table(weights));
}

int inspect(const InspectOptions& options, const Globals& globals) {
  const LoadedModel model = open_model(options.model);
  if (options.text) {
    std::fputs(to_text(model.graph).c_str(), stdout);
    return 0;
  }
  const ModelFacts facts = model_facts(model.graph);
  const Inspection found =
      within_frame([&] { return options.model; },
                   [&] { return inspect_graph(model.graph, parse_input_shapes(options.shapes)); });
  std::vector<WeightFacts> weights;
  if (options.weights) weights = weight_facts(model.graph, builtin_ops());
  if (globals.json) {
    std::fputs(to_text(to_json(model, found, facts, weights)).c_str(), stdout);
  } else {
    print(model, found, facts, weights, options.layers);
  }
  return 0;
}

}  // namespace

std::function<int()> declare_inspect(CLI::App& app, const Globals& globals) {
  auto options = std::make_shared<InspectOptions>();
  app.add_option("MODEL", options->model, "an ONNX model")->required();
  app.add_flag("--layers", options->layers, "every node: result, work, how it can be quantized");
  app.add_flag("--weights", options->weights,
               "every float constant: range, outliers, how its channels differ, what int8 costs");
  app.add_flag("--text", options->text, "the graph as text, one line a node");
  declare_input_shapes(app, options->shapes);
  app.footer("Example: qtool inspect model.onnx --layers --weights");
  return [options, &globals] { return inspect(*options, globals); };
}

}  // namespace qtool
