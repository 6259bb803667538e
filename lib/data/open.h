// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "data/dataset.h"
#include "data/preprocess.h"

namespace qtool {

/// What the flags of a command say about data.
struct DataSpec {
  std::filesystem::path path;
  Preprocessing preprocessing = {};  ///< for images, CIFAR, and image-like float arrays
  std::string labels =
      {};  ///< npz: the array with the labels; CIFAR-100: "fine" (default) or "coarse"
  std::string split = {};  ///< "train", "test", ...: see below
};

/// Opens what lies at `path`:
///   X.npz         arrays by name, the first dimension counts the samples; labels are in the array
///                 that `labels` names, else in label, labels or y
///   X.npy         one array, without labels
///   X.bin         CIFAR-10 or CIFAR-100 (binary version)
///   X.csv         columns file and label; the images lie beside it or in images/
///   a folder with labels.csv                as X.csv
///   a folder with data_batch_*.bin or train.bin (split "train"), test_batch.bin or test.bin
///   ("test") a folder of folders of images           one a class, labelled in the order of their
///   names a folder of images                      without labels
/// If `split` names a folder in `path`, that one is opened.
///
/// Errors: (input) nothing there, no samples, label files that name what is missing, counts that
/// do not match, labels that are no integers from 0 to 16777215 (file and line); (usage) `labels`
/// or `split` where they have no meaning, a split that is needed.
std::unique_ptr<Dataset> open_dataset(const DataSpec& spec);

}  // namespace qtool
