// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "quant/names.h"
#include "quant/plan.h"
#include "quant/target.h"
#include "support/text.h"

namespace qtool {

namespace {

void check_keys(const Json& json, const std::vector<std::string>& known) {
  if (!json.is_object())
    throw input_error("expected an object, found " + json.dump().substr(0, 60));
  for (const auto& [key, value] : json.items()) {
    if (std::ranges::find(known, key) != known.end()) continue;
    throw input_error("unknown key \"" + key + '"', did_you_mean(key, known));
  }
}

const Json& list_of(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found == json.end() || !found->is_array()) {
    throw input_error(fmt::format("the list \"{}\" is missing", key));
  }
  return *found;
}

template <class T>
T member_or(const Json& json, const char* key, T otherwise) {
  return json.contains(key) ? member<T>(json, key) : otherwise;
}

template <class T>
std::vector<T> one_or_list(const Json& json, const char* key) {
  const auto found = json.find(key);
  if (found != json.end() && found->is_array()) return member<std::vector<T>>(json, key);
  return {member<T>(json, key)};
}

class Reader {
 public:
  Reader(const Json& json, const Graph& graph) : json_(json), graph_(graph), keys_(graph) {}

  QuantPlan run() {
    check_schema(json_, kPlanSchema);
    check_keys(json_,
               {"schema", "target", "opset", "float_biases", "quantized", "moved", "placements",
                "biases", "removed", "skipped", "equalized", "smoothed", "dynamic", "notes"});
    plan_.target = member<std::string>(json_, "target");
    plan_.opset = member<int64_t>(json_, "opset");
    if (json_.contains("float_biases")) plan_.float_biases = member<bool>(json_, "float_biases");
    plan_.quantized = nodes("quantized");
    plan_.moved = nodes("moved");
    each("placements", [&](const Json& entry) { plan_.placements.push_back(placement(entry)); });
    each("biases", [&](const Json& entry) { plan_.biases.push_back(bias(entry)); });
    each("removed", [&](const Json& entry) { plan_.removed.push_back(removed(entry)); });
    each("skipped", [&](const Json& entry) {
      check_keys(entry, {"node", "reason"});
      plan_.skipped.push_back({keys_.find(member<std::string>(entry, "node")), reason(entry)});
    });
    if (json_.contains("dynamic")) plan_.dynamic = nodes("dynamic");
    plan_.notes = member<std::vector<std::string>>(json_, "notes");
    plan_.smoothed = smoothings_from_json(json_);
    plan_.equalized = equalizations_from_json(json_);
    return std::move(plan_);
  }

 private:
  template <class Body>
  void each(const char* key, const Body& body) {
    size_t index = 0;
    for (const Json& entry : list_of(json_, key)) {
      within_frame([&] { return fmt::format("{}[{}]", key, index); }, [&] { body(entry); });
      ++index;
    }
  }

  static std::string reason(const Json& entry) {
    return member_or<std::string>(entry, "reason", "");
  }

  std::vector<NodeId> nodes(const char* key) const {
    std::vector<NodeId> ids;
    for (const auto& name : member<std::vector<std::string>>(json_, key))
      ids.push_back(keys_.find(name));
    return ids;
  }

  ValueId value(const Json& entry) const {
    const auto name = member<std::string>(entry, "tensor");
    if (const auto found = graph_.find_value(name)) return *found;
    std::vector<std::string> names;
    for (const ValueId id : graph_.values()) names.push_back(graph_.value(id).name);
    throw input_error("the model has no tensor \"" + name + '"',
                      "Was the plan made for another model?" + or_did_you_mean(name, names));
  }

  /// A use of the value that no other entry has.
  Use use(const Json& entry, ValueId value) {
    check_keys(entry, {"node", "slot"});
    const auto key = member<std::string>(entry, "node");
    const Use found{keys_.find(key), member<int>(entry, "slot")};
    const auto& uses = graph_.value(value).uses;
    if (std::ranges::find(uses, found) == uses.end() || found.slot >= kCaptureSlot) {
      throw input_error(fmt::format("\"{}\" does not read \"{}\" in slot {}", key,
                                    graph_.value(value).name, found.slot));
    }
    if (!used_.emplace(found.node, found.slot).second) {
      throw input_error(fmt::format("slot {} of \"{}\" is named twice", found.slot, key));
    }
    return found;
  }

