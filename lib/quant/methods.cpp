// SPDX-License-Identifier: Apache-2.0
#include "quant/methods.h"

#include <algorithm>
#include <array>
#include <vector>

#include "support/text.h"

namespace qtool {

namespace {

template <Rounding rounding>
void round_by(Recipe& recipe) {
  recipe.rounding = rounding;
}

constexpr std::array kMethods{
    Method{"smooth-quant",
           "transformers: channels of unlike sizes in front of products; on by itself",
           "none to speak of", "a table", "Xiao et al. 2022, arXiv:2211.10438",
           [](Recipe& recipe) { recipe.smooth_quant = true; }},
    Method{"bias-correction", "always: takes off the mean error of rounded weights; on by itself",
           "none to speak of", "a table", "Nagel et al. 2019, arXiv:1906.04721",
           [](Recipe& recipe) { recipe.bias_correction = true; }},
    Method{
        "cle",
        "one scale a weight (--per-tensor): brings the channels of convolutions in a row to like "
        "ranges",
        "none to speak of", "a table", "Nagel et al. 2019, arXiv:1906.04721",
        [](Recipe& recipe) { recipe.equalize = true; }},
    Method{"percentile-search",
           "activations with outliers: for each the percentile with the least error in the results "
           "of the layers that read it",
           "six runs of the samples", "64 samples, no labels",
           "the percentiles of Wu et al. 2020, arXiv:2004.09602, chosen by measurement",
           [](Recipe& recipe) { recipe.search_percentiles = true; }},
    Method{
        "empirical-bias",
        "depthwise layers, few bits: bias correction that is measured, fed with quantized inputs",
        "two runs of the samples", "100 samples or more, no labels",
        "Nagel et al. 2019, arXiv:1906.04721", [](Recipe& recipe) { recipe.measure_bias = true; }},
    Method{"hqq", "--mode weight-only without any data", "seconds a million weights", "nothing",
           "Badri and Shaji 2023, mobiusml.github.io/hqq_blog", round_by<Rounding::hqq>},
    Method{
        "awq",
        "--mode weight-only: channels whose data are large get finer weights; before hqq or gptq",
        "one run of the samples, seconds a product", "100 samples, no labels",
        "Lin et al. 2023, arXiv:2306.00978", [](Recipe& recipe) { recipe.awq = true; }},
    Method{"seqmse",
           "weights of 4 bits and fewer: scales of weights by the error of the layers' results; "
           "alone, or "
           "before gptq",
           "one run of the samples a layer", "100 samples or more, no labels",
           "AIMET's sequential MSE (Qualcomm, aimet_torch.seq_mse)",
           [](Recipe& recipe) { recipe.search_scales = true; }},
    Method{"gptq",
           "weights of 4 bits or fewer, of wide layers above all; a fraction of adaround's time",
           "one run of the samples a layer, and the cube of its width",
           "100 samples or more, no labels", "Frantar et al. 2022, arXiv:2210.17323",
           round_by<Rounding::gptq>},
    Method{"adaround", "4-bit weights, or 8-bit ones per tensor; activations of 8 bits", "minutes",
           "some 1,000 samples, no labels", "Nagel et al. 2020, arXiv:2004.10568",
           round_by<Rounding::adaround>},
    Method{"adaquant",
           "weights of 4 bits, which may move by more than a code: layer by layer, scales as well",
           "minutes", "some 1,000 samples, no labels", "Hubara et al. 2020, arXiv:2006.10518",
           round_by<Rounding::adaquant>},
    Method{"brecq", "2- to 4-bit weights: learns block by block, activation scales as well",
           "minutes", "some 1,000 samples, no labels", "Li et al. 2021, arXiv:2102.05426",
           round_by<Rounding::brecq>},
    Method{"qdrop", "activations of 4 bits or fewer: brecq that drops the rounding of some of them",
           "minutes, a little more than brecq", "some 1,000 samples, no labels",
           "Wei et al. 2022, arXiv:2203.05740", round_by<Rounding::qdrop>},
};

}  // namespace

std::span<const Method> methods() { return kMethods; }

void set_methods(Recipe& recipe, const std::string& names) {
  recipe.rounding = Rounding::nearest;
  recipe.search_scales = false;
  recipe.search_percentiles = false;
  for (const std::string& name : split(names, ',')) {
    const auto found =
        std::ranges::find_if(kMethods, [&](const Method& method) { return name == method.name; });
    if (found == kMethods.end()) {
      std::vector<std::string> known;
      for (const Method& method : kMethods) known.emplace_back(method.name);
      throw usage_error("there is no method \"" + name + '"',
                        "The methods are " + join(known, ", ") + "; qtool methods says when." +
                            or_did_you_mean(name, known));
    }
    const Rounding before = recipe.rounding;
    found->choose(recipe);
    if (before != Rounding::nearest && before != recipe.rounding) {
      throw usage_error(to_string(before) + " and " + to_string(recipe.rounding) +
                            " both decide how weights are rounded",
                        "Choose one of them.");
    }
  }
  const bool fits = recipe.rounding == Rounding::nearest || recipe.rounding == Rounding::gptq;
  if (recipe.search_scales && !fits) {
    throw usage_error("seqmse goes alone or before gptq, not with " + to_string(recipe.rounding),
                      "Leave one of the two out.");
  }
}

std::string to_string(Rounding rounding) {
  switch (rounding) {
    case Rounding::nearest: return "nearest";
    case Rounding::hqq: return "hqq";
    case Rounding::gptq: return "gptq";
    case Rounding::adaround: return "adaround";
    case Rounding::adaquant: return "adaquant";
    case Rounding::brecq: return "brecq";
    case Rounding::qdrop: return "qdrop";
  }
  return "nearest";
}

}  // namespace qtool
