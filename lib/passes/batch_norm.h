// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include "ir/graph.h"

namespace qtool {

/// What a BatchNormalization does in inference: y = x * scale + shift, channel by channel.
struct ChannelAffine {
  std::vector<double> scale;
  std::vector<double> shift;
};

/// Nothing for one in training, with parameters that are no constants, or that is not finite.
std::optional<ChannelAffine> constant_affine(const Graph& graph, const Node& norm);

}  // namespace qtool
