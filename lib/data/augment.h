// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "data/dataset.h"
#include "data/preprocess.h"

namespace qtool {

/// Random changes of training images that leave their class as it is.
struct Augmentation {
  bool flip = false;  ///< mirror left and right, every other image
  int crop = 0;       ///< pad by so many pixels on each side, take a window of the old size

  /// "none", or "flip" and "crop:PIXELS" with commas between. Errors (usage): another text.
  static Augmentation parse(const std::string& text);
  bool none() const { return !flip && crop == 0; }
};

/// A data set with changes that depend on seed, epoch and index only. They apply to float inputs of
/// rank 3; what is padded shows a black pixel after the preprocessing.
class Augmented : public Dataset {
 public:
  /// `all` outlives it.
  Augmented(const Dataset& all, const Augmentation& changes, const Preprocessing& steps,
            uint64_t seed, uint64_t epoch);

  size_t size() const override { return all_.size(); }
  Sample get(size_t index) const override;
  bool labelled() const override { return all_.labelled(); }
  std::optional<int64_t> class_count() const override { return all_.class_count(); }
  Json provenance() const override { return all_.provenance(); }

 private:
  const Dataset& all_;
  Augmentation changes_;
  const Preprocessing& steps_;
  uint64_t seed_;
  uint64_t epoch_;
};

}  // namespace qtool
