// SPDX-License-Identifier: Apache-2.0
#include "rounding/seqmse.h"

#include <algorithm>
#include <map>

#include "rounding/element_grids.h"
#include "support/error.h"
#include "support/parallel.h"

namespace qtool {

namespace {

/// Columns beyond which candidates are first sieved by the diagonal alone.
constexpr size_t kWide = 256;
constexpr size_t kSieved = 4;

std::vector<float> candidates(bool power_of_two) {
  if (power_of_two) return {1, 0.5F, 2};
  std::vector<float> factors{1};
  for (int i = 0; i <= 27; ++i) {
    const float factor = 0.35F + static_cast<float>(i) / 30;
    factors.push_back(factor);
  }
  return factors;
}

/// In four sums, which go side by side.
double dot(const double* a, const double* b, size_t n) {
  double sums[4] = {0, 0, 0, 0};
  size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    for (size_t k = 0; k < 4; ++k) sums[k] += a[i + k] * b[i + k];
  }
  for (; i < n; ++i) sums[0] += a[i] * b[i];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

class Search {
 public:
  Search(const Tensor& weights, const WeightMatrix& layout, const QuantParams& params,
         std::span<const double> moments)
      : w_(weights.data<float>()), layout_(layout), params_(params), moments_(moments),
        grids_(weights.shape(), params), n_(layout.columns),
        factors_(candidates(powers_of_two(params))), scales_(params.scale) {}

  std::vector<float> run() {
    const size_t groups = moments_.size() / std::max<size_t>(n_ * n_, 1);
    QTOOL_CHECK(groups > 0 && moments_.size() == groups * n_ * n_ && layout_.rows % groups == 0,
                "second moments that do not fit the weights");
    rows_of_group_ = layout_.rows / groups;
    if (params_.per_tensor()) {
      whole();
    } else {
      // Rows share no scales: each has its own slices.
      parallel_for(static_cast<int64_t>(layout_.rows), 1, [&](int64_t begin, int64_t end) {
        for (auto r = static_cast<size_t>(begin); r < static_cast<size_t>(end); ++r) row(r);
      });
    }
    return scales_;
  }

 private:
  const double* moments_of(size_t row) const {
    return moments_.data() + row / rows_of_group_ * n_ * n_;
  }

  double change(size_t row, size_t column, float scale) const {
    const size_t i = layout_.at(row, column);
    return static_cast<double>(grids_.nearest(i, w_[i], scale)) - static_cast<double>(w_[i]);
  }

  /// d^T H d of some columns, plus twice what they have to do with the rest.
  static double error(const double* h, size_t n, std::span<const size_t> columns,
                      std::span<const double> d, std::span<const double> rest) {
    double sum = 0;
    const size_t count = columns.size();
    for (size_t a = 0; a < count; ++a) {
      double along = 0;
      const double* line = h + columns[a] * n;
      if (count == n) {
        along = dot(line, d.data(), n);
      } else {
        for (size_t b = 0; b < count; ++b) along += line[columns[b]] * d[b];
      }
      sum += d[a] * (along + (rest.empty() ? 0 : 2 * rest[a]));
    }
    return sum;
  }

  void row(size_t r) {
    std::map<uint32_t, std::vector<size_t>> slices;
    for (size_t j = 0; j < n_; ++j) slices[grids_.slice[layout_.at(r, j)]].push_back(j);
    const double* h = moments_of(r);
    std::vector<double> d(n_);
    for (const auto& [slice, columns] : slices) {
      for (const size_t j : columns) d[j] = change(r, j, scales_[slice]);
    }
    for (const auto& [slice, columns] : slices) choose(r, slice, columns, h, d);
  }

  void choose(size_t r, uint32_t slice, const std::vector<size_t>& columns, const double* h,
              std::vector<double>& d) {
    std::vector<double> rest;
    if (columns.size() < n_) {
      rest.assign(columns.size(), 0);
      std::vector<double> others = d;
      for (const size_t j : columns) others[j] = 0;
      for (size_t a = 0; a < columns.size(); ++a) {
        for (size_t j = 0; j < n_; ++j) rest[a] += h[columns[a] * n_ + j] * others[j];
      }
    }
    std::vector<double> own(columns.size());
    const auto at = [&](float factor) {
      for (size_t a = 0; a < columns.size(); ++a)
        own[a] = change(r, columns[a], factor * params_.scale[slice]);
    };
    double least = 0;
    float best = 1;
    for (const float factor : sieved(r, slice, columns, h, rest)) {
      at(factor);
      const double now = error(h, n_, columns, own, rest);
      if (factor != 1 && !(now < least)) continue;
      least = now;
      best = factor;
    }
    at(best);
    for (size_t a = 0; a < columns.size(); ++a) d[columns[a]] = own[a];
    scales_[slice] = best * params_.scale[slice];
  }

  /// The factors to look at closely; 1 comes first.
  std::vector<float> sieved(size_t r, uint32_t slice, const std::vector<size_t>& columns,
                            const double* h, const std::vector<double>& rest) const {
    if (columns.size() <= kWide) return factors_;
    std::vector<std::pair<double, float>> order;
    for (const float factor : factors_) {
      double sum = 0;
      for (size_t a = 0; a < columns.size(); ++a) {
        const double each = change(r, columns[a], factor * params_.scale[slice]);
        sum += each * (each * h[columns[a] * n_ + columns[a]] + (rest.empty() ? 0 : 2 * rest[a]));
      }
      order.emplace_back(sum, factor);
    }
    std::ranges::sort(order);
    std::vector<float> best{1};
    for (size_t i = 0; i < std::min(kSieved, order.size()); ++i) {
      if (order[i].second != 1) best.push_back(order[i].second);
    }
    return best;
  }

  /// One scale for all rows.
  void whole() {
    std::vector<size_t> columns(n_);
    for (size_t j = 0; j < n_; ++j) columns[j] = j;
    double least = 0;
    float best = 1;
    for (const float factor : factors_) {
      std::vector<double> errors(layout_.rows);
      parallel_for(static_cast<int64_t>(layout_.rows), 1, [&](int64_t begin, int64_t end) {
        std::vector<double> d(n_);
        for (auto r = static_cast<size_t>(begin); r < static_cast<size_t>(end); ++r) {
          for (size_t j = 0; j < n_; ++j) d[j] = change(r, j, factor * params_.scale[0]);
          errors[r] = error(moments_of(r), n_, columns, d, {});
        }
      });
      double now = 0;
      for (const double each : errors) now += each;
      if (factor != 1 && !(now < least)) continue;
      least = now;
      best = factor;
    }
    scales_[0] = best * params_.scale[0];
  }

  std::span<const float> w_;
  const WeightMatrix& layout_;
  const QuantParams& params_;
  std::span<const double> moments_;
  const ElementGrids grids_;
  size_t n_;
  size_t rows_of_group_ = 1;
  std::vector<float> factors_;
  std::vector<float> scales_;
};

}  // namespace

std::vector<float> seqmse(const Tensor& weights, const WeightMatrix& layout,
                          const QuantParams& params, std::span<const double> moments) {
  return Search(weights, layout, params, moments).run();
}

}  // namespace qtool
