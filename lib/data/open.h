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
  /// A file of labels; or the npz's array, the CSV's column, CIFAR-100's "fine" or "coarse".
  std::string labels = {};
  std::string split = {};  ///< "train", "test", ...: see below
  Shape shape = {};        ///< of a sample of raw data, or of a CSV's features
  std::string dtype = {};  ///< of raw data; float where it is not told
};

/// Opens what lies at `path`:
///   X.npz       arrays by name, the first dimension counts the samples; labels are in the array
///               that `labels` names, else in label, labels or y
///   X.npy       one array
///   X.csv       a number a column and a sample a line; labels in the column that `labels` names or
///               counts from 1, else in label, labels, class, target or y; columns "x.0", "x.1" are
///               parts of an input "x". Or columns file and label: images beside it or in images/
///   IDX         as MNIST's, gzipped or not, whatever its name; labels in the file beside it
///   X.bin       CIFAR-10 or CIFAR-100 (binary version)
///   any file, or a folder of .bin, .raw, .dat, with `shape`: raw elements
///   a folder with test_data_set_0, ... or input_0.pb: ONNX's test data, what models should answer
///               included
///   a folder with labels.csv                as X.csv
///   a folder with data_batch_*.bin or train.bin (split "train"), test_batch.bin or test.bin
///   ("test"), or with IDX files of several splits
///   a folder of folders of images           one a class, labelled in the order of their names
///   a folder of images                      labelled by the file that `labels` names: a table as
///               above, or a label a line in the order of the images' names
/// If `split` names a folder in `path`, that one is opened.
///
/// Errors: (input) nothing there, no samples, label files that name what is missing, counts that
/// do not match, labels that are no integers from 0 to 16777215 (file and line); (usage) `labels`,
/// `shape` or `split` where they have no meaning, a split that is needed.
std::unique_ptr<Dataset> open_dataset(const DataSpec& spec);

}  // namespace qtool
