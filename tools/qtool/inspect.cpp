// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <map>

#include "ops/op_def.h"
#include "ops/qoperator.h"
#include "options.h"
#include "report/model_facts.h"
#include "support/text.h"

namespace qtool {

namespace {

struct InspectOptions {
  std::string model;
  bool layers = false;
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

struct Inspection {
  std::map<std::string, OpRow> ops;
  std::vector<std::vector<std::string>> layers;
  uint64_t macs = 0;
};

Inspection inspect_graph(const Graph& graph) {
  Inspection result;
  // A batch of one stands in for open extents, so that work can be counted.
  InferOptions options;
  for (const ValueId id : graph.required_inputs()) {
    const Value& input = graph.value(id);
    if (!input.type.shape) continue;
    Shape shape;
    for (const Dim& dim : *input.type.shape) shape.push_back(dim.value.value_or(1));
    options.input_shapes.emplace(input.name, shape);
  }
  const Facts facts = infer_facts(graph, builtin_ops(), options);
  result.layers.push_back({"node", "op", "result", "MACs", "quantization"});
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
    result.layers.push_back({node.name.empty() ? graph.describe(id) : node.name, to_string(node.op),
                             type, macs > 0 ? human_count(macs) : "-", row.standing.verdict});
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
  return json;
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
  if (layers) fmt::print("\n{}", text_table(found.layers));
}

int inspect(const InspectOptions& options, const Globals& globals) {
  const LoadedModel model = open_model(options.model);
  if (options.text) {
    std::fputs(to_text(model.graph).c_str(), stdout);
    return 0;
  }
  const ModelFacts facts = model_facts(model.graph);
  const Inspection found =
      within_frame([&] { return options.model; }, [&] { return inspect_graph(model.graph); });
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
  app.add_flag("--text", options->text, "the graph as text, one line a node");
  app.footer("Example: qtool inspect model.onnx --layers");
  return [options, &globals] { return inspect(*options, globals); };
}

}  // namespace qtool
