// SPDX-License-Identifier: Apache-2.0
#include "quant/recipe.h"

#include <algorithm>
#include <array>
#include <functional>
#include <regex>
#include <set>

#include "data/yaml.h"
#include "quant/methods.h"
#include "quant/names.h"
#include "quant/target.h"
#include "support/file.h"
#include "support/text.h"

namespace qtool {

namespace {

using Matches = std::function<bool(const std::string& name, const std::string& op)>;

Matches compile(const std::string& pattern) {
  if (pattern.size() < 2 || !pattern.starts_with('/') || !pattern.ends_with('/')) {
    return [&pattern](const std::string& name, const std::string& op) {
      return name == pattern || op == pattern;
    };
  }
  try {
    // __polynomial: no exponential time, whatever the expression.
    const std::regex expression(pattern.substr(1, pattern.size() - 2),
                                std::regex::ECMAScript | std::regex_constants::__polynomial);
    return [expression](const std::string& name, const std::string&) {
      return std::regex_match(name, expression);
    };
  } catch (const std::regex_error&) {
    throw usage_error("not a regular expression: " + pattern,
                      "It is in ECMAScript's syntax, without back references.");
  }
}

/// Marks the nodes that each pattern matches with the first pattern that does.
std::vector<std::string> matched(const Graph& graph, std::span<const std::string> patterns,
                                 std::string_view flag) {
  std::vector<std::string> by(graph.node_id_bound());
  for (const std::string& pattern : patterns) {
    const Matches matches = compile(pattern);
    bool any = false;
    std::vector<std::string> candidates;
    for (const NodeId id : graph.nodes()) {
      const std::string name = own_name(graph, id);
      const std::string op = to_string(graph.node(id).op);
      candidates.push_back(name);
      candidates.push_back(op);
      if (!matches(name, op)) continue;
      any = true;
      if (std::string& mark = by[static_cast<size_t>(id)]; mark.empty()) mark = pattern;
    }
    if (any) continue;
    const std::string near = or_did_you_mean(pattern, candidates);
    throw usage_error(
        std::string(flag) + " \"" + pattern + "\" matches no node",
        "It takes a node's name, an op type, or /a regular expression/ for names." + near);
  }
  return by;
}

constexpr std::array kModes{
    std::pair("static", NodeMode::fixed), std::pair("dynamic", NodeMode::dynamic),
    std::pair("weight-only", NodeMode::weight_only), std::pair("float", NodeMode::keep_float)};

std::string to_string(NodeMode mode) {
  return std::ranges::find(kModes, mode, [](const auto& entry) { return entry.second; })->first;
}

NodeMode parse_node_mode(const std::string& text) {
  for (const auto& [name, mode] : kModes) {
    if (text == name) return mode;
  }
  throw input_error("a rule has no mode \"" + text + '"',
                    "It is static, dynamic, weight-only or float.");
}

std::vector<std::string> text_list(const Json& json, const char* key) {
  if (json.at(key).is_string()) return {json.at(key).get<std::string>()};
  return member<std::vector<std::string>>(json, key);
}

}  // namespace

RangeMethod activation_method(const Recipe& recipe, const QuantType& type) {
  if (recipe.activation_method) return *recipe.activation_method;
  if (type.bits > 8) return RangeMethod(MinMax{});
  return type.bits < 8 ? RangeMethod(MeanSquare{}) : RangeMethod(Percentile{});
}

WeightMethod weight_method(const Recipe& recipe, const QuantType& type) {
  return recipe.weight_method.value_or(type.bits < 8 ? WeightMethod::mse : WeightMethod::minmax);
}

std::string to_string(WeightMethod method) {
  return method == WeightMethod::minmax ? "minmax" : "mse";
}

WeightMethod parse_weight_method(const std::string& text) {
  if (text == "minmax") return WeightMethod::minmax;
  if (text == "mse") return WeightMethod::mse;
  throw usage_error("there is no weight method \"" + text + '"', "It is minmax or mse.");
}

void set_bits(Recipe& recipe, const std::string& text) {
  static const std::regex kWidths("(?:w([2-8]))?(?:a([2-8]|16))?(?:w([2-8]))?");
  std::smatch found;
  const bool fits = std::regex_match(text, found, kWidths);
  if (text.empty() || !fits || (found[1].matched && found[3].matched)) {
    throw usage_error(
        "there are no widths \"" + text + '"',
        "Write w4a4, w4, a8 or a16w8: weights of 2 to 8 bits, activations of 2 to 8 or "
        "16.");
  }
  for (const size_t weights : {size_t{1}, size_t{3}}) {
    if (found[weights].matched) recipe.weight_bits = std::stoi(found[weights]);
  }
  if (found[2].matched) recipe.activation_bits = std::stoi(found[2]);
}

std::vector<bool> matched_nodes(const Graph& graph, const RecipeRule& rule) {
  const auto by = matched(graph, rule.match, "rule for");
  std::vector<bool> nodes;
  for (const std::string& pattern : by) nodes.push_back(!pattern.empty());
  return nodes;
}

std::vector<NodeMode> node_modes(const Graph& graph, const Recipe& recipe) {
  std::vector<NodeMode> modes(graph.node_id_bound(), NodeMode::fixed);
  for (const RecipeRule& rule : recipe.rules) {
    const std::vector<bool> nodes = matched_nodes(graph, rule);
    for (size_t i = 0; i < modes.size(); ++i) {
      if (!nodes[i]) continue;
      const bool was_float = modes[i] == NodeMode::keep_float;
      modes[i] = rule.mode.value_or(was_float ? NodeMode::fixed : modes[i]);
    }
  }
  return modes;
}

std::vector<std::string> exclusions(const Graph& graph, const Recipe& recipe,
                                    const char* exclude_flag) {
  const auto excluded = matched(graph, recipe.exclude, exclude_flag);
  const auto included = matched(graph, recipe.include, "--include");
  std::vector<std::string> reasons(graph.node_id_bound());
  const std::vector<NodeMode> modes = node_modes(graph, recipe);
  for (size_t i = 0; i < reasons.size(); ++i) {
    if (modes[i] == NodeMode::keep_float) {
      reasons[i] = "excluded by a rule of the recipe";
    } else if (modes[i] != NodeMode::fixed) {
      reasons[i] = to_string(modes[i]) + ", by a rule of the recipe";
    } else if (!excluded[i].empty()) {
      reasons[i] = "excluded by \"" + excluded[i] + '"';
    } else if (!recipe.include.empty() && included[i].empty()) {
      reasons[i] = "not included";
    }
  }
  return reasons;
}

namespace {

RecipeRule parse_rule(const Json& json) {
  static const std::vector<std::string> kKeys{"activations", "bits",   "float",  "match",
                                              "per_channel", "scheme", "weights"};
  if (!json.is_object()) throw input_error("a rule is an object with match and what to do");
  RecipeRule rule;
  Recipe bits;
  for (const auto& [key, value] : json.items()) {
    if (key == "match") {
      rule.match = text_list(json, "match");
    } else if (key == "activations") {
      rule.wishes.activation_method = parse_range_method(member<std::string>(json, key));
    } else if (key == "weights") {
      rule.wishes.weight_method = parse_weight_method(member<std::string>(json, key));
    } else if (key == "bits") {
      set_bits(bits, member<std::string>(json, key));
      if (bits.activation_bits.value_or(8) > 8)
        throw input_error("activations of 16 bits in a rule",
                          "They are for the whole model: bits.");
    } else if (key == "scheme") {
      rule.wishes.activation_scheme = parse_scheme(member<std::string>(json, key));
    } else if (key == "per_channel") {
      rule.wishes.per_channel = member<bool>(json, key);
    } else if (key == "block") {
      rule.wishes.block = member<int64_t>(json, key);
    } else if (key == "mode") {
      rule.mode = parse_node_mode(member<std::string>(json, key));
    } else if (key == "float") {
      if (member<bool>(json, key)) rule.mode = NodeMode::keep_float;
    } else {
      throw input_error("a rule has no key \"" + key + '"',
                        "The keys are " + join(kKeys, ", ") + '.' + or_did_you_mean(key, kKeys));
    }
  }
  if (rule.match.empty()) throw input_error("a rule without match says nothing of any node");
  rule.wishes.weight_bits = bits.weight_bits;
  rule.wishes.activation_bits = bits.activation_bits;
  return rule;
}

std::vector<RecipeRule> parse_rules(const Json& json) {
  if (!json.is_array()) throw input_error("rules are a list");
  std::vector<RecipeRule> rules;
  for (size_t i = 0; i < json.size(); ++i) {
    try {
      rules.push_back(parse_rule(json[i]));
    } catch (const Error& error) {
      throw input_error(error.message(), error.advice()).within(fmt::format("rule {}", i + 1));
    }
  }
  return rules;
}

}  // namespace

Recipe parse_recipe(const std::string& yaml) {
  const Json json = parse_yaml(yaml);
  check_schema(json, "qtool.recipe/1");
  Recipe recipe;
  for (const auto& [key, value] : json.items()) {
    if (key == "schema") continue;
    if (key == "rules") {
      recipe.rules = parse_rules(value);
      continue;
    }
    try {
      if (key == "activations") {
        recipe.activation_method = parse_range_method(member<std::string>(json, key));
      } else if (key == "weights") {
        recipe.weight_method = parse_weight_method(member<std::string>(json, key));
      } else if (key == "per_channel") {
        recipe.per_tensor_weights = !member<bool>(json, key);
      } else if (key == "bias_correction") {
        recipe.bias_correction = member<bool>(json, key);
      } else if (key == "smooth_quant") {
        recipe.smooth_quant = member<bool>(json, key);
      } else if (key == "bits") {
        set_bits(recipe, member<std::string>(json, key));
      } else if (key == "edges_too") {
        recipe.edges_too = member<bool>(json, key);
      } else if (key == "include") {
        recipe.include = text_list(json, "include");
      } else if (key == "exclude") {
        recipe.exclude = text_list(json, "exclude");
      } else if (key == "allow_quantized") {
        recipe.allow_quantized = member<bool>(json, key);
      } else if (key == "pack") {
        recipe.pack = member<bool>(json, key);
      } else if (key == "reduce_range") {
        recipe.reduce_range = member<bool>(json, key);
      } else if (key == "method") {
        set_methods(recipe, join(text_list(json, "method"), ","));
      } else if (key == "mode") {
        recipe.mode = member<std::string>(json, key);
      } else if (key == "format") {
        recipe.format = member<std::string>(json, key);
      } else if (key == "block") {
        recipe.block = member<int64_t>(json, key);
      } else if (key == "iterations") {
        recipe.iterations = member<size_t>(json, key);
      } else if (key == "target") {
        recipe.target = member<std::string>(json, key);
      } else {
        const std::vector<std::string> keys{
            "activations",  "allow_quantized", "bias_correction", "bits",
            "block",        "edges_too",       "exclude",         "format",
            "include",      "iterations",      "method",          "mode",
            "pack",         "per_channel",     "reduce_range",    "rules",
            "smooth_quant", "target",          "weights"};
        throw input_error(
            "a recipe has no key \"" + key + '"',
            "The keys are schema, " + join(keys, ", ") + '.' + or_did_you_mean(key, keys));
      }
    } catch (const Error& error) {
      // A bad word is a usage error on the command line; in a file it is the file that is wrong.
      throw input_error(error.message(), error.advice()).within("key \"" + key + '"');
    }
  }
  return recipe;
}

Recipe load_recipe(const std::string& name_or_path) {
  const auto found = builtin_recipes().find(name_or_path);
  if (found != builtin_recipes().end()) return parse_recipe(std::string(found->second));
  std::error_code ignored;
  if (!std::filesystem::exists(name_or_path, ignored)) {
    std::vector<std::string> names;
    for (const auto& [name, text] : builtin_recipes()) names.push_back(name);
    throw usage_error(
        "there is no recipe \"" + name_or_path + "\", and no file of that name",
        "The recipes are " + join(names, ", ") + '.' + or_did_you_mean(name_or_path, names));
  }
  return within_frame([&] { return name_or_path; },
                      [&] { return parse_recipe(read_file(name_or_path, 1 << 20)); });
}

}  // namespace qtool
