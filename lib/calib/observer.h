// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "numerics/stats.h"

namespace qtool {

/// Collects the TensorStats of one tensor, sample by sample, in one pass over each sample while
/// blocks of it are in the cache. For one thread; shards have observers of their own and merge.
class Observer {
 public:
  /// With a channel_axis (named as in the model, for the record) the range of every channel too.
  explicit Observer(std::optional<int> channel_axis = {});

  /// One sample, without its batch dimension. Element (o, c, i) lies at data[(o * channels + c) *
  /// inner + i]: channels-first memory has outer 1 and inner H * W, channels-last has outer H * W
  /// and inner 1, and both give equal statistics. Any extent may be 0. Errors (input): with a
  /// channel_axis, another number of channels than the samples before.
  void observe_sample(const float* data, int64_t outer, int64_t channels, int64_t inner);

  /// As if the other's samples had followed. Errors (input): unlike channels.
  void merge(const Observer& other);

  const TensorStats& stats() const& { return stats_; }
  TensorStats&& stats() && { return std::move(stats_); }
  uint64_t samples_seen() const { return seen_; }

  /// Which of the samples seen, counted from 0, first held a NaN or an infinity. What follows
  /// from it is for the caller to decide; here they are counted and left out.
  std::optional<uint64_t> first_non_finite() const { return first_non_finite_; }

 private:
  struct Place {
    int64_t channels;
    int64_t inner;
  };
  std::optional<Range> observe_block(std::span<const float> block, int64_t begin,
                                     const Place& place);
  void observe_channels(std::span<const float> block, int64_t begin, const Place& place);

  TensorStats stats_;
  uint64_t seen_ = 0;
  std::optional<uint64_t> first_non_finite_;
  std::vector<float> finite_;  // what is left of a block that holds other things
  std::vector<double> sums_;   // of the sample's channels, each in the order of its elements
};

}  // namespace qtool
