// SPDX-License-Identifier: Apache-2.0
#include "train/oscillation.h"

#include <algorithm>
#include <cmath>

#include "ops/along_axis.h"
#include "ops/gradients/grids.h"

namespace qtool {

namespace {

constexpr size_t kStates = 4;
constexpr float kFrozen = -1;

/// The scale of each element of a weight.
class Scales {
 public:
  Scales(const WeightGrid& grid, std::span<const Parameter> parameters) {
    const Tensor& weight = parameters[grid.weight].value;
    const auto scales = parameters[grid.scale].value.data<float>();
    scales_.assign(scales.begin(), scales.end());
    if (grid.power_of_two) std::ranges::transform(scales_, scales_.begin(), nearest_power_of_two);
    inner_ = static_cast<size_t>(weight.size());
    if (grid.axis) inner_ = static_cast<size_t>(AlongAxis(weight.shape(), *grid.axis).inner);
    inner_ = std::max<size_t>(inner_, 1);
  }
  float at(size_t i) const { return scales_[i / inner_ % scales_.size()]; }

 private:
  std::vector<float> scales_;
  size_t inner_ = 1;
};

void check(std::span<const WeightGrid> grids, std::span<const Parameter> parameters,
           const std::vector<Tensor>& state) {
  bool fits = state.size() == kStates * grids.size();
  for (size_t i = 0; fits && i < state.size(); ++i) {
    fits = state[i].dtype() == DType::float32 &&
           state[i].shape() == parameters[grids[i / kStates].weight].value.shape();
  }
  if (!fits) throw input_error("what is known of oscillating weights is of another training");
}

}  // namespace

std::vector<WeightGrid> weight_grids(const QuantizedTraining& training, const QuantPlan& plan) {
  std::vector<WeightGrid> grids;
  const std::vector<Parameter>& parameters = training.trainable.parameters;
  for (const LearnedGrid& learned : training.grids) {
    const Placement& placement = plan.placements.at(learned.placement);
    const auto weight = std::ranges::find(parameters, placement.value, &Parameter::id);
    const bool symmetric =
        std::ranges::all_of(placement.params.zero_point, [](int32_t z) { return z == 0; });
    if (weight == parameters.end() || weight->kind != Parameter::Kind::weight) continue;
    if (!symmetric || !weight->bound.empty() || placement.params.block_size > 0) continue;
    grids.push_back({static_cast<size_t>(weight - parameters.begin()), learned.scale,
                     placement.params.axis, placement.params.type.lowest(),
                     placement.params.type.highest(), learned.power_of_two});
  }
  return grids;
}

void dampen(const OscillationSpec& spec, std::span<const WeightGrid> grids,
            std::span<const Parameter> parameters, double done, std::span<Tensor> gradients) {
  const auto strength =
      static_cast<float>(spec.damping * (1 - std::cos(M_PI * std::clamp(done, 0.0, 1.0))));
  for (const WeightGrid& grid : grids) {
    if (gradients[grid.weight].dtype() == DType::undefined) continue;
    const Scales scales(grid, parameters);
    const auto weights = parameters[grid.weight].value.data<float>();
    const auto gradient = gradients[grid.weight].data<float>();
    for (size_t i = 0; i < weights.size(); ++i) {
      const float scale = scales.at(i);
      const float steps = weights[i] / scale;
      const bool inside =
          steps >= static_cast<float>(grid.lowest) && steps <= static_cast<float>(grid.highest);
      if (!inside) continue;
      const int32_t code = quantize_value(weights[i], scale, 0, grid.lowest, grid.highest);
      // (1 - cos) / 2 of lambda, times the 2 of the square.
      gradient[i] += strength * (weights[i] - static_cast<float>(code) * scale);
    }
  }
}

void freeze_oscillating(const OscillationSpec& spec, std::span<const WeightGrid> grids,
                        std::span<Parameter> parameters, std::vector<Tensor>& state) {
  const bool first = state.empty();
  for (const WeightGrid& grid : grids) {
    for (size_t s = 0; first && s < kStates; ++s) {
      state.emplace_back(DType::float32, parameters[grid.weight].value.shape());
    }
  }
  check(grids, parameters, state);
  const auto m = static_cast<float>(spec.momentum);
  for (size_t g = 0; g < grids.size(); ++g) {
    const WeightGrid& grid = grids[g];
    const Scales scales(grid, parameters);
    const auto weights = parameters[grid.weight].value.data<float>();
    const auto codes = state[kStates * g].data<float>();
    const auto directions = state[kStates * g + 1].data<float>();
    const auto turns = state[kStates * g + 2].data<float>();
    const auto averages = state[kStates * g + 3].data<float>();
    for (size_t i = 0; i < weights.size(); ++i) {
      const float scale = scales.at(i);
      if (turns[i] == kFrozen) {
        weights[i] = codes[i] * scale;
        continue;
      }
      const auto code =
          static_cast<float>(quantize_value(weights[i], scale, 0, grid.lowest, grid.highest));
      if (first) {
        codes[i] = averages[i] = code;
        continue;
      }
      const float change = code - codes[i];
      const bool turned = change * directions[i] < 0;
      if (change != 0) directions[i] = change > 0 ? 1.0F : -1.0F;
      codes[i] = code;
      turns[i] = m * (turned ? 1.0F : 0.0F) + (1 - m) * turns[i];
      averages[i] = m * code + (1 - m) * averages[i];
      if (static_cast<double>(turns[i]) <= spec.freeze) continue;
      turns[i] = kFrozen;
      codes[i] = std::nearbyint(averages[i]);
      weights[i] = codes[i] * scale;
    }
  }
}

}  // namespace qtool
