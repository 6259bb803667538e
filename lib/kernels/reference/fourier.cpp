// SPDX-License-Identifier: Apache-2.0
#include "kernels/reference/fourier.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <numbers>

namespace qtool::reference {

namespace {

using Complex = std::complex<double>;

/// e^(-2 pi i k / n)
Complex root(uint64_t k, uint64_t n) {
  const double turn = -2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(n);
  return {std::cos(turn), std::sin(turn)};
}

/// N is a power of two.
void halving(std::vector<Complex>& x) {
  const size_t n = x.size();
  for (size_t i = 1, j = 0; i < n; ++i) {  // bit-reversed order
    size_t bit = n >> 1;
    for (; (j & bit) != 0; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) std::swap(x[i], x[j]);
  }
  for (size_t length = 2; length <= n; length *= 2) {
    const size_t half = length / 2;
    std::vector<Complex> roots;
    for (size_t k = 0; k < half; ++k) roots.push_back(root(k, length));
    for (size_t begin = 0; begin < n; begin += length) {
      for (size_t k = 0; k < half; ++k) {
        const Complex odd = x[begin + half + k] * roots[k];
        x[begin + half + k] = x[begin + k] - odd;
        x[begin + k] += odd;
      }
    }
  }
}

void halving_inverse(std::vector<Complex>& x) {
  std::reverse(x.begin() + 1, x.end());  // the inverse is the transform read backwards
  halving(x);
  for (Complex& element : x) element /= static_cast<double>(x.size());
}

/// k n = (k^2 + n^2 - (k - n)^2) / 2 makes the sum a convolution with a chirp.
void by_convolution(std::vector<Complex>& x) {
  const uint64_t n = x.size();
  const size_t length = std::bit_ceil(2 * n);
  std::vector<Complex> chirp;
  for (uint64_t k = 0; k < n; ++k) chirp.push_back(root(k * k % (2 * n), 2 * n));
  std::vector<Complex> a(length);
  std::vector<Complex> b(length);
  for (size_t k = 0; k < n; ++k) {
    a[k] = x[k] * chirp[k];
    b[k] = std::conj(chirp[k]);
    if (k > 0) b[length - k] = b[k];
  }
  halving(a);
  halving(b);
  for (size_t k = 0; k < length; ++k) a[k] *= b[k];
  halving_inverse(a);
  for (size_t k = 0; k < n; ++k) x[k] = a[k] * chirp[k];
}

}  // namespace

void fourier_transform(std::vector<Complex>& x) {
  if (x.size() < 2) return;
  if (std::has_single_bit(x.size())) {
    halving(x);
  } else {
    by_convolution(x);
  }
}

void inverse_fourier_transform(std::vector<Complex>& x) {
  if (x.size() < 2) return;
  std::reverse(x.begin() + 1, x.end());
  fourier_transform(x);
  for (Complex& element : x) element /= static_cast<double>(x.size());
}

}  // namespace qtool::reference
