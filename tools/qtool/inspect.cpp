// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <map>

#include "ops/op_def.h"
#include "ops/qoperator.h"
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
};

/// How a node stands to quantization, by its op's record.
struct Standing {
  std::string verdict;  ///< "int8", "follows its input", "float"
  std::string reason;
};

Standing standing(const Graph& graph, const Node& node) {
  const OpDef* def = builtin_ops().find(node, graph.model);
  if (def == nullptr) return {"float", "qtool does not know the op; it passes through unchanged"};
  if (def->qdq != QdqRole::none) return {"-", "quantization itself"};
  if (computes_codes(node.op)) return {"-", "quantized already"};
  switch (def->quant.behaviour) {
    case Behaviour::compute: return {"can be int8", "has integer kernels"};
    case Behaviour::move_data: return {"follows its input", "moves elements unchanged"};
    case Behaviour::keep_float: break;
  }
  if (def->quant.keeps != nullptr)
    return {"joins its producer", "an activation behind a quantized op"};
  return {"float", "no integer kernel for it"};
}

struct OpRow {
  size_t count = 0;
  uint64_t macs = 0;
  Standing standing;
};

Json type_json(const Value& value) {
  return {{"name", value.name}, {"type", to_string(value.type)}};
}

struct LayerRow {
  std::string node;
  std::string op;
  std::string result;  ///< its type
  uint64_t macs = 0;
  Standing standing;
};

struct Inspection {
  std::map<std::string, OpRow> ops;
  std::vector<LayerRow> layers;
  std::vector<WeightFacts> weights;
  uint64_t macs = 0;
};

/// One stands in for open extents, so that work can be counted; where the model does not run so
/// (a window over the samples of a frame), they stay open.
Facts facts_for_one(const Graph& graph) {
  InferOptions options;
  for (const ValueId id : graph.required_inputs()) {
    const Value& input = graph.value(id);
    if (!input.type.shape) continue;
    Shape shape;
    for (const Dim& dim : *input.type.shape) shape.push_back(dim.value.value_or(1));
    options.input_shapes.emplace(input.name, shape);
  }
  try {
    return infer_facts(graph, builtin_ops(), options);
  } catch (const Error& error) {
    if (error.kind() == Error::Kind::internal) throw;
    return infer_facts(graph, builtin_ops());
  }
}

Inspection inspect_graph(const Graph& graph) {
  Inspection result;
  const Facts facts = facts_for_one(graph);
  for (const NodeId id : graph.topological_order()) {
    const Node& node = graph.node(id);
    const OpDef* def = builtin_ops().find(node, graph.model);
    const NodeView view(graph, id, facts, graph.model.opset(node.op.domain));
    const uint64_t macs = def != nullptr && def->macs != nullptr ? def->macs(view) : 0;
    OpRow& row = result.ops[to_string(node.op)];
    ++row.count;
    row.macs += macs;
    row.standing = standing(graph, node);
    result.macs += macs;
    std::string type = "-";
    if (!node.outputs.empty() && node.outputs[0] != ValueId::none)
      type = to_string(facts[node.outputs[0]].type);
    Standing here = row.standing;
    if (def != nullptr && def->quant.only_if != nullptr && !def->quant.only_if(view))
      here = {"float", "not in this form of it"};
    result.layers.push_back({node.name.empty() ? graph.describe(id) : node.name, to_string(node.op),
                             type, macs, std::move(here)});
  }
  return result;
}

Json to_json(const LoadedModel& model, const Inspection& found, const ModelFacts& facts) {
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
  for (const WeightFacts& weights : found.weights) json["weights"].push_back(to_json(weights));
  return json;
}

std::string layer_table(const std::vector<LayerRow>& layers) {
  std::vector<std::vector<std::string>> rows{
      {"node", "op", "result", "MACs", "quantization", "why"}};
  for (const LayerRow& layer : layers) {
    rows.push_back({printable(layer.node), printable(layer.op), printable(layer.result),
                    layer.macs > 0 ? human_count(layer.macs) : "-", layer.standing.verdict,
                    layer.standing.reason});
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

void print(const LoadedModel& model, const Inspection& found, const ModelFacts& facts,
           bool layers) {
  const Graph& graph = model.graph;
  fmt::print("{}: {}, {} nodes, {} parameters, {} MACs at batch 1\n", model.file.file,
             human_bytes(model.file.bytes), graph.node_count(), human_count(facts.parameters),
             human_count(found.macs));
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
  if (layers) fmt::print("\n{}", layer_table(found.layers));
  if (!found.weights.empty()) fmt::print("\n{}", weight_table(found.weights));
}

int inspect(const InspectOptions& options, const Globals& globals) {
  const LoadedModel model = open_model(options.model);
  if (options.text) {
    std::fputs(to_text(model.graph).c_str(), stdout);
    return 0;
  }
  const ModelFacts facts = model_facts(model.graph);
  Inspection found =
      within_frame([&] { return options.model; }, [&] { return inspect_graph(model.graph); });
  if (options.weights) found.weights = weight_facts(model.graph, builtin_ops());
  if (globals.json) {
    std::fputs(to_text(to_json(model, found, facts)).c_str(), stdout);
  } else {
    print(model, found, facts, options.layers);
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
  app.footer("Example: qtool inspect model.onnx --layers --weights");
  return [options, &globals] { return inspect(*options, globals); };
}

}  // namespace qtool
