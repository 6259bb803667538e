// SPDX-License-Identifier: Apache-2.0
#include "data/open.h"

#include "data/image.h"
#include "data/sources/idx.h"
#include "data/sources/sources.h"

namespace qtool {

namespace fs = std::filesystem;

namespace {

const DataSpec& without_shape(const DataSpec& spec) {
  if (!spec.shape.empty()) {
    throw usage_error("--shape: " + spec.path.string() + " says its shapes itself",
                      "It is for raw data and for the columns of a CSV.");
  }
  return spec;
}

std::unique_ptr<Dataset> open_file(const DataSpec& spec) {
  if (!spec.split.empty()) {
    throw usage_error(spec.path.string() + " is one file and has no split \"" + spec.split + '"');
  }
  const std::string extension = lower_extension(spec.path);
  if (extension == ".npz" || extension == ".npy") return open_arrays(without_shape(spec));
  if (extension == ".csv") return open_table(spec);
  if (!spec.shape.empty()) return open_raw(spec);
  if (IdxFile::looks_like(spec.path)) return open_idx(spec);
  if (extension == ".bin") return open_cifar({spec.path}, spec);
  throw input_error(spec.path.string() + " is no data set that qtool reads",
                    "These are .npz, .npy, .csv, IDX, CIFAR's .bin, folders of images or of ONNX's "
                    "test data; raw data needs --shape.");
}

std::unique_ptr<Dataset> open_folder(const DataSpec& spec) {
  if (!spec.split.empty() && fs::is_directory(spec.path / spec.split)) {
    DataSpec inner = spec;
    inner.path /= spec.split;
    inner.split.clear();
    return open_folder(inner);
  }
  if (!spec.shape.empty()) return open_raw(spec);
  if (fs::is_empty(spec.path)) throw input_error("the folder " + spec.path.string() + " is empty");
  const std::vector<fs::path> cifar = find_cifar(spec.path, spec.split);
  if (!cifar.empty()) return open_cifar(cifar, spec);
  if (const auto idx = find_idx(spec.path, spec.split)) {
    DataSpec inner = spec;
    inner.path = *idx;
    return open_idx(inner);
  }
  if (!spec.split.empty()) {
    throw usage_error(spec.path.string() + " has no split \"" + spec.split + '"',
                      "A split is a folder of that name.");
  }
  if (auto sets = open_test_sets(spec)) return sets;
  if (spec.labels.empty() && fs::exists(spec.path / "labels.csv"))
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