  QuantParams params(const Json& entry) const {
    const QuantType type = parse_quant_type(member<std::string>(entry, "type"));
    std::vector<float> scales = one_or_list<float>(entry, "scale");
    std::vector<int32_t> zero_points = one_or_list<int32_t>(entry, "zero_point");
    if (zero_points.size() == 1) zero_points.resize(scales.size(), zero_points[0]);
    std::optional<int> axis;
    if (entry.contains("axis")) axis = member<int>(entry, "axis");
    return checked_params(type, std::move(scales), std::move(zero_points), axis,
                          member_or<int64_t>(entry, "block_size", 0));
  }

  static void check_fit(const QuantParams& params, const Tensor& tensor) {
    if (params.per_tensor()) return;
    const auto axis = static_cast<size_t>(*params.axis);
    const bool valid = *params.axis >= 0 && axis < tensor.shape().size();
    int64_t wanted = valid ? tensor.shape()[axis] : 0;
    if (valid && params.block_size > 0) {
      const int64_t blocks = (wanted + params.block_size - 1) / params.block_size;
      wanted = wanted == 0 ? 0 : tensor.size() / wanted * blocks;
    }
    if (valid && wanted == static_cast<int64_t>(params.scale.size())) return;
    throw input_error(fmt::format("{} scales on axis {} do not fit the shape {}",
                                  params.scale.size(), *params.axis, to_string(tensor.shape())));
  }

  Constant float_constant(ValueId id) const {
    Constant constant = graph_.constant(id);
    if (constant == nullptr || constant->dtype() != DType::float32) {
      throw input_error('"' + graph_.value(id).name + "\" is not a float constant");
    }
    return constant;
  }

  Placement placement(const Json& entry) {
    check_keys(entry, {"tensor", "kind", "type", "scale", "zero_point", "axis", "block_size",
                       "output", "uses", "reason"});
    Placement result;
    const auto kind = member<std::string>(entry, "kind");
    if (kind != "activation" && kind != "constant") {
      throw input_error("the kind is \"" + kind + "\"; it is activation or constant");
    }
    result.kind = kind == "constant" ? Placement::Kind::constant : Placement::Kind::activation;
    result.value = value(entry);
    for (const Json& one : list_of(entry, "uses")) result.uses.push_back(use(one, result.value));
    result.params = params(entry);
    result.output = member_or(entry, "output", false);
    result.reason = reason(entry);
    if (result.kind == Placement::Kind::constant) {
      check_fit(result.params, *float_constant(result.value));
      if (result.output) throw input_error("a constant has no \"output\"");
    } else {
      check_activation(result);
    }
    return result;
  }

  void check_activation(const Placement& placement) {
    const std::string name = '"' + graph_.value(placement.value).name + '"';
    if (!placement.params.per_tensor())
      throw input_error(name + " is an activation and takes one scale");
    if (graph_.constant(placement.value) != nullptr) throw input_error(name + " is a constant");
    if (!activations_.insert(placement.value).second) throw input_error(name + " is placed twice");
    const bool made = graph_.value(placement.value).producer != NodeId::none;
    if (placement.output && !(graph_.is_output(placement.value) && made)) {
      throw input_error(name + " is not a graph output that a node makes");
    }
    if (placement.output && placement.uses.size() != graph_.value(placement.value).uses.size()) {
      throw input_error("with \"output\" all uses of " + name + " must be named");
    }
  }

