// SPDX-License-Identifier: Apache-2.0
#include "onnx_io/external_data.h"

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <charconv>

#include "support/checked.h"

namespace qtool {

namespace fs = std::filesystem;

namespace {

constexpr uint64_t kPage = 4096;

std::string entry_of(const onnx::TensorProto& proto, std::string_view key) {
  for (const auto& entry : proto.external_data()) {
    if (entry.key() == key) return entry.value();
  }
  return {};
}

std::optional<uint64_t> number_of(const onnx::TensorProto& proto, std::string_view key) {
  const std::string text = entry_of(proto, key);
  if (text.empty()) return std::nullopt;
  uint64_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc() || end != text.data() + text.size()) {
    throw input_error("its external data has the " + std::string(key) + " \"" + text.substr(0, 40) +
                      "\", which is no number of bytes");
  }
  return number;
}

bool is_inside(const fs::path& file, const fs::path& folder) {
  const auto [in_folder, in_file] =
      std::mismatch(folder.begin(), folder.end(), file.begin(), file.end());
  return in_folder == folder.end() && in_file != file.end();
}

/// Alignment that reading the elements through their C++ type needs.
size_t alignment(DType dtype) {
  if (dtype == DType::complex64) return 4;
  return std::clamp<size_t>(static_cast<size_t>(bits(dtype)) / 8, 1, 8);
}

}  // namespace

const MappedFile& ExternalReader::open(const std::string& location) {
  const auto known = files_.find(location);
  if (known != files_.end()) return known->second;
  const fs::path relative(location);
  if (folder_.empty()) throw input_error("it has external data, which is not read here");
  if (location.empty() || location.find('\0') != std::string::npos || relative.is_absolute() ||
      std::ranges::find(relative, fs::path("..")) != relative.end()) {
    throw input_error("its external data is said to lie in \"" + location + "\"",
                      "A location is a path relative to the model's folder, without \"..\".");
  }
  const fs::path path = folder_ / relative;
  std::error_code failure;
  if (!fs::exists(path, failure)) {
    throw input_error(
        "its external data is missing: there is no file " + path.string(),
        "Put the data file beside the model, under the name that it was exported with.");
  }
  const fs::path folder = fs::canonical(folder_, failure);
  const fs::path file = failure ? fs::path() : fs::canonical(path, failure);
  if (failure || !is_inside(file, folder)) {
    throw input_error("its external data " + path.string() + " leads out of the model's folder",
                      "Copy the data file beside the model.");
  }
  // Asked before opening: opening a pipe would wait for its writer.
  if (!fs::is_regular_file(file, failure)) {
    throw input_error("its external data " + path.string() + " is not a regular file");
  }
  return files_.emplace(location, MappedFile(file)).first->second;
}

std::vector<fs::path> ExternalReader::paths() const {
  std::vector<fs::path> result;
  for (const auto& [location, file] : files_) result.push_back(folder_ / location);
  return result;
}

Tensor ExternalReader::read(const onnx::TensorProto& proto, DType dtype, const Shape& shape) {
  if (dtype == DType::string) throw input_error("strings cannot be external data");
  const std::string location = entry_of(proto, "location");
  const size_t needed = storage_bytes(dtype, element_count(shape));
  const uint64_t offset = number_of(proto, "offset").value_or(0);
  const uint64_t length = number_of(proto, "length").value_or(needed);
  if (length != needed) {
    throw input_error("its external data has " + std::to_string(length) + " bytes; " +
                      std::string(name(dtype)) + to_string(shape) + " takes " +
                      std::to_string(needed));
  }
  const MappedFile& file = open(location);
  const auto end = checked_add<uint64_t>(offset, length);
  if (!end || *end > file.bytes().size()) {
    throw input_error("its external data ends beyond " + location + ", which has " +
                          std::to_string(file.bytes().size()) + " bytes (offset " +
                          std::to_string(offset) + ", length " + std::to_string(length) + ')',
                      "The data file is cut short or belongs to another model.");
  }
  const auto bytes = file.bytes().subspan(offset, length);
  if (!bytes.empty() && reinterpret_cast<uintptr_t>(bytes.data()) % alignment(dtype) == 0) {
    return Tensor::in_place(dtype, shape, bytes, file.owner());
  }
  Tensor copy(dtype, shape);
  std::ranges::copy(bytes, copy.raw());
  return copy;
}

bool ExternalWriter::takes(const Tensor& tensor) const {
  return tensor.dtype() != DType::string && tensor.bytes() > 0 && tensor.bytes() >= threshold_;
}

void ExternalWriter::add(const Tensor& tensor, onnx::TensorProto& proto) {
  const auto [place, fresh] = offsets_.try_emplace({tensor.raw(), tensor.bytes()}, end_);
  if (fresh) {
    placed_.push_back({&tensor, end_});
    end_ = (end_ + tensor.bytes() + kPage - 1) / kPage * kPage;
  }
  const auto put = [&](const char* key, const std::string& value) {
    auto* entry = proto.add_external_data();
    entry->set_key(key);
    entry->set_value(value);
  };
  put("location", location_);
  put("offset", std::to_string(place->second));
  put("length", std::to_string(tensor.bytes()));
  proto.set_data_location(onnx::TensorProto::EXTERNAL);
}

uint64_t ExternalWriter::bytes() const {
  return placed_.empty() ? 0 : placed_.back().offset + placed_.back().tensor->bytes();
}

void ExternalWriter::write(const fs::path& path) const {
  write_file(path, [&](std::ostream& out) {
    uint64_t position = 0;
    for (const auto& [tensor, offset] : placed_) {
      const std::string padding(offset - position, '\0');
      out.write(padding.data(), static_cast<std::streamsize>(padding.size()));
      out.write(reinterpret_cast<const char*>(tensor->raw()),
                static_cast<std::streamsize>(tensor->bytes()));
      position = offset + tensor->bytes();
    }
  });
}

}  // namespace qtool
