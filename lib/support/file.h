// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <string_view>

namespace qtool {

/// The whole file. Errors (input): missing, a folder, unreadable, larger than max_bytes.
std::string read_file(const std::filesystem::path& path, uint64_t max_bytes = uint64_t{1} << 40);

/// A file mapped read-only; the bytes stay valid as long as any copy of bytes() is held.
class MappedFile {
 public:
  /// Errors (input): missing, not a regular file, unreadable. An empty file maps to no bytes.
  explicit MappedFile(const std::filesystem::path& path);

  std::span<const std::byte> bytes() const { return {data_.get(), size_}; }

  /// Keeps the mapping alive.
  std::shared_ptr<const void> owner() const { return data_; }

 private:
  std::shared_ptr<const std::byte> data_;
  size_t size_ = 0;
};

/// Says that these bytes are not looked at again soon. Pages of a mapped file that lie wholly
/// among them leave memory, to be read again when needed; of other memory nothing changes.
void release_pages(std::span<const std::byte> bytes);

/// Writes through a temporary file in the same folder, flushed to disk and renamed: whoever
/// looks sees the old file or the whole new one. Errors (input): the folder is missing or not
/// writable, the disk is full; then nothing is left behind.
void write_file(const std::filesystem::path& path, std::string_view content);
void write_file(const std::filesystem::path& path, const std::function<void(std::ostream&)>& write);

/// SHA-256 (FIPS 180-4) in lower-case hexadecimal.
std::string sha256(std::span<const std::byte> bytes);

}  // namespace qtool
