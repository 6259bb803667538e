// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ops/op_def.h"
#include "support/json.h"

namespace qtool {

/// What a constant's channels say: the largest magnitude of each, along the axis of output
/// channels.
struct ChannelSpread {
  int axis = 0;
  int64_t channels = 0;
  double least = 0;
  double median = 0;
  double greatest = 0;
  std::optional<double> sqnr_db;  ///< with one scale a channel; absent where nothing is lost

  /// greatest / median: how many times coarser a scale for all is than most channels need.
  std::optional<double> ratio() const;
};

/// A float constant that a node reads.
struct WeightFacts {
  std::string tensor;
  std::string node;  ///< the first that reads it, and its op
  std::string op;
  std::string type;  ///< "float[64,3,3,3]"
  uint64_t elements = 0;
  uint64_t zeros = 0;
  uint64_t nonfinite = 0;  ///< NaN and infinities, left out of all else
  double low = 0;
  double high = 0;
  double mean = 0;
  double deviation = 0;   ///< standard deviation
  uint64_t outliers = 0;  ///< further than 6 deviations from the mean
  std::optional<double>
      sqnr_db;  ///< as symmetric int8 with one scale; absent where nothing is lost
  std::optional<ChannelSpread> channels;  ///< of weights
};

inline constexpr double kOutlierDeviations = 6;

/// Of each float constant (16 bits or more) with at least 2 elements, in the order in which nodes
/// read them.
std::vector<WeightFacts> weight_facts(const Graph& graph, const OpRegistry& ops);

Json to_json(const WeightFacts& facts);

}  // namespace qtool
