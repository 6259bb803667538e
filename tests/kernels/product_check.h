// SPDX-License-Identifier: Apache-2.0
// What the differential tests of convolution and matrix products share: random quantized operands,
// exact accumulation, and the comparison of what a primitive gives with what it should give.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "kernels/onednn/primitives.h"
#include "support/rng.h"

namespace qtool::test {

/// Types and parameters of one random product.
struct ProductTypes {
  bool integer = false;
  QuantParams source;       ///< u8 or s8, per tensor
  QuantParams weights;      ///< s8, zero point 0, per tensor or per channel
  QuantParams destination;  ///< u8 or s8, per tensor
  bool codes_out = false;   ///< float32 otherwise
  bool integer_bias = false;
  std::vector<PostOp> posts;
};
ProductTypes random_types(Rng& rng, int64_t channels, int weights_axis);

/// Codes over their whole range, or multiples of 1/16 around 0. As bytes where `params` are given.
Tensor random_operand(Rng& rng, Shape shape, const QuantParams* params);

/// Random weights; codes of 7 or of 8 bits, as CPUs without VNNI can multiply only the former.
Tensor random_weights(Rng& rng, Shape shape, const QuantParams* params);

/// The operands as exact integers or reals without their zero point: what is multiplied.
std::vector<double> factors(const Tensor& tensor, const QuantParams* params);

/// One exact sum of products per result, and the sum of their absolute values.
struct Sums {
  std::vector<double> exact;
  std::vector<double> magnitude;
};

/// Random bias [channels] or nothing; int32 codes in accumulator units, or float32.
struct Bias {
  Tensor elements;
  QuantParams params;  ///< of int32 codes
  bool present = false;
};
Bias random_bias(Rng& rng, const ProductTypes& types, int64_t channels);

/// Chooses the destination's parameters so that results fill its range and some saturate.
void settle_destination(Rng& rng, ProductTypes& types, const std::vector<double>& reals);

/// Real results: (sum + bias) in real units, before the post-ops. `channel(i)` of result i.
template <class Channel>
std::vector<double> in_real_units(const Sums& sums, const ProductTypes& types, const Bias& bias,
                                  Channel&& channel) {
  std::vector<double> reals = sums.exact;
  for (size_t i = 0; i < reals.size(); ++i) {
    const size_t c = channel(i);
    double unit = 1;
    if (types.integer) {
      unit = static_cast<double>(types.source.scale[0]) *
             static_cast<double>(types.weights.scale[types.weights.per_tensor() ? 0 : c]);
    }
    reals[i] *= unit;
    if (!bias.present) continue;
    reals[i] += bias.elements.dtype() == DType::int32
                    ? bias.elements.data<int32_t>()[c] * unit
                    : static_cast<double>(bias.elements.data<float>()[c]);
  }
  return reals;
}

double activated(const std::vector<PostOp>& posts, double y, double residual);

/// Counts over a run of many cases.
struct Tally {
  int64_t cases = 0;
  std::map<std::string, int> refused = {};
  int64_t results = 0;
  int64_t off_by_one = 0;
  std::vector<std::string> wrong = {};  ///< one line a case
};

/// "", or the first result that is further from `wanted` than it may be: one code, or for floats
/// 1e-5 of the magnitude of what was summed.
std::string compare(const Tensor& got, const std::vector<double>& wanted,
                    const std::vector<double>& magnitude, const ProductTypes& types, Tally& tally);

std::string describe(const ProductTypes& types, const Bias& bias);

/// What a run of many cases found, in two or three lines.
std::string summary(const std::string& what, const Tally& tally);

/// Seeds from `first` on. The environment variables QTOOL_TEST_EFFORT, a factor on their number,
/// and QTOOL_TEST_SEED, the only one, are for hunting.
std::vector<uint64_t> seeds(uint64_t first, int usual);

/// Row-major elements stored in another layout, and back.
Tensor stored(const Tensor& x, Layout layout);
Tensor loaded(const Tensor& y, Layout layout);

}  // namespace qtool::test
