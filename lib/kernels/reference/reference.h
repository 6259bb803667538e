// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <vector>

#include "tensor/tensor.h"

namespace qtool::reference {

// The oracle: plain loops over row-major elements, never optimised.

/// Elements to multiply: double, or uint64_t for integers of any type, sign-extended, whose sums
/// and products are then right modulo 2^64.
template <class T>
struct Values {
  Shape shape;
  std::vector<T> elements;
};

/// A sliding window; pads are begins then ends; dilations of 1 are dense.
struct Window {
  std::vector<int64_t> kernel;
  std::vector<int64_t> strides;
  std::vector<int64_t> pads;
  std::vector<int64_t> dilations;
};

/// x [N, C, spatial...] * w [M, C/groups, kernel...] + bias [M] or none → [N, M, out...], where
/// out is the spatial output extents.
template <class T>
Values<T> convolution(const Values<T>& x, const Values<T>& w, const std::vector<T>& bias,
                      const Window& window, int64_t groups, const Shape& out);

/// Calls visit(values inside of the window) for each output element in row-major order of
/// [N, C, out...] and stores what it returns; `outside` counts the positions in the padding, not
/// those that a ceil_mode window has beyond it.
Tensor pool(const Tensor& x, const Window& window, const Shape& out,
            const std::function<float(const std::vector<float>& inside, int64_t outside)>& visit);

/// a [.., M, K] x b [.., K, N], leading dimensions broadcast; a vector is a row on the left, a
/// column on the right, and that dimension is no part of the result.
template <class T>
Values<T> matmul(const Values<T>& a, const Values<T>& b);

/// f(a, b) with broadcasting; elements of types A, B and R.
template <class A, class B, class R, class F>
Tensor broadcast_elements(const Tensor& a, const Tensor& b, F f) {
  const auto shape = broadcast(a.shape(), b.shape());
  if (!shape) {
    throw input_error("the shapes " + to_string(a.shape()) + " and " + to_string(b.shape()) +
                      " do not broadcast");
  }
  Tensor result(dtype_of<R>, *shape);
  const auto x = a.data<A>();
  const auto y = b.data<B>();
  const auto out = result.data<R>();
  const auto offset = [&](const Shape& from, int64_t element) {
    int64_t place = 0;
    int64_t stride = 1;
    for (size_t back = 0; back < from.size(); ++back) {
      const int64_t at = element % (*shape)[shape->size() - 1 - back];
      element /= (*shape)[shape->size() - 1 - back];
      const int64_t extent = from[from.size() - 1 - back];
      if (extent != 1) place += at * stride;
      stride *= extent;
    }
    return static_cast<size_t>(place);
  };
  for (int64_t i = 0; i < result.size(); ++i) {
    out[static_cast<size_t>(i)] =
        static_cast<R>(f(x[offset(a.shape(), i)], y[offset(b.shape(), i)]));
  }
  return result;
}

template <class T, class R, class F>
Tensor broadcast_binary(const Tensor& a, const Tensor& b, F f) {
  return broadcast_elements<T, T, R>(a, b, f);
}

/// Elements of x at strided places: result[i...] = x[offset + sum(i_d * steps_d)], for elements of
/// any size of 1 to 16 bytes. Steps are in elements.
Tensor gather_strided(const Tensor& x, const Shape& shape, int64_t offset,
                      const std::vector<int64_t>& steps);

}  // namespace qtool::reference
