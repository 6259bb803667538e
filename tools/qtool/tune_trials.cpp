// SPDX-License-Identifier: Apache-2.0
#include "tune_trials.h"

#include <fmt/format.h>

#include "support/json.h"

namespace qtool {

std::vector<Trial> trials(const TrialBase& base) {
  // JSON's texts are YAML's as well.
  std::string head = fmt::format("schema: qtool.recipe/1\ntarget: {}\n", Json(base.target).dump());
  if (!base.bits.empty()) head += fmt::format("bits: {}\n", base.bits);
  if (base.packed) head += "pack: true\n";
  std::vector<Trial> list{
      {"default", head},
      {"minmax", head + "activations: minmax\nweights: minmax\n"},
      {"mse", head + "activations: mse\nweights: mse\n"},
      {"auto", head + "activations: auto\nweights: mse\n"},
      {"empirical-bias", head + "method: [empirical-bias]\n"},
  };
  if (base.one_scale) {
    list.push_back({"cle", head + "method: [cle]\n"});
    list.push_back({"cle, empirical-bias", head + "method: [cle, empirical-bias]\n"});
  }
  const bool few = !base.bits.empty() || base.few;
  if (few) list.push_back({"gptq", head + "method: [gptq]\n", true});
  list.push_back({"adaround", head + "method: [adaround]\n", true});
  if (few) list.push_back({"qdrop", head + "method: [qdrop]\n", true});
  if (!few && base.cpu) {
    for (const std::string mode : {"weight-only", "float16"})
      list.push_back({mode, "schema: qtool.recipe/1\nmode: " + mode + '\n', false, true});
  }
  return list;
}

Trial without(const Trial& trial, const std::vector<std::string>& nodes) {
  Json names = Json::array();
  for (const std::string& node : nodes) names.push_back(node);
  return {fmt::format("{} without {}", trial.name,
                      nodes.size() == 1 ? "the worst layer"
                                        : fmt::format("the worst {} layers", nodes.size())),
          trial.yaml + fmt::format("exclude: {}\n", names.dump()), trial.learns};
}

}  // namespace qtool
