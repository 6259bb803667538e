// SPDX-License-Identifier: Apache-2.0
#include "quant/target.h"

#include <algorithm>

#include "data/yaml.h"
#include "support/file.h"
#include "support/json.h"
#include "support/text.h"

namespace qtool {

namespace {

/// An object whose keys are all known.
void check_keys(const Json& json, std::vector<std::string> keys) {
  if (!json.is_object())
    throw input_error("expected an object, found " + json.dump().substr(0, 60));
  for (const auto& [key, value] : json.items()) {
    if (std::ranges::find(keys, key) != keys.end()) continue;
    throw input_error("unknown key \"" + key + '"',
                      "The keys here are " + join(keys, ", ") + '.' + or_did_you_mean(key, keys));
  }
}

template <class T>
T member_or(const Json& json, const char* key, T otherwise) {
  return json.contains(key) ? member<T>(json, key) : otherwise;
}

/// "Conv" or "com.microsoft.Gelu".
OpKey op_key(const std::string& text) {
  const size_t dot = text.rfind('.');
  return dot == std::string::npos ? OpKey{"", text}
                                  : OpKey{text.substr(0, dot), text.substr(dot + 1)};
}

TargetOp parse_op(const Json& json) {
  check_keys(json, {"when", "output", "computed_weights", "per_channel", "residual"});
  TargetOp op;
  const auto when = member_or<std::string>(json, "when", "always");
  if (when != "always" && when != "inputs_quantized") {
    throw input_error("\"when\" is \"" + when + "\"; it is always or inputs_quantized");
  }
  op.when = when == "always" ? Eagerness::always : Eagerness::inputs_quantized;
  const auto output = member_or<std::string>(json, "output", "codes");
  if (output != "codes" && output != "float") {
    throw input_error("\"output\" is \"" + output + "\"; it is codes or float");
  }
  op.float_output = output == "float";
  op.computed_weights = member_or(json, "computed_weights", false);
  op.per_channel = member_or(json, "per_channel", true);
  op.residual = member_or(json, "residual", false);
  return op;
}

void parse_types(const Json& json, Target& target) {
  const Json activations = member<Json>(json, "activations");
  within_frame(
      [] { return "activations"; },
      [&] {
        check_keys(activations, {"type", "scheme"});
        target.activation_type = parse_quant_type(member<std::string>(activations, "type"));
        target.activation_scheme = parse_scheme(member<std::string>(activations, "scheme"));
      });
  const Json weights = member<Json>(json, "weights");
  within_frame([] { return "weights"; },
               [&] {
                 check_keys(weights, {"type", "scheme", "per_channel", "pairs_in_16_bits"});
                 target.weight_type = parse_quant_type(member<std::string>(weights, "type"));
                 target.weight_scheme = parse_scheme(member<std::string>(weights, "scheme"));
                 target.per_channel = member_or(weights, "per_channel", true);
                 target.pairs_in_16_bits = member_or(weights, "pairs_in_16_bits", false);
                 // A bias in 32 bits with the scale of the product has no zero point to take it off
                 // with.
                 if (target.weight_scheme == Scheme::asymmetric)
                   throw input_error("weights must be symmetric");
               });
}

int64_t least_opset(const Target& target) {
  const auto needs = [](const QuantType& type) {
    return type.storage() == DType::int8 || type.storage() == DType::uint8 ? 13 : 21;
  };
  return std::max(needs(target.activation_type), needs(target.weight_type));
}

}  // namespace

QuantType parse_quant_type(const std::string& text) {
  for (const int bits : {2, 3, 4, 5, 6, 7, 8, 16}) {
    for (const QuantType type : {QuantType{bits, false, false}, QuantType{bits, true, false},
                                 QuantType{bits, true, true}}) {
      if (to_string(type) == text) return type;
    }
  }
  throw input_error(
      "there is no quantized type \"" + text + '"',
      "It is u or s and 2 to 8 or 16, such as u8; signed ones may be narrow: \"s8 narrow\".");
}

std::string to_string(Scheme scheme) {
  switch (scheme) {
    case Scheme::asymmetric: return "asymmetric";
    case Scheme::symmetric: return "symmetric";
    case Scheme::symmetric_power_of_two: return "power-of-two";
  }
  return {};
}

Scheme parse_scheme(const std::string& text) {
  for (const Scheme scheme :
       {Scheme::asymmetric, Scheme::symmetric, Scheme::symmetric_power_of_two}) {
    if (to_string(scheme) == text) return scheme;
  }
  throw input_error("there is no scheme \"" + text + '"',
                    "It is asymmetric, symmetric or power-of-two.");
}

Target parse_target(const std::string& yaml) {
  const Json json = parse_yaml(yaml);
  check_schema(json, "qtool.target/1");
  check_keys(json, {"schema", "name", "description", "opset", "activations", "weights", "biases",
                    "fixed_ranges", "remove_activations", "computes", "moves"});
  Target target;
  target.name = member<std::string>(json, "name");
  target.description = member_or<std::string>(json, "description", "");
  parse_types(json, target);
  const auto biases = member_or<std::string>(json, "biases", "codes");
  if (biases != "codes" && biases != "float")
    throw input_error("\"biases\" is \"" + biases + "\"; it is codes or float");
  target.float_biases = biases == "float";
  target.opset = member_or<int64_t>(json, "opset", 13);
  if (target.opset < least_opset(target) || target.opset > 21) {
    throw input_error(fmt::format("opset {}; with these types it is {} to 21", target.opset,
                                  least_opset(target)));
  }
  target.fixed_ranges = member_or(json, "fixed_ranges", false);
  target.remove_activations = member_or(json, "remove_activations", true);
  const Json computes = member<Json>(json, "computes");
  for (const auto& item : computes.items()) {
    const std::string& name = item.key();
    const Json& value = item.value();
    within_frame([&] { return "computes: " + name; },
                 [&] { target.computes.emplace(op_key(name), parse_op(value)); });
  }
  for (const auto& name : member<std::vector<std::string>>(json, "moves")) {
    target.moves.push_back(op_key(name));
  }
  return target;
}

Target load_target(const std::string& name_or_path) {
  const auto found = builtin_targets().find(name_or_path);
  if (found != builtin_targets().end()) return parse_target(std::string(found->second));
  std::error_code ignored;
  if (!std::filesystem::exists(name_or_path, ignored)) {
    std::vector<std::string> names;
    for (const auto& [name, text] : builtin_targets()) names.push_back(name);
    throw usage_error(
        "there is no target \"" + name_or_path + "\", and no file of that name",
        "The targets are " + join(names, ", ") + '.' + or_did_you_mean(name_or_path, names));
  }
  return within_frame([&] { return name_or_path; },
                      [&] { return parse_target(read_file(name_or_path, 1 << 20)); });
}

}  // namespace qtool
