// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string_view>

#include "data/dataset.h"

namespace qtool {

/// What random numbers are to be made for: one input.
struct RandomInput {
  std::string name;
  DType dtype = DType::float32;
  Shape shape;
};

/// N of "random:N". Nothing for any other text; errors (usage): N is no number from 1 to 10^6.
std::optional<size_t> parse_random(std::string_view text);

/// Samples that say nothing about real data: standard normal floats, zeros and ones as integers and
/// booleans; sample i is the same in every run. For trying a tool chain, never for choosing ranges.
/// Errors (unsupported): an input of another type.
/// Shapes are without the batch dimension, unless `batched` says that a sample is all that one run
/// takes (Dataset::batched).
std::unique_ptr<Dataset> open_random(size_t samples, std::vector<RandomInput> inputs,
                                     bool batched = false);

}  // namespace qtool
