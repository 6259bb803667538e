// SPDX-License-Identifier: Apache-2.0
// Tensors outside the model file. Format: ONNX docs/ExternalData.md
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "support/file.h"
#include "tensor/tensor.h"

namespace onnx {
class TensorProto;
}

namespace qtool {

/// The data files of one model, each mapped once.
class ExternalReader {
 public:
  /// An empty folder refuses all external data.
  explicit ExternalReader(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// The elements that `proto` points to, in place where their position suits their type.
  /// Errors (input): no relative path inside the folder, no regular file, too short.
  Tensor read(const onnx::TensorProto& proto, DType dtype, const Shape& shape);

  /// The files read so far, in the order of their names.
  std::vector<std::filesystem::path> paths() const;

 private:
  const MappedFile& open(const std::string& location);

  std::filesystem::path folder_;
  std::map<std::string, MappedFile> files_;
};

/// Lays tensors out in one data file and writes it.
class ExternalWriter {
 public:
  ExternalWriter(std::string location, uint64_t threshold)
      : location_(std::move(location)), threshold_(threshold) {}

  bool takes(const Tensor& tensor) const;

  /// Reserves a place, one for the same bytes however often they come, and points `proto` there.
  /// The tensor must live until write().
  void add(const Tensor& tensor, onnx::TensorProto& proto);

  bool empty() const { return placed_.empty(); }
  uint64_t bytes() const;  ///< of the data file
  void write(const std::filesystem::path& path) const;

 private:
  struct Place {
    const Tensor* tensor;
    uint64_t offset;
  };
  std::string location_;
  uint64_t threshold_;
  uint64_t end_ = 0;
  std::vector<Place> placed_;
  std::map<std::pair<const std::byte*, size_t>, uint64_t> offsets_;
};

}  // namespace qtool
