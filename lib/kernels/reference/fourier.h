// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <complex>
#include <vector>

namespace qtool::reference {

/// X_k = sum over n of x_n e^(-2 pi i k n / N), in double, for any N: powers of two by halving
/// (Cooley and Tukey 1965), others as a convolution of such a length (Bluestein 1970).
void fourier_transform(std::vector<std::complex<double>>& x);

/// Its inverse, divided by N.
void inverse_fourier_transform(std::vector<std::complex<double>>& x);

}  // namespace qtool::reference
