// SPDX-License-Identifier: Apache-2.0
#include "quant/algorithms/mixed_widths.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "support/error.h"

namespace qtool {

namespace {

constexpr uint64_t kCells = 16384;
constexpr double kNone = std::numeric_limits<double>::infinity();

uint64_t cheapest(const std::vector<WidthChoice>& choices) {
  return std::ranges::min(choices, {}, &WidthChoice::cost).cost;
}

}  // namespace

WidthSearch::WidthSearch(std::vector<std::vector<WidthChoice>> layers)
    : layers_(std::move(layers)) {
  // Costs are counted above the cheapest choice of each layer.
  uint64_t common = 0;
  for (const auto& choices : layers_) {
    QTOOL_CHECK(!choices.empty() && choices.size() < 65536, "a layer without widths");
    least_ += cheapest(choices);
    most_ += std::ranges::max(choices, {}, &WidthChoice::cost).cost;
    for (const WidthChoice& choice : choices)
      common = std::gcd(common, choice.cost - cheapest(choices));
  }
  common = std::max<uint64_t>(common, 1);
  const uint64_t span = most_ - least_;
  step_ = span / common < kCells ? common : span / kCells + 1;
  cells_ = static_cast<size_t>(span / step_) + layers_.size() + 1;
  taken_.assign(layers_.size() * cells_, 0);
  std::vector<double> best(cells_, 0);
  std::vector<double> next(cells_);
  for (size_t l = 0; l < layers_.size(); ++l) {
    std::ranges::fill(next, kNone);
    const uint64_t base = cheapest(layers_[l]);
    for (size_t k = 0; k < layers_[l].size(); ++k) {
      const WidthChoice& choice = layers_[l][k];
      const auto steps = static_cast<size_t>((choice.cost - base + step_ - 1) / step_);
      for (size_t cell = steps; cell < cells_; ++cell) {
        const double error = best[cell - steps] + choice.error;
        if (error >= next[cell]) continue;
        next[cell] = error;
        taken_[l * cells_ + cell] = static_cast<uint16_t>(k);
      }
    }
    std::swap(best, next);
  }
}

WidthAssignment WidthSearch::at_cell(size_t cell) const {
  WidthAssignment found;
  found.choice.resize(layers_.size());
  for (size_t l = layers_.size(); l-- > 0;) {
    const size_t k = taken_[l * cells_ + cell];
    const WidthChoice& choice = layers_[l][k];
    found.choice[l] = k;
    found.cost += choice.cost;
    found.error += choice.error;
    cell -= static_cast<size_t>((choice.cost - cheapest(layers_[l]) + step_ - 1) / step_);
  }
  return found;
}

void WidthSearch::spend_rest(WidthAssignment& found, uint64_t budget) const {
  while (true) {
    double most = 0;
    size_t layer = 0;
    size_t taken = 0;
    for (size_t l = 0; l < layers_.size(); ++l) {
      const WidthChoice& now = layers_[l][found.choice[l]];
      for (size_t k = 0; k < layers_[l].size(); ++k) {
        const WidthChoice& other = layers_[l][k];
        const double gain = now.error - other.error;
        if (gain <= most || found.cost - now.cost + other.cost > budget) continue;
        most = gain;
        layer = l;
        taken = k;
      }
    }
    if (!(most > 0)) return;
    const WidthChoice& now = layers_[layer][found.choice[layer]];
    found.cost += layers_[layer][taken].cost - now.cost;
    found.choice[layer] = taken;
    found.error -= most;
  }
}

std::optional<WidthAssignment> WidthSearch::best(uint64_t budget) const {
  if (budget < least_) return std::nullopt;
  const auto cell = std::min<uint64_t>((budget - least_) / step_, cells_ - 1);
  WidthAssignment found = at_cell(static_cast<size_t>(cell));
  spend_rest(found, budget);
  return found;
}

std::vector<WidthAssignment> WidthSearch::front(size_t most) const {
  std::vector<WidthAssignment> points;
  const uint64_t span = most_ - least_;
  for (size_t i = 0; i < most; ++i) {
    const uint64_t budget = least_ + (most > 1 ? span * i / (most - 1) : span);
    WidthAssignment found = *best(budget);
    if (!points.empty() && found.error >= points.back().error) continue;
    if (!points.empty() && found.cost <= points.back().cost) points.pop_back();
    points.push_back(std::move(found));
  }
  return points;
}

}  // namespace qtool
