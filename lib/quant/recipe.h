// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "numerics/range.h"
#include "ops/op_def.h"
#include "support/json.h"

namespace qtool {

/// How a weight's range follows from its elements.
enum class WeightMethod {
  minmax,  ///< nothing is clipped
  mse,     ///< the least squared error
};

/// How a weight's codes follow from its elements and its grid.
enum class Rounding {
  nearest,
  hqq,       ///< the grid is chosen for few outliers to weigh less; weights alone, without data
  gptq,      ///< by second moments of the layers' inputs (lib/rounding)
  adaround,  ///< these learn it from samples (lib/rounding)
  adaquant,
  brecq,
  qdrop,
};

/// What becomes of a node's weights and of what it reads.
enum class NodeMode {
  fixed,        ///< both in codes, with ranges from data: the usual
  dynamic,      ///< both in codes, with ranges found at run time
  weight_only,  ///< weights in codes, the rest float
  keep_float,
};

/// What one rule wishes for the nodes that it matches; what is not set is as elsewhere.
struct Wishes {
  std::optional<RangeMethod> activation_method = {};  ///< of what they read
  std::optional<Scheme> activation_scheme = {};       ///< of what they read
  std::optional<int> activation_bits = {};            ///< of what they read
  std::optional<WeightMethod> weight_method = {};
  std::optional<int> weight_bits = {};
  std::optional<bool> per_channel = {};  ///< as far as the target can
  std::optional<int64_t> block = {};     ///< of weights alone
};

struct RecipeRule {
  std::vector<std::string> match;  ///< patterns, as in Recipe; any of them
  Wishes wishes;
  /// Not set: as an earlier rule says, but not float.
  std::optional<NodeMode> mode = {};
};

/// A user's wishes for one run, beyond what the target says. A pattern is a node's name, an op
/// type, or a regular expression between slashes that a node's whole name matches.
struct Recipe {
  std::optional<RangeMethod> activation_method = {};  ///< not set: by the bits, see below
  /// Of some activations, by tensor, what a search found best: wins over the above, not over rules.
  std::map<std::string, RangeMethod> found_methods = {};
  std::optional<WeightMethod> weight_method = {};
  std::vector<std::string> include;  ///< not empty: only these nodes are quantized
  std::vector<std::string> exclude;  ///< these stay float; wins over include
  /// Bits of the grids of layers with weights: of the weights, and of what they read (2 to 8; 16:
  /// of all activations, see with_bits in widths.h); the target's where not set. The first and the
  /// last layers keep the target's unless edges_too.
  std::optional<int> weight_bits = {};
  std::optional<int> activation_bits = {};
  bool edges_too = false;
  bool per_tensor_weights = false;     ///< one scale a weight, though the target takes more
  bool bias_correction = true;         ///< take the mean error that rounded weights make off biases
  std::vector<RecipeRule> rules = {};  ///< for some nodes; later ones win over earlier ones
  std::string target = {};             ///< the target that the recipe is made for; empty: any
  bool smooth_quant = true;         ///< bring channels of unlike sizes to like ones where it pays
  bool equalize = false;            ///< cross-layer equalization
  bool awq = false;                 ///< weight-only: scale the channels of products that weigh most
  bool search_scales = false;       ///< of weights, by the layers' results: SeqMSE (lib/rounding)
  bool search_percentiles = false;  ///< of activations, by the results of what reads them
  bool measure_bias = false;        ///< take off biases what quantized layers get wrong on samples
  Rounding rounding = Rounding::nearest;
  std::optional<size_t> iterations = {};  ///< of a method that learns, for each layer or block
  std::string mode = {};                  ///< of ptq: static, weight-only ...; empty: not said
  std::string format = {};    ///< of what ptq writes: qdq, qoperator, matmul-nbits; empty: not said
  int64_t block = 0;          ///< weight-only: elements that share a scale; 0: all of a result
  bool pack = false;          ///< weights of 4 bits and fewer in 4-bit types, of opset 21
  bool reduce_range = false;  ///< keep sums of two products in 16 bits, for x86 without VNNI
  bool allow_quantized = false;  ///< take a model that has Q/DQ already, leaving those parts
};

/// The method for a grid: the recipe's, else what gave the best outputs at its width (README.md):
/// percentile 99.999 and minmax from 8 bits on, least squared error below; minmax for 16 bits.
RangeMethod activation_method(const Recipe& recipe, const QuantType& type);
WeightMethod weight_method(const Recipe& recipe, const QuantType& type);

/// A YAML file of the schema "qtool.recipe/1": target, activations, weights (minmax, mse),
/// per_channel, bits, pack, method, include, exclude ..., and rules: a list of objects with match
/// (a pattern or several) and any of activations, weights, bits, scheme, per_channel, block, mode
/// (static, dynamic, weight-only, float), float. Errors
/// (input): an unknown key, a value that its key cannot have.
Recipe parse_recipe(const std::string& yaml);

/// By name of a compiled-in recipe, otherwise by path of a file. Errors (usage): neither, with what
/// there is.
Recipe load_recipe(const std::string& name_or_path);

/// Name and YAML text of those compiled in, by name.
const std::map<std::string, std::string_view>& builtin_recipes();

/// What the rules make of each node, by id. Errors (usage): as of matched_nodes.
std::vector<NodeMode> node_modes(const Graph& graph, const Recipe& recipe);

/// By node id. Errors (usage): a pattern of the rule matches no node, with the nearest names.
std::vector<bool> matched_nodes(const Graph& graph, const RecipeRule& rule);

/// "minmax", "mse". Errors (usage): another word.
std::string to_string(WeightMethod method);
WeightMethod parse_weight_method(const std::string& text);

/// Sets both widths from "w4a4", "w4", "a8" or "a16w8". Errors (usage): another text, other widths
/// than 2 to 8 bits, for activations 16.
void set_bits(Recipe& recipe, const std::string& text);

/// Which nodes the patterns leave to be quantized, by node id; the reason where not, else empty.
/// Errors (usage): a pattern that matches no node, with the nearest names; a regular expression
/// that is none.
std::vector<std::string> exclusions(const Graph& graph, const Recipe& recipe,
                                    const char* exclude_flag = "--exclude");

}  // namespace qtool
