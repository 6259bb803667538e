// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "numerics/affine.h"

namespace qtool {

/// Limits of a search, as powers of two: bounds shrink to no less than 2^-octaves of the full
/// range.
struct SearchLimits {
  int octaves = 8;
};

/// The interval inside of `full` (which holds 0) for which `error` is least on the grid that
/// choose_params makes of it; among equals the widest that was tried. One bound, or both by the
/// same factor for a symmetric scheme: all factors 2^(-i/16), then steps of 2^(1/128) around the
/// best. Both bounds: first by the same factor, then each in turn over all factors until neither
/// moves, then finer steps. For use inside of this room.
Range search_range(const Range& full, QuantType type, Scheme scheme, SearchLimits limits,
                   const std::function<double(const QuantParams&)>& error);

}  // namespace qtool
