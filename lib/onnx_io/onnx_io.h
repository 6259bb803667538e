// SPDX-License-Identifier: Apache-2.0
// ONNX files and graphs. Format: onnx.proto of ONNX (IR 1 to 13 and later; what a later version
// adds is carried through as it stands), https://github.com/onnx/onnx/blob/main/docs/IR.md
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace qtool {

/// Bodies of If, Loop and Scan may nest this deep.
inline constexpr int kMaxSubgraphDepth = 32;

struct LoadOptions {
  /// Where the tensors that lie outside the model file are; empty: the model's own folder.
  std::filesystem::path data_folder;
  /// Where given: gets the data files that were read, in the order of their names.
  std::vector<std::filesystem::path>* data_files = nullptr;
};

/// Reads a model. verify() of the result is empty. Errors (input), each with the file and the node
/// or value: unreadable, not ONNX, damaged, a value made twice or never, a cycle, elements that do
/// not fit shape and type, external data that is missing, too short or outside the folder.
Graph load_model(const std::filesystem::path& path, const LoadOptions& options = {});

/// The same of bytes in memory, which are not kept. With an empty folder a model that has external
/// data is refused.
Graph parse_model(std::span<const std::byte> bytes, const std::filesystem::path& data_folder);

struct SaveOptions {
  enum class ExternalData {
    automatic,  ///< inline, unless the model's tensors take more than inline_limit bytes
    always,     ///< tensors of external_threshold bytes and more
  };
  ExternalData external_data = ExternalData::automatic;
  uint64_t inline_limit = 1'900'000'000;  ///< bytes; protobuf itself ends at 2^31 - 1
  uint64_t external_threshold = 1024;     ///< bytes; smaller tensors stay inline
};

/// Writes the model atomically. External data goes to "<file name>.data" beside it, each tensor at
/// a multiple of 4096 bytes. An unedited graph gives the file that it was read from, but for order
/// where ONNX gives it no meaning. Returns how many bytes both files have. Errors (input): not
/// writable; (unsupported): over 2 GB inline.
uint64_t save_model(const Graph& graph, const std::filesystem::path& path,
                    const SaveOptions& options = {});

/// How many bytes save_model() would write, data file included. Errors: as there, but for the disk.
uint64_t saved_bytes(const Graph& graph, const std::filesystem::path& path,
                     const SaveOptions& options = {});

/// The model file's bytes, all tensors inline. Errors (unsupported): over 2 GB.
std::string serialize_model(const Graph& graph);

/// A TensorProto file, such as input_0.pb of ONNX's test data. Errors (input): damaged, external
/// data, not a tensor.
Tensor parse_tensor(std::span<const std::byte> bytes);

/// The same with the name that the file gives it, perhaps none.
struct NamedTensor {
  std::string name;
  Tensor tensor;
};
NamedTensor parse_named_tensor(std::span<const std::byte> bytes);
std::string serialize_tensor(const Tensor& tensor, const std::string& name = {});

/// A model as it lies on disk.
struct FileIdentity {
  std::string sha256;  ///< in hexadecimal, see identify()
  uint64_t bytes = 0;  ///< of the model file and its data files
};

/// SHA-256 of the file; of a model with data files SHA-256 of the lines that `sha256sum` prints
/// without names, for the model file and then each data file.
FileIdentity identify(const std::filesystem::path& path,
                      const std::vector<std::filesystem::path>& data_files);

}  // namespace qtool
