// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "quant/widths.h"
#include "support/text.h"
#include "tuner.h"

namespace qtool {

namespace {

Trial with_rules(const Trial& trial, const std::string& rules, double bits) {
  const std::string name = fmt::format("{:.2f} bits", bits);
  return {trial.name == "default" ? name : name + ", " + trial.name, trial.yaml + rules,
          trial.learns};
}

/// Those that say something of weights' rounding beyond the default.
bool for_widths(const Trial& trial) {
  constexpr std::array kNames{"default", "empirical-bias", "gptq", "adaround"};
  return std::ranges::find(kNames, trial.name) != kNames.end();
}

}  // namespace

void Tuner::run_mixed(const std::vector<Trial>& list) {
  const Target target = with_bits(flags_.plan.load(), parse_recipe(list.at(0).yaml));
  const Graph graph = quantizable_graph(model_, target, log_);
  mixed_.emplace(model_, graph, table_for(graph, target), target, flags_.data, flags_.mixed,
                 globals_, log_);
  if (!flags_.mixed.budgeted()) return descend(list.at(0));
  uint64_t bits = 8 * mixed_->weights();
  if (flags_.mixed.target_bits)
    bits =
        static_cast<uint64_t>(*flags_.mixed.target_bits * static_cast<double>(mixed_->weights()));
  if (flags_.mixed.packed()) bits = bits_within_size(list.at(0));
  widths_ = mixed_->within(bits);
  const std::string rules = mixed_->rules(*widths_);
  for (const Trial& trial : list) {
    if (!for_widths(trial) || (trial.learns && flags_.no_learning)) continue;
    attempt(with_rules(trial, rules, mixed_->mean_bits(*widths_)));
  }
}

/// Halves the front until the fewest bits are found that are good enough; without any, the most.
void Tuner::descend(const Trial& trial) {
  const std::vector<WidthAssignment> front = mixed_->front();
  size_t good_at = front.size();  // all from here on are taken to be good
  size_t from = 0;
  while (from < good_at && may_begin()) {
    // The first question is whether any is.
    const size_t middle = good_at == front.size() ? front.size() - 1 : (from + good_at) / 2;
    std::optional<Made> made =
        make(with_rules(trial, mixed_->rules(front[middle]), mixed_->mean_bits(front[middle])));
    const bool is_good = made && good(made->score);
    if (made && (is_good || !best_)) {
      best_ = std::move(made);
      widths_ = front[middle];
    }
    if (!is_good && middle + 1 == front.size()) return;
    if (is_good) {
      good_at = middle;
    } else {
      from = middle + 1;
    }
  }
}

/// So many bits leave a file of the wished size, from that of 8 bits; checked by making it.
uint64_t Tuner::bits_within_size(const Trial& trial) {
  const uint64_t most = parse_size("--max-size", flags_.mixed.max_size, model_.file.bytes);
  uint64_t bits = 8 * mixed_->weights();
  for (int attempt = 0; attempt < 4; ++attempt) {
    const WidthAssignment widths = mixed_->within(bits);
    const Made made = quantized(with_rules({"default", trial.yaml}, mixed_->rules(widths), 0));
    const uint64_t bytes = size_of(made);
    if (bytes <= most) return widths.cost;
    const uint64_t over = 8 * (bytes - most);
    if (over >= widths.cost || widths.cost - over < 4 * mixed_->weights()) {
      throw usage_error(
          fmt::format("--max-size {}: {} bytes are out of reach", flags_.mixed.max_size, most),
          fmt::format("With 4 bits a weight the file has some {} bytes.",
                      bytes - (widths.cost - 4 * mixed_->weights()) / 8));
    }
    bits = widths.cost - over;
  }
  throw unsupported_error("no widths were found for --max-size " + flags_.mixed.max_size);
}

uint64_t Tuner::size_of(const Made& made) const {
  return saved_bytes(made.model.graph, flags_.output, save_options(false));
}

}  // namespace qtool
