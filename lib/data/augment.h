// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "data/batch.h"
#include "data/dataset.h"
#include "data/preprocess.h"

namespace qtool {

/// Random changes of training images.
struct Augmentation {
  bool flip = false;  ///< mirror left and right, every other image
  int crop = 0;       ///< pad by so many pixels on each side, take a window of the old size
  /// Above 0: take a window of at least this share of the area, of 3:4 to 4:3 times the image's
  /// form (Szegedy et al. 2015, arXiv:1409.4842), scaled to the old size, bilinear.
  double resized_crop = 0;
  /// Above 0: multiply brightness, contrast and, of three channels, saturation by factors between
  /// 1 - jitter and 1 + jitter.
  double jitter = 0;
  double mixup = 0;  ///< above 0: alpha of `mix`, which is for batches

  /// "none", or "flip", "crop:PIXELS", "resized-crop:SHARE", "jitter:AMOUNT", "mixup:ALPHA" with
  /// commas between. Errors (usage): another text.
  static Augmentation parse(const std::string& text);
  bool changes_images() const { return flip || crop > 0 || resized_crop > 0 || jitter > 0; }
};

/// A data set with changes that depend on seed, epoch and index only. They apply to float inputs of
/// rank 3; what is padded shows a black pixel after the preprocessing, and colours are mixed as
/// they were before it.
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

/// What a batch was mixed with.
struct Mixed {
  std::vector<int64_t> partners;  ///< labels of the samples that were mixed in, or empty
  float share = 1;                ///< of each sample itself; the rest is its partner's
};

/// mixup (Zhang et al. 2018, arXiv:1710.09412): each sample becomes `share` of itself and the rest
/// of another one of the batch, the share being one draw of Beta(alpha, alpha). Depends on seed,
/// epoch and step only. Errors (input): inputs that are not float.
Mixed mix(Batch& batch, double alpha, uint64_t seed, uint64_t epoch, uint64_t step);

}  // namespace qtool
