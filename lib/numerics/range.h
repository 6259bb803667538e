// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "numerics/affine.h"
#include "numerics/stats.h"

namespace qtool {

/// The full observed range.
struct MinMax {
  friend bool operator==(const MinMax&, const MinMax&) = default;
};
/// The mean over the samples of each sample's bounds (NNCF's default; clips outlier samples): the
/// moving average of other tools, with equal weights, so that no order of the samples shows.
struct MeanMinMax {
  friend bool operator==(const MeanMinMax&, const MeanMinMax&) = default;
};
/// Leaves (100 - percentile) percent of the elements outside: split evenly between the sides that
/// the tensor has, or, for a symmetric scheme, those of the largest magnitude. 50 < percentile
/// <= 100.
struct Percentile {
  double percentile = 99.999;
  friend bool operator==(const Percentile&, const Percentile&) = default;
};
/// The interval with the least expected squared quantization error over the histogram.
struct MeanSquare {
  friend bool operator==(const MeanSquare&, const MeanSquare&) = default;
};

/// The interval whose grid keeps most of the histogram's shape: the least Kullback-Leibler
/// divergence over all edges of its bins (TensorRT's calibration; entropy.h has the definition).
struct Entropy {
  friend bool operator==(const Entropy&, const Entropy&) = default;
};
/// Of minmax, mean-minmax, percentile 99.9999, 99.999, 99.99 and 99.9, entropy and mse the one with
/// the least expected squared error for this tensor; the first of those that tie.
struct Auto {
  friend bool operator==(const Auto&, const Auto&) = default;
};

using RangeMethod = std::variant<MinMax, MeanMinMax, Percentile, MeanSquare, Entropy, Auto>;

/// "minmax", "mean-minmax", "percentile:99.99", "mse", "entropy", "auto".
std::string to_string(const RangeMethod& method);

/// The inverse; "percentile" alone is 99.999, "moving-average" is mean-minmax. Errors (usage):
/// another word, with what is possible.
RangeMethod parse_range_method(const std::string& text);

/// The words that parse_range_method knows, for help texts: "minmax, mean-minmax, ...".
std::string range_method_names();

/// The method itself, or what Auto takes for these statistics.
RangeMethod settled_method(const TensorStats& stats, QuantType type, Scheme scheme,
                           const RangeMethod& method);

/// The interval that the method chooses for a grid, always inside of the observed range (0 added).
/// A method that would leave only 0 of a tensor that has other values gives the full range: a
/// percentile of a tensor that is nearly all zeros. MeanSquare never goes below 1/256 of the
/// observed range. Under a millisecond, with entropy some; Auto takes all together. Errors (input):
/// no element was observed.
Range select_range(const TensorStats& stats, QuantType type, Scheme scheme,
                   const RangeMethod& method);

/// Sum over the elements of the squared error of quantizing with per-tensor `params`, as far as
/// the statistics tell. The model: elements equal to zero have no error; the others are spread
/// evenly over their bin's width, as far as that lies inside of the observed range. The integral
/// of the squared error over each bin is exact, whether a bin holds many codes or a code many
/// bins, and includes what is clipped (README.md, step 9).
double expected_squared_error(const TensorStats& stats, const QuantParams& params);

/// Lowest and highest element, 0 added, of the tensor, of each channel of the axis, or of each
/// block along it (row-major order of the blocked shape); 0 to 0 where there is no element.
/// Errors (input): NaN or infinity.
std::vector<Range> weight_ranges(const Tensor& weights, std::optional<int> axis,
                                 int64_t block_size = 0);

/// For the same slices the interval with the least squared error of quantizing exactly these
/// elements on the grid that choose_params makes of it. A search over shrunken intervals, refined
/// around the best (Banner et al. 2019, arXiv:1810.05723, search for the clipping value); never
/// below 1/8 of the full range. Errors (input): NaN or infinity.
std::vector<Range> mse_weight_ranges(const Tensor& weights, QuantType type, Scheme scheme,
                                     std::optional<int> axis, int64_t block_size = 0);

}  // namespace qtool
