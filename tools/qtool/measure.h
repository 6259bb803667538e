// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "exec/runner.h"
#include "input_shapes.h"

namespace qtool {

/// Wall times of one run each, in milliseconds. Several runners take turns, so that what disturbs
/// the machine disturbs all alike.
struct TimingOptions {
  size_t warmup = 5;
  size_t runs = 50;
  double least_seconds = 0.5;  ///< more runs are made until each runner had so long
};
std::vector<std::vector<double>> time_interleaved(std::span<const std::function<void()>> jobs,
                                                  const TimingOptions& options);

/// Inputs of the declared shapes with open extents 1 and the batch size in front, or of the shapes
/// asked for by name: seeded normal numbers, zeros for integers. For timing only. Errors (usage):
/// a name that is no input, an extent or a rank that the model fixes otherwise.
TensorMap timing_feeds(std::span<const RunnerValue> inputs, size_t batch,
                       const InputShapes& asked = {});

/// Peak resident memory of this process so far, or nothing where the system does not tell.
std::optional<uint64_t> peak_rss_bytes();

/// Peak resident memory of a process that does nothing but load and run this model: a child
/// `qtool bench`. Nothing where it failed.
std::optional<uint64_t> peak_rss_alone(const std::filesystem::path& model, size_t batch,
                                       int threads);

}  // namespace qtool
