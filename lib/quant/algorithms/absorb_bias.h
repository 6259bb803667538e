// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "calib/calibrate.h"
#include "quant/plan.h"

namespace qtool {

/// High-bias absorption (Nagel et al. 2019, arXiv:1906.04721, section 4.1.3): where a channel z in
/// front of a Relu lies high, the part c that no sample falls below is taken off its bias and
/// given to the biases behind: relu(z - c) = relu(z) - c for z >= c, and what lies between has a
/// smaller range. c = max(0, mean - 3 deviations), as in the paper, but measured, and never more
/// than the least z of these samples: so the float results stay, up to rounding, for them and for
/// all others within that bound. Channels that come to a Clip's end are left alone, and so is a
/// second layer that pads, at whose border 0 would stand for c. It is done where the range of all
/// channels together, which have one scale, then shrinks by a twentieth.
///
/// Runs the samples through `graph`, which is equalized already, and adds what it finds to the
/// equalizations (of scale 1 where there was none). Nothing is edited.
void find_absorptions(const Graph& graph, const FeedSource& samples,
                      std::vector<Equalization>& equalizations);

}  // namespace qtool
