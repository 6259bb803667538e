// SPDX-License-Identifier: Apache-2.0
#include "kernels/host/code_curve.h"

#include <array>
#include <cmath>

namespace qtool {

namespace {

constexpr float kFinestUnit = 0.01F;  ///< a hundred times the curve's error

double gelu(double x) { return 0.5 * x * std::erfc(-x * std::sqrt(0.5)); }

double gelu_tanh(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

/// The parabola c[0] + c[1] x + c[2] x² through three points.
std::array<double, 3> parabola(const std::array<double, 3>& x, const std::array<double, 3>& y) {
  const double slope = (y[1] - y[0]) / (x[1] - x[0]);
  const double bend = ((y[2] - y[1]) / (x[2] - x[1]) - slope) / (x[2] - x[0]);
  return {y[0] - x[0] * slope + x[0] * x[1] * bend, slope - (x[0] + x[1]) * bend, bend};
}

}  // namespace

std::optional<CodeCurve> CodeCurve::of(const PostOp& op, float unit) {
  const bool by_erf = op.kind == PostOp::Kind::gelu;
  if ((!by_erf && op.kind != PostOp::Kind::gelu_tanh) || unit < kFinestUnit) return std::nullopt;
  CodeCurve curve;
  curve.per_unit_ = 1 / unit;
  for (int piece = 0; piece < lanes::kCount; ++piece) {
    std::array<double, 3> x{};
    std::array<double, 3> y{};
    for (size_t node = 0; node < 3; ++node) {  // Chebyshev's of the piece
      const double at = std::cos(M_PI * (2 * static_cast<double>(node) + 1) / 6);
      x[node] = (piece + 0.5 + 0.5 * at) / static_cast<double>(kPiecesPerUnit);
      y[node] = -(by_erf ? gelu(-x[node]) : gelu_tanh(-x[node])) / static_cast<double>(unit);
    }
    const auto g = parabola(x, y);
    for (size_t power = 0; power < 3; ++power) {
      curve.g_[power][piece] = static_cast<float>(g[power]);
    }
  }
  return curve;
}

}  // namespace qtool
