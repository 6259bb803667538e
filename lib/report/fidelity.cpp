// SPDX-License-Identifier: Apache-2.0
#include "report/fidelity.h"

#include <algorithm>
#include <cmath>

#include "report/metrics.h"

namespace qtool {

namespace {

/// Hostile magnitudes overflow a sum; a number that is none is reported as absent.
std::optional<double> if_finite(double value) {
  return std::isfinite(value) ? std::optional(value) : std::nullopt;
}

}  // namespace

template <class T>
void FidelityMetrics::add_sample(std::span<const T> reference, std::span<const T> other,
                                 bool classes) {
  double rr = 0, qq = 0, rq = 0, ee = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double r = static_cast<double>(reference[i]);
    const double q = static_cast<double>(other[i]);
    if (!std::isfinite(r) || !std::isfinite(q)) {
      const bool same = r == q || (std::isnan(r) && std::isnan(q));
      nonfinite_ += !same;
      continue;
    }
    const double error = q - r;
    rr += r * r;
    qq += q * q;
    rq += r * q;
    ee += error * error;
    max_error_ = std::max(max_error_, std::abs(error));
    equal_ = equal_ && r == q;
  }
  reference_energy_ += rr;
  other_energy_ += qq;
  product_ += rq;
  error_energy_ += ee;
  elements_ += reference.size();
  ++samples_;
  if (!classes) return;
  ++with_classes_;
  const auto top = top1(reference);
  agreeing_ += top && top == top1(other);
}

void FidelityMetrics::add(const Tensor& reference, const Tensor& other) {
  if (reference.shape() != other.shape()) {
    throw input_error("outputs of shape " + to_string(reference.shape()) + " and " +
                          to_string(other.shape()) + " cannot be compared",
                      "Both models must come from the same network and see the same inputs.");
  }
  if (reference.size() == 0) return;
  const auto rows = class_rows(reference.shape());
  const bool single = reference.rank() < 2;
  const size_t samples = single ? 1 : static_cast<size_t>(reference.shape()[0]);
  const size_t length = static_cast<size_t>(reference.size()) / samples;
  const auto add_all = [&]<class T>(std::span<const T> r, std::span<const T> q) {
    for (size_t n = 0; n < samples; ++n) {
      add_sample(r.subspan(n * length, length), q.subspan(n * length, length), rows.has_value());
    }
  };
  if (reference.dtype() == DType::float32 && other.dtype() == DType::float32) {
    add_all(reference.data<float>(), other.data<float>());
  } else {
    const std::vector<double> r = to_doubles(reference);
    const std::vector<double> q = to_doubles(other);
    add_all(std::span<const double>(r), std::span<const double>(q));
  }
}

Fidelity FidelityMetrics::result() const {
  Fidelity result;
  result.nonfinite = nonfinite_;
  if (samples_ == 0) return result;
  if (with_classes_ == samples_) {
    result.agreement = static_cast<double>(agreeing_) / static_cast<double>(samples_);
  }
  if (nonfinite_ > 0) return result;
  result.exact = equal_;
  result.max_abs_error = if_finite(max_error_);
  result.mse = if_finite(error_energy_ / static_cast<double>(elements_));
  if (equal_) {
    result.cosine = 1.0;
    return result;
  }
  result.sqnr_db = if_finite(10 * std::log10(reference_energy_ / error_energy_));
  const double cosine = product_ / (std::sqrt(reference_energy_) * std::sqrt(other_energy_));
  if (std::isfinite(cosine)) result.cosine = std::clamp(cosine, -1.0, 1.0);
  return result;
}

}  // namespace qtool
