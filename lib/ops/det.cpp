// SPDX-License-Identifier: Apache-2.0
// Det (11), in double by elimination with the largest pivot.
#include <algorithm>
#include <cmath>

#include "ops/elements.h"
#include "ops/families.h"
#include "support/text.h"

namespace qtool {

namespace {

void infer_det(InferContext& context) {
  TensorType type = context.node.input_type(0);
  if (type.shape) {
    const size_t rank = type.shape->size();
    if (rank < 2) throw input_error(fmt::format("a tensor of rank {} holds no matrices", rank));
    const Dim& rows = (*type.shape)[rank - 2];
    const Dim& columns = type.shape->back();
    if (rows.value && columns.value && *rows.value != *columns.value) {
      throw input_error(
          fmt::format("a determinant of a matrix of {} by {}", *rows.value, *columns.value));
    }
    type.shape->resize(rank - 2);
  }
  context.set_output(0, std::move(type));
}

/// Of the n * n elements, which it uses up.
double determinant(std::span<double> a, size_t n) {
  double product = 1;
  for (size_t k = 0; k < n; ++k) {
    size_t pivot = k;
    for (size_t i = k + 1; i < n; ++i) {
      if (std::abs(a[i * n + k]) > std::abs(a[pivot * n + k])) pivot = i;
    }
    if (a[pivot * n + k] == 0) return 0;
    if (pivot != k) {
      std::swap_ranges(a.begin() + static_cast<std::ptrdiff_t>(k * n),
                       a.begin() + static_cast<std::ptrdiff_t>((k + 1) * n),
                       a.begin() + static_cast<std::ptrdiff_t>(pivot * n));
      product = -product;
    }
    product *= a[k * n + k];
    for (size_t i = k + 1; i < n; ++i) {
      const double factor = a[i * n + k] / a[k * n + k];
      for (size_t j = k; j < n; ++j) a[i * n + j] -= factor * a[k * n + j];
    }
  }
  return product;
}

std::vector<Tensor> det_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  const auto n = static_cast<size_t>(x.shape().back());
  return one_result(visit_kinds<kFloats>(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::vector<double> elements = to_doubles(x);
    Tensor y(x.dtype(), {x.shape().begin(), x.shape().end() - 2});
    const std::span<double> all(elements);
    for (size_t i = 0; i < static_cast<size_t>(y.size()); ++i) {
      y.data<T>()[i] = converted<T, double>(determinant(all.subspan(i * n * n, n * n), n));
    }
    return y;
  }));
}

}  // namespace

void register_det(OpRegistry& ops) {
  ops.add({.key = {"", "Det"},
           .since_version = 11,
           .inputs = {1, 1},
           .outputs = {1, 1},
           .infer = infer_det,
           .reference = det_reference});
}

}  // namespace qtool
