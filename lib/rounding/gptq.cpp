// SPDX-License-Identifier: Apache-2.0
#include "rounding/gptq.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "rounding/element_grids.h"
#include "support/error.h"
#include "support/parallel.h"

namespace qtool {

namespace {

/// H in this order of columns, columns without data made harmless, damped.
std::vector<double> prepared(std::span<const double> h, const std::vector<size_t>& order,
                             double damping) {
  const size_t n = order.size();
  double trace = 0;
  for (size_t i = 0; i < n; ++i) trace += h[i * n + i];
  const double added = damping * trace / static_cast<double>(n);
  std::vector<double> result(n * n);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) result[i * n + j] = h[order[i] * n + order[j]];
    double& own = result[i * n + i];
    own = own > 0 ? own + added : 1;
  }
  return result;
}

/// Lower Cholesky factor in place; false where a pivot is not positive.
bool cholesky(std::vector<double>& a, size_t n) {
  for (size_t j = 0; j < n; ++j) {
    double pivot = a[j * n + j];
    for (size_t k = 0; k < j; ++k) pivot -= a[j * n + k] * a[j * n + k];
    if (!(pivot > 1e-12 * std::abs(a[j * n + j]))) return false;
    const double root = std::sqrt(pivot);
    a[j * n + j] = root;
    parallel_for(static_cast<int64_t>(n - j - 1), 64, [&](int64_t begin, int64_t end) {
      for (size_t i = j + 1 + static_cast<size_t>(begin); i < j + 1 + static_cast<size_t>(end);
           ++i) {
        double sum = a[i * n + j];
        for (size_t k = 0; k < j; ++k) sum -= a[i * n + k] * a[j * n + k];
        a[i * n + j] = sum / root;
      }
    });
  }
  return true;
}

}  // namespace

WeightMatrix::WeightMatrix(const Shape& shape, int axis) {
  QTOOL_CHECK(axis >= 0 && static_cast<size_t>(axis) < shape.size(), to_string(shape));
  rows = static_cast<size_t>(shape[static_cast<size_t>(axis)]);
  inner = static_cast<size_t>(element_count({shape.begin() + axis + 1, shape.end()}));
  columns = static_cast<size_t>(element_count(shape)) / std::max<size_t>(rows, 1);
}

bool inverse_factor(std::span<const double> h, size_t n, std::span<double> u) {
  // With J reversing the order, J H J = L L^T gives H^-1 = (J L^-1 J)^T (J L^-1 J), and
  // J L^-1 J is upper triangular.
  std::vector<double> l(n * n);
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) l[i * n + j] = h[(n - 1 - i) * n + (n - 1 - j)];
  }
  if (!cholesky(l, n)) return false;
  std::ranges::fill(u, 0.0);
  parallel_for(static_cast<int64_t>(n), 16, [&](int64_t begin, int64_t end) {
    std::vector<double> x(n);
    for (size_t c = static_cast<size_t>(begin); c < static_cast<size_t>(end); ++c) {
      // Column c of L^-1.
      std::ranges::fill(x, 0.0);
      for (size_t i = c; i < n; ++i) {
        double sum = i == c ? 1 : 0;
        for (size_t k = c; k < i; ++k) sum -= l[i * n + k] * x[k];
        x[i] = sum / l[i * n + i];
      }
      for (size_t i = c; i < n; ++i) u[(n - 1 - i) * n + (n - 1 - c)] = x[i];
    }
  });
  return true;
}

double gptq(Tensor& weights, const WeightMatrix& layout, const QuantParams& params,
            std::span<const double> moments, double damping, size_t groups, size_t first) {
  const auto n = static_cast<size_t>(
      std::llround(std::sqrt(static_cast<double>(moments.size()) / static_cast<double>(groups))));
  QTOOL_CHECK(
      first + n <= layout.columns && moments.size() == groups * n * n && layout.rows % groups == 0,
      "second moments that do not fit the weights");
  const ElementGrids grids(weights.shape(), params);
  const auto values = weights.data<float>();
  double used = damping;
  std::vector<double> u(n * n);
  for (size_t g = 0; g < groups; ++g) {
    const auto h = moments.subspan(g * n * n, n * n);
    std::vector<size_t> order(n);
    std::iota(order.begin(), order.end(), size_t{0});
    std::ranges::stable_sort(order,
                             [&](size_t a, size_t b) { return h[a * n + a] > h[b * n + b]; });
    double own = damping;
    while (!inverse_factor(prepared(h, order, own), n, u)) {
      own = std::max(own, 1e-6) * 10;
      QTOOL_CHECK(own < 1e12, "second moments that are not finite");
    }
    used = std::max(used, own);
    const size_t rows = layout.rows / groups;
    parallel_for(static_cast<int64_t>(rows), 1, [&](int64_t begin, int64_t end) {
      std::vector<double> w(n);
      for (size_t r = g * rows + static_cast<size_t>(begin);
           r < g * rows + static_cast<size_t>(end); ++r) {
        for (size_t j = 0; j < n; ++j)
          w[j] = static_cast<double>(values[layout.at(r, first + order[j])]);
        for (size_t j = 0; j < n; ++j) {
          const size_t place = layout.at(r, first + order[j]);
          const auto scale = static_cast<double>(grids.scale[place]);
          const double code =
              std::clamp(std::nearbyint(w[j] / scale), static_cast<double>(grids.lowest[place]),
                         static_cast<double>(grids.highest[place]));
          values[place] = static_cast<float>(code + 0.0) * grids.scale[place];  // no -0
          const double error = (w[j] - code * scale) / u[j * n + j];
          for (size_t k = j + 1; k < n; ++k) w[k] -= error * u[j * n + k];
        }
      }
    });
  }
  return used;
}

}  // namespace qtool
