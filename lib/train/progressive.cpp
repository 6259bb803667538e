// SPDX-License-Identifier: Apache-2.0
#include "train/progressive.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "quant/recipe.h"
#include "support/text.h"

namespace qtool {

namespace {

/// Factors by which a scale has moved, by the name of its parameter.
std::map<std::string, std::vector<float>> changes(const QuantizedTraining& training,
                                                  const QuantPlan& plan) {
  std::map<std::string, std::vector<float>> result;
  for (const LearnedGrid& grid : training.grids) {
    const Parameter& scale = training.trainable.parameters[grid.scale];
    const std::vector<float>& before = plan.placements.at(grid.placement).params.scale;
    const auto after = scale.value.data<float>();
    if (before.size() != after.size() || result.contains(scale.name)) continue;
    std::vector<float>& factors = result[scale.name];
    for (size_t c = 0; c < before.size(); ++c) factors.push_back(after[c] / before[c]);
  }
  return result;
}

}  // namespace

std::vector<Stage> parse_stages(const std::string& text, int epochs) {
  std::vector<Stage> stages;
  int done = 0;
  for (const std::string& word : text.empty() ? std::vector<std::string>{} : split(text, ',')) {
    const std::vector<std::string> parts = split(word, ':');
    const bool counted = parts.size() == 2 && !parts[0].empty() && !parts[1].empty() &&
                         parts[1].size() < 7 &&
                         parts[1].find_first_not_of("0123456789") == std::string::npos;
    const int count = counted ? std::stoi(parts[1]) : 0;
    Recipe bits;
    if (count < 1) {
      throw usage_error("there is no stage \"" + word + '"',
                        "Write bits and epochs, such as w4a4:4 or w4a4:4,w3a3:6.");
    }
    set_bits(bits, parts[0]);
    done += count;
    stages.push_back({parts[0], done});
  }
  if (done >= epochs) {
    throw usage_error(fmt::format("the stages \"{}\" take {} epochs of {}", text, done, epochs),
                      "Leave some of --epochs to the bits of the result.");
  }
  stages.push_back({{}, epochs});
  return stages;
}

size_t stage_of(const std::vector<Stage>& stages, int epoch) {
  size_t stage = 0;
  while (stage + 1 < stages.size() && epoch > stages[stage].until) ++stage;
  return stage;
}

void carry_over(const QuantizedTraining& from, const QuantPlan& plan, QuantizedTraining& to,
                TrainState& state, const OptimizerSpec& spec) {
  const std::vector<Parameter>& before = from.trainable.parameters;
  std::vector<Parameter>& after = to.trainable.parameters;
  const auto factors = changes(from, plan);
  std::map<std::string, size_t> index;
  for (size_t p = 0; p < before.size(); ++p) index.emplace(before[p].name, p);
  Optimizer optimizer(spec, after);
  optimizer.set_steps(state.optimizer.steps());
  for (size_t p = 0; p < after.size(); ++p) {
    Parameter& parameter = after[p];
    const auto found = index.find(parameter.name);
    if (found == index.end() || parameter.kind == Parameter::Kind::zero_point) continue;
    const Parameter& learned = before[found->second];
    if (learned.value.shape() != parameter.value.shape()) continue;
    if (parameter.kind != Parameter::Kind::scale) {
      parameter.value = learned.value.clone();
    } else if (const auto moved = factors.find(parameter.name); moved != factors.end()) {
      const auto values = parameter.value.data<float>();
      for (size_t c = 0; c < values.size(); ++c) {
        values[c] = std::clamp(values[c] * moved->second[c], parameter.lowest, parameter.highest);
      }
    }
    for (size_t m = 0; m * after.size() < optimizer.moments().size(); ++m) {
      optimizer.moments()[m * after.size() + p] =
          state.optimizer.moments()[m * before.size() + found->second].clone();
    }
  }
  state.optimizer = std::move(optimizer);
  state.average.clear();
  state.oscillation.clear();
  state.best.clear();
  state.best_accuracy.reset();
  state.best_epoch = 0;
}

}  // namespace qtool
