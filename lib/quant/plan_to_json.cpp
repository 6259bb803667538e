// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "quant/names.h"
#include "quant/plan.h"
#include "support/text.h"

namespace qtool {

namespace {

/// One number where all are the same, as a person would write it.
Json zero_points_json(const std::vector<int32_t>& values) {
  if (std::ranges::all_of(values, [&](int32_t value) { return value == values[0]; }))
    return values[0];
  return values;
}

Json scales_json(const std::vector<float>& scales) {
  if (scales.size() == 1) return shortest(scales[0]);
  Json list = Json::array();
  for (const float scale : scales) list.push_back(shortest(scale));
  return list;
}

Json use_json(const Use& use, const NodeKeys& keys) {
  return {{"node", keys.key(use.node)}, {"slot", use.slot}};
}

Json placement_json(const Placement& placement, const Graph& graph, const NodeKeys& keys) {
  const QuantParams& params = placement.params;
  Json json{{"tensor", graph.value(placement.value).name},
            {"kind", placement.kind == Placement::Kind::activation ? "activation" : "constant"},
            {"type", to_string(params.type)},
            {"scale", scales_json(params.scale)},
            {"zero_point", zero_points_json(params.zero_point)},
            {"reason", placement.reason}};
  if (params.axis) json["axis"] = *params.axis;
  if (params.block_size > 0) json["block_size"] = params.block_size;
  if (placement.output) json["output"] = true;
  Json uses = Json::array();
  for (const Use& use : placement.uses) uses.push_back(use_json(use, keys));
  json["uses"] = std::move(uses);
  return json;
}

Json keys_json(const std::vector<NodeId>& ids, const NodeKeys& keys) {
  Json list = Json::array();
  for (const NodeId id : ids) list.push_back(keys.key(id));
  return list;
}

template <class Entry>
Json reasons_json(const std::vector<Entry>& entries, const NodeKeys& keys) {
  Json list = Json::array();
  for (const Entry& entry : entries)
    list.push_back({{"node", keys.key(entry.node)}, {"reason", entry.reason}});
  return list;
}

}  // namespace

Json to_json(const QuantPlan& plan, const Graph& graph) {
  const NodeKeys keys(graph);
  Json json{{"schema", kPlanSchema},
            {"target", plan.target},
            {"opset", plan.opset},
            {"quantized", keys_json(plan.quantized, keys)},
            {"moved", keys_json(plan.moved, keys)},
            {"placements", Json::array()},
            {"biases", Json::array()},
            {"removed", reasons_json(plan.removed, keys)},
            {"skipped", reasons_json(plan.skipped, keys)},
            {"notes", plan.notes}};
  if (plan.float_biases) json["float_biases"] = true;
  if (!plan.dynamic.empty()) json["dynamic"] = keys_json(plan.dynamic, keys);
  for (const Equalization& equalization : plan.equalized) {
    Json scales = Json::array();
    for (const float scale : equalization.scale) scales.push_back(shortest(scale));
    json["equalized"].push_back({{"first", equalization.first},
                                 {"second", equalization.second},
                                 {"scale", std::move(scales)},
                                 {"reason", equalization.reason}});
    if (equalization.absorbed.empty()) continue;
    Json& absorbed = json["equalized"].back()["absorbed"] = Json::array();
    for (const float x : equalization.absorbed) absorbed.push_back(shortest(x));
  }
  for (const Smoothing& smoothing : plan.smoothed) {
    json["smoothed"].push_back({{"tensor", smoothing.tensor},
                                {"nodes", smoothing.nodes},
                                {"scale", scales_json(smoothing.scale)},
                                {"absorbed", smoothing.absorbed},
                                {"reason", smoothing.reason}});
  }
  for (const Placement& placement : plan.placements) {
    json["placements"].push_back(placement_json(placement, graph, keys));
  }
  for (const BiasPlacement& bias : plan.biases) {
    json["biases"].push_back({{"tensor", graph.value(bias.value).name},
                              {"use", use_json(bias.use, keys)},
                              {"scale", scales_json(bias.scale)},
                              {"reason", bias.reason}});
    if (bias.shift.empty()) continue;
    Json& shifts = json["biases"].back()["shift"] = Json::array();
    for (const float shift : bias.shift) shifts.push_back(shortest(shift));
  }
  return json;
}

void write_plan(const std::filesystem::path& path, const QuantPlan& plan, const Graph& graph) {
  write_json(path, to_json(plan, graph));
}

}  // namespace qtool
