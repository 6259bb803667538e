// SPDX-License-Identifier: Apache-2.0
#include "numerics/entropy.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

namespace qtool {

namespace {

double times_log(double x) { return x > 0 ? x * std::log(x) : 0; }

std::vector<double> without_zeros(const TensorStats& stats) {
  const auto counts = stats.histogram.counts();
  std::vector<double> others(counts.begin(), counts.end());
  const int64_t zero = -stats.histogram.first_bin();
  if (zero >= 0 && zero < static_cast<int64_t>(others.size())) {
    double& count = others[static_cast<size_t>(zero)];
    count -= std::min(count, static_cast<double>(stats.zeros));
  }
  return others;
}

}  // namespace

Divergence::Divergence(const TensorStats& stats)
    : Divergence(std::ldexp(1.0, stats.histogram.exponent()), stats.histogram.first_bin(),
                 without_zeros(stats)) {}

Divergence::Divergence(double bin_width, int64_t first_bin, std::vector<double> counts)
    : width_(bin_width), first_(first_bin), counts_(std::move(counts)) {
  const size_t bins = counts_.size();
  mass_.resize(bins + 1);
  filled_.resize(bins + 1);
  order_.resize(bins + 1);
  next_.assign(bins + 1, bins);
  last_.assign(bins + 1, bins);
  for (size_t i = 0; i < bins; ++i) {
    const bool filled = counts_[i] > 0;
    mass_[i + 1] = mass_[i] + counts_[i];
    filled_[i + 1] = filled_[i] + (filled ? 1 : 0);
    order_[i + 1] = order_[i] + times_log(counts_[i]);
    last_[i + 1] = filled ? i : last_[i];
  }
  for (size_t i = bins; i-- > 0;) next_[i] = counts_[i] > 0 ? i : next_[i + 1];
  total_ = mass_.back();
}

size_t Divergence::place(double bin) const {
  const double index = bin - static_cast<double>(first_);
  return static_cast<size_t>(std::clamp(index, 0.0, static_cast<double>(counts_.size())));
}

Divergence::Part Divergence::part(size_t begin, size_t end) const {
  return {mass_[end] - mass_[begin], filled_[end] - filled_[begin], order_[end] - order_[begin]};
}

std::optional<double> Divergence::operator()(const QuantParams& params) const {
  QTOOL_CHECK(params.per_tensor(), "one scale for the tensor");
  const double step = static_cast<double>(params.scale[0]) / width_;  // in bins
  if (step < 1) return std::nullopt;
  const int32_t zero = params.zero_point[0];
  const int32_t codes = params.type.highest() - params.type.lowest() + 1;
  // Bins with their middle in the cell of a code: from the first whose middle is not below its end.
  const auto cell = [&](int32_t code) {
    return place(std::ceil((params.type.lowest() + code - zero - 0.5) * step - 0.5));
  };
  const size_t begin = cell(0);
  const size_t end = cell(codes);
  const Part inside = part(begin, end);
  if (inside.mass == 0) return std::nullopt;
  // Sum of n/N log((n/N) / (m/k/M)): n of a bin, m of its code, which has k bins, M inside, N all.
  double sum = inside.order + inside.mass * std::log(inside.mass / total_);
  size_t from = begin;
  const size_t lowest = next_[begin];
  const size_t highest = last_[end];
  double mean_lowest = 1;
  double mean_highest = 1;
  for (int32_t code = 0; code < codes && from < end; ++code) {
    const size_t to = cell(code + 1);
    const Part own = part(from, to);
    if (own.mass > 0) {
      const double mean = own.mass / own.filled;
      sum -= own.mass * std::log(mean);
      if (from <= lowest && lowest < to) mean_lowest = mean;
      if (from <= highest && highest < to) mean_highest = mean;
    }
    from = to;
  }
  // What is clipped joins the outermost bins.
  const auto join = [&](size_t bin, double mean, double before, double more) {
    const double had = counts_[bin] + before;
    sum += times_log(had + more) - times_log(had) - more * std::log(mean * total_ / inside.mass);
  };
  const double below = mass_[begin];
  join(lowest, mean_lowest, 0, below);
  join(highest, mean_highest, lowest == highest ? below : 0, total_ - mass_[end]);
  return std::max(sum / total_, 0.0);
}

namespace {

/// Bounds as numbers of bins on either side of zero.
struct Reach {
  int64_t low = 0;
  int64_t high = 0;
};

class EntropySearch {
 public:
  EntropySearch(Divergence divergence, const Range& full, QuantType type, Scheme scheme)
      : divergence_(std::move(divergence)), full_(full), type_(type),
        scheme_(scheme), most_{full.low < 0 ? std::max<int64_t>(-divergence_.first_bin(), 1) : 0,
                               full.high > 0 ? std::max<int64_t>(divergence_.end_bin() + 1, 1) : 0},
        best_(most_) {}

  Range run() {
    if (divergence_.empty()) return full_;
    attempt(most_);
    if (scheme_ != Scheme::asymmetric) {
      for (int64_t bins = std::max(most_.low, most_.high) - 1; bins > 0; --bins)
        attempt({std::min(bins, most_.low), std::min(bins, most_.high)});
    } else if (most_.low == 0 || most_.high == 0) {
      for (int64_t bins = std::max(most_.low, most_.high) - 1; bins > 0; --bins)
        attempt({most_.low == 0 ? 0 : bins, most_.high == 0 ? 0 : bins});
    } else {
      both();
    }
    return range(best_);
  }

 private:
  void both() {
    int64_t low = std::max<int64_t>(most_.low / kParts, 1);
    int64_t high = std::max<int64_t>(most_.high / kParts, 1);
    for (int64_t l = most_.low; l > 0; l -= low) {
      for (int64_t h = most_.high; h > 0; h -= high) attempt({l, h});
    }
    for (;;) {
      while (around(low, high)) {
      }
      if (low == 1 && high == 1) return;
      low = std::max<int64_t>(low / 2, 1);
      high = std::max<int64_t>(high / 2, 1);
    }
  }

  bool around(int64_t low, int64_t high) {
    const Reach center = best_;
    bool found = false;
    for (const int64_t l : {center.low + low, center.low, center.low - low}) {
      for (const int64_t h : {center.high + high, center.high, center.high - high})
        found |= attempt({l, h});
    }
    return found;
  }

  Range range(const Reach& reach) const {
    const auto bound = [&](int64_t bins) {
      return static_cast<float>(static_cast<double>(bins) * divergence_.bin_width());
    };
    return {std::max(full_.low, -bound(reach.low)), std::min(full_.high, bound(reach.high))};
  }

  bool attempt(const Reach& reach) {
    if (reach.low < 0 || reach.high < 0 || reach.low > most_.low || reach.high > most_.high)
      return false;
    const Range candidate = range(reach);
    const auto params = choose_params(std::span(&candidate, 1), type_, scheme_);
    const auto loss = divergence_(params);
    if (!loss || !(*loss < least_)) return false;
    least_ = *loss;
    best_ = reach;
    return true;
  }

  static constexpr int64_t kParts = 32;
  Divergence divergence_;
  Range full_;
  QuantType type_;
  Scheme scheme_;
  Reach most_;
  Reach best_;
  double least_ = std::numeric_limits<double>::infinity();
};

}  // namespace

Range least_divergence(Divergence divergence, const Range& full, QuantType type, Scheme scheme) {
  if (full.low == 0 && full.high == 0) return full;
  return EntropySearch(std::move(divergence), full, type, scheme).run();
}

}  // namespace qtool
