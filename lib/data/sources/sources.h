// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/open.h"

namespace qtool {

/// Beyond it, a label is taken for a mistake: tables by class would not fit into memory.
inline constexpr int64_t kMaxLabel = (1 << 24) - 1;

/// Files of the binary version, one data set in this order. Errors: see open_dataset.
std::unique_ptr<Dataset> open_cifar(const std::vector<std::filesystem::path>& files,
                                    const DataSpec& spec);

/// The CIFAR files in a folder that belong to spec.split; none where it has no such files.
/// Errors (usage): it has both splits, and none or an unknown one is asked for.
std::vector<std::filesystem::path> find_cifar(const std::filesystem::path& folder,
                                              const std::string& split);

std::unique_ptr<Dataset> open_arrays(const DataSpec& spec);  ///< .npz, .npy
std::unique_ptr<Dataset> open_labelled_images(const std::filesystem::path& csv,
                                              const DataSpec& spec);
std::unique_ptr<Dataset> open_image_folder(const DataSpec& spec);  ///< classes or plain

/// MNIST's format. The labels are in the file that spec.labels names, or in the one beside it whose
/// name says so.
std::unique_ptr<Dataset> open_idx(const DataSpec& spec);

/// The file of images in a folder of IDX files that belongs to `split` ("train", "test"); nothing
/// where there are none. Errors (usage): several, and none or an unknown one is asked for.
std::optional<std::filesystem::path> find_idx(const std::filesystem::path& folder,
                                              const std::string& split);

/// A CSV of numbers, or of images and their labels where its heading or first line says so.
std::unique_ptr<Dataset> open_table(const DataSpec& spec);

/// Elements alone, of spec.shape and spec.dtype: a file, or a folder of them in the order of names.
std::unique_ptr<Dataset> open_raw(const DataSpec& spec);

/// A folder of test_data_set_N, or one of these; null for any other folder.
std::unique_ptr<Dataset> open_test_sets(const DataSpec& spec);

/// One more than the largest label; nothing without labels.
std::optional<int64_t> classes_among(std::span<const int64_t> labels);

/// The file that spec.labels names; nothing where it names a part of the data. Errors (input):
/// what can only be the name of a file is none.
std::optional<std::filesystem::path> label_file(const DataSpec& spec);

/// One label a sample: an .npy, an IDX file, or text with an integer a line. Errors (input):
/// another number of labels, labels that are none; with the file.
std::vector<int64_t> read_label_list(const std::filesystem::path& path, size_t samples);

/// (x * scale - mean) / std of one sample's elements; [C,H,W] (or [H,W,C]) has channels. As it
/// comes where the steps change no values. Errors (unsupported): resizing.
Tensor with_values(Tensor sample, const Preprocessing& steps);

/// "labels.csv": rows of a file and a label.
struct LabelRow {
  std::string file;
  int64_t label = 0;
  size_t line = 0;
};

/// Comma-separated, fields may be quoted (RFC 4180). The first line names the columns, among them
/// "file" and "label"; if its second field is a number, there are just these two and no heading.
/// Errors (input), with the line: a missing column or field, a label that is no integer from 0 to
/// kMaxLabel, a file outside of the folder or listed twice.
std::vector<LabelRow> read_labels(const std::filesystem::path& csv);

/// Throws unless 0 <= label <= kMaxLabel.
void check_label(int64_t label);

/// {"kind", "path" (its last part), "samples", "sha256", "sha256_of"}.
Json provenance_of_file(std::string kind, const std::filesystem::path& file, size_t samples);

/// The hash is over the lines "name size" of `files`, relative to `folder` and sorted, and `extra`.
Json provenance_of_files(std::string kind, const std::filesystem::path& folder,
                         std::vector<std::string> files, size_t samples,
                         std::string_view extra = {});

}  // namespace qtool