  BiasPlacement bias(const Json& entry) {
    check_keys(entry, {"tensor", "use", "scale", "shift", "reason"});
    BiasPlacement result;
    result.value = value(entry);
    result.use = use(member<Json>(entry, "use"), result.value);
    result.scale = one_or_list<float>(entry, "scale");
    result.reason = reason(entry);
    const Constant constant = float_constant(result.value);
    if (result.scale.size() != 1 && static_cast<int64_t>(result.scale.size()) != constant->size()) {
      throw input_error(
          fmt::format("{} scales for {} elements", result.scale.size(), constant->size()));
    }
    checked_params({}, result.scale, std::vector<int32_t>(result.scale.size(), 0), 0);
    if (entry.contains("shift")) result.shift = member<std::vector<float>>(entry, "shift");
    const bool finite =
        std::ranges::all_of(result.shift, [](float shift) { return std::isfinite(shift); });
    if (!finite ||
        (!result.shift.empty() && static_cast<int64_t>(result.shift.size()) != constant->size())) {
      throw input_error(fmt::format("\"shift\" is not {} finite numbers", constant->size()));
    }
    return result;
  }

  RemovedNode removed(const Json& entry) {
    check_keys(entry, {"node", "reason"});
    const auto key = member<std::string>(entry, "node");
    const RemovedNode result{keys_.find(key), reason(entry)};
    const Node& node = graph_.node(result.node);
    const bool one = node.outputs.size() == 1 && node.outputs[0] != ValueId::none &&
                     !node.inputs.empty() && node.inputs[0] != ValueId::none;
    const Value* input = one ? &graph_.value(node.inputs[0]) : nullptr;
    if (input == nullptr || input->producer == NodeId::none || input->uses.size() != 1 ||
        graph_.is_output(node.inputs[0]) || !activations_.contains(node.outputs[0])) {
      throw input_error('"' + key +
                        "\" cannot be removed: it is not a node whose input only it reads and "
                        "whose result is quantized");
    }
    return result;
  }

  const Json& json_;
  const Graph& graph_;
  NodeKeys keys_;
  std::set<std::pair<NodeId, int>> used_;
  std::set<ValueId> activations_;
  QuantPlan plan_;
};

}  // namespace

namespace {

Json edits(const Json& json, const char* key) {
  if (!json.is_object() || !json.contains(key)) return Json::array();
  Json list = member<Json>(json, key);
  if (!list.is_array()) throw input_error(fmt::format("the key \"{}\" is no list", key));
  return list;
}

std::vector<float> floats_of(const Json& entry, const char* key) {
  std::vector<float> floats;
  for (const double x : member<std::vector<double>>(entry, key))
    floats.push_back(static_cast<float>(x));
  return floats;
}

}  // namespace

std::vector<Smoothing> smoothings_from_json(const Json& json) {
  std::vector<Smoothing> result;
  const Json list = edits(json, "smoothed");
  for (const Json& entry : list) {
    Smoothing smoothing;
    smoothing.tensor = member<std::string>(entry, "tensor");
    check_keys(entry, {"tensor", "nodes", "scale", "absorbed", "reason"});
    smoothing.nodes = member<std::vector<std::string>>(entry, "nodes");
    smoothing.scale = floats_of(entry, "scale");
    smoothing.absorbed = member<bool>(entry, "absorbed");
    smoothing.reason = member<std::string>(entry, "reason");
    result.push_back(std::move(smoothing));
  }
  return result;
}

std::vector<Equalization> equalizations_from_json(const Json& json) {
  std::vector<Equalization> result;
  const Json list = edits(json, "equalized");
  for (const Json& entry : list) {
    Equalization equalization;
    equalization.first = member<std::string>(entry, "first");
    check_keys(entry, {"first", "second", "scale", "absorbed", "reason"});
    equalization.second = member<std::string>(entry, "second");
    equalization.scale = floats_of(entry, "scale");
    if (entry.contains("absorbed")) equalization.absorbed = floats_of(entry, "absorbed");
    equalization.reason = member<std::string>(entry, "reason");
    result.push_back(std::move(equalization));
  }
  return result;
}

QuantPlan plan_from_json(const Json& json, const Graph& graph) { return Reader(json, graph).run(); }

QuantPlan read_plan(const std::filesystem::path& path, const Graph& graph) {
  return within_frame([&] { return path.string(); },
                      [&] { return plan_from_json(read_json(path), graph); });
}

}  // namespace qtool
