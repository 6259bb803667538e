// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "numerics/entropy.h"
#include "numerics/range.h"
#include "numerics/range_search.h"
#include "numerics/spread.h"
#include "support/text.h"

namespace qtool {

namespace {

template <class... Cases>
struct Match : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Match(Cases...) -> Match<Cases...>;  // clang 14 does not deduce it

}  // namespace

std::string to_string(const RangeMethod& method) {
  return std::visit(
      Match{[](const MinMax&) -> std::string { return "minmax"; },
            [](const MeanMinMax&) -> std::string { return "mean-minmax"; },
            [](const Percentile& p) { return fmt::format("percentile:{}", p.percentile); },
            [](const MeanSquare&) -> std::string { return "mse"; },
            [](const Entropy&) -> std::string { return "entropy"; },
            [](const Auto&) -> std::string { return "auto"; }},
      method);
}

std::string range_method_names() {
  return "minmax, mean-minmax (moving-average), percentile[:P], mse, entropy, auto";
}

RangeMethod parse_range_method(const std::string& text) {
  static const std::array<std::string, 7> kWords{
      "minmax", "mean-minmax", "moving-average", "percentile", "mse", "entropy", "auto"};
  if (text == "minmax") return MinMax{};
  if (text == "mean-minmax" || text == "moving-average") return MeanMinMax{};
  if (text == "mse") return MeanSquare{};
  if (text == "entropy") return Entropy{};
  if (text == "auto") return Auto{};
  const size_t colon = text.find(':');
  const std::string word = text.substr(0, colon);
  if (word != "percentile") {
    const std::string hint = did_you_mean(word, kWords);
    throw usage_error(
        fmt::format("\"{}\" is not a range method", text),
        "Possible are " + range_method_names() + '.' + (hint.empty() ? hint : ' ' + hint));
  }
  if (colon == std::string::npos) return Percentile{};
  Percentile method;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data() + colon + 1, end, method.percentile);
  if (parsed.ec != std::errc{} || parsed.ptr != end || !(method.percentile > 50) ||
      !(method.percentile <= 100)) {
    throw usage_error(fmt::format("\"{}\": a percentile is above 50 and at most 100", text),
                      "Such as percentile:99.99.");
  }
  return method;
}

namespace {

Range with_zero(const Range& range) {
  return {std::min(range.low, 0.0F), std::max(range.high, 0.0F)};
}

Range mean_bounds(const TensorStats& stats) {
  if (stats.samples == 0) return stats.range;
  const auto samples = static_cast<double>(stats.samples);
  return {static_cast<float>(stats.sample_lows.value() / samples),
          static_cast<float>(stats.sample_highs.value() / samples)};
}

Range percentile_bounds(const TensorStats& stats, Scheme scheme, double percentile) {
  const std::vector<Mass> masses = spread(stats);
  const double outside = (100 - percentile) / 100 * static_cast<double>(stats.elements);
  if (scheme != Scheme::asymmetric) {
    const auto threshold =
        static_cast<float>(tail_threshold(masses, {.below = true, .above = true}, outside));
    return {-threshold, threshold};
  }
  const bool two_sided = stats.range.low < 0 && stats.range.high > 0;
  const double share = two_sided ? outside / 2 : outside;
  return {-static_cast<float>(tail_threshold(masses, {.below = true, .above = false}, share)),
          static_cast<float>(tail_threshold(masses, {.below = false, .above = true}, share))};
}

RangeMethod least_error(const TensorStats& stats, QuantType type, Scheme scheme) {
  static const std::array<RangeMethod, 8> kMethods{
      MinMax{},          MeanMinMax{},     Percentile{99.9999}, Percentile{99.999},
      Percentile{99.99}, Percentile{99.9}, Entropy{},           MeanSquare{}};
  const SpreadError error(spread(stats));
  const RangeMethod* best = nullptr;
  double least = 0;
  for (const RangeMethod& method : kMethods) {
    const Range range = select_range(stats, type, scheme, method);
    const double loss = error(choose_params(std::array{range}, type, scheme));
    if (best != nullptr && !(loss < least)) continue;
    best = &method;
    least = loss;
  }
  return *best;
}

}  // namespace

RangeMethod settled_method(const TensorStats& stats, QuantType type, Scheme scheme,
                           const RangeMethod& method) {
  return std::holds_alternative<Auto>(method) ? least_error(stats, type, scheme) : method;
}

Range select_range(const TensorStats& stats, QuantType type, Scheme scheme,
                   const RangeMethod& method) {
  if (stats.empty()) {
    throw input_error("no finite element was observed",
                      "Calibrate with data that reach this tensor.");
  }
  const Range full = with_zero(stats.range);
  const Range wanted = std::visit(
      Match{[&](const MinMax&) { return full; },
            [&](const MeanMinMax&) { return mean_bounds(stats); },
            [&](const Percentile& p) { return percentile_bounds(stats, scheme, p.percentile); },
            [&](const MeanSquare&) {
              return search_range(full, type, scheme, {.octaves = 8}, SpreadError(spread(stats)));
            },
            [&](const Entropy&) { return least_divergence(Divergence(stats), full, type, scheme); },
            [&](const Auto&) {
              return select_range(stats, type, scheme, least_error(stats, type, scheme));
            }},
      method);
  const Range chosen = with_zero(
      {std::clamp(wanted.low, full.low, full.high), std::clamp(wanted.high, full.low, full.high)});
  // Adding 0 turns -0 into 0.
  return chosen.low == 0 && chosen.high == 0 ? full : Range{chosen.low + 0.0F, chosen.high + 0.0F};
}

double expected_squared_error(const TensorStats& stats, const QuantParams& params) {
  return SpreadError(spread(stats))(params);
}

}  // namespace qtool
