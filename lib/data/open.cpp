// SPDX-License-Identifier: Apache-2.0
#include "data/open.h"

#include "data/sources/sources.h"

namespace qtool {

namespace fs = std::filesystem;

namespace {

std::unique_ptr<Dataset> open_file(const DataSpec& spec) {
  if (!spec.split.empty()) {
    throw usage_error(spec.path.string() + " is one file and has no split \"" + spec.split + '"');
  }
  const fs::path extension = spec.path.extension();
  if (extension == ".npz" || extension == ".npy") return open_arrays(spec);
  if (extension == ".bin") return open_cifar({spec.path}, spec);
  if (extension == ".csv") return open_labelled_images(spec.path, spec);
  throw input_error(spec.path.string() + " is no data set that qtool reads",
                    "These are .npz, .npy, CIFAR's .bin, a table .csv of images and labels, and "
                    "folders of images.");
}

std::unique_ptr<Dataset> open_folder(const DataSpec& spec) {
  if (!spec.split.empty() && fs::is_directory(spec.path / spec.split)) {
    DataSpec inner = spec;
    inner.path /= spec.split;
    inner.split.clear();
    return open_folder(inner);
  }
  if (fs::is_empty(spec.path)) throw input_error("the folder " + spec.path.string() + " is empty");
  const std::vector<fs::path> cifar = find_cifar(spec.path, spec.split);
  if (!cifar.empty()) return open_cifar(cifar, spec);
  if (!spec.split.empty()) {
    throw usage_error(spec.path.string() + " has no split \"" + spec.split + '"',
                      "A split is a folder of that name.");
  }
  if (fs::exists(spec.path / "labels.csv"))
    return open_labelled_images(spec.path / "labels.csv", spec);
  return open_image_folder(spec);
}

}  // namespace

std::unique_ptr<Dataset> open_dataset(const DataSpec& spec) {
  try {
    if (!fs::exists(spec.path)) {
      throw input_error("no data at " + spec.path.string() + ": there is no such file or folder");
    }
    return fs::is_directory(spec.path) ? open_folder(spec) : open_file(spec);
  } catch (const fs::filesystem_error& failure) {
    throw input_error("cannot read " + failure.path1().string() + ": " + failure.code().message());
  }
}

}  // namespace qtool
