// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <memory>

#include "support/file_reader.h"
#include "tensor/tensor.h"

namespace qtool {

/// A file in the IDX format of the MNIST family (LeCun, "The MNIST database"): two zero bytes, a
/// type, a rank, big-endian extents, big-endian elements. May be gzipped. Elements are read when
/// asked for, those of gzipped files are unpacked once.
class IdxFile {
 public:
  /// Errors (input): not IDX, no elements, too short or too long, damaged gzip; with the file.
  explicit IdxFile(const std::filesystem::path& path);

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }

  /// Element `index` of the first dimension, in native byte order: a tensor of the other ones.
  Tensor item(size_t index) const;

  /// All elements as integers. Errors (input): they are none.
  std::vector<int64_t> integers() const;

  /// Whether a file begins as IDX does, or as gzip.
  static bool looks_like(const std::filesystem::path& path);

 private:
  void read_header();
  void read(uint64_t offset, std::span<std::byte> to) const;

  FileReader file_;
  std::vector<std::byte> unpacked_;  ///< of a gzipped file
  bool gzipped_ = false;
  DType dtype_ = DType::undefined;
  Shape shape_;
  size_t data_at_ = 0;
};

}  // namespace qtool
