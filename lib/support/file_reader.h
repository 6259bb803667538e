// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace qtool {

/// Reads parts of a file, from any thread, and keeps none of it in the process's memory, which a
/// mapping would count as resident once it was looked at.
class FileReader {
 public:
  /// Errors (input): missing, not a regular file, unreadable.
  explicit FileReader(std::filesystem::path path);
  ~FileReader();
  FileReader(FileReader&& other) noexcept;
  FileReader& operator=(FileReader&&) = delete;

  uint64_t bytes() const { return bytes_; }
  const std::filesystem::path& path() const { return path_; }

  /// Fills `to` with what stands from `offset` on. Errors (input): the file ends before that, as
  /// one that shrank, or cannot be read.
  void read(uint64_t offset, std::span<std::byte> to) const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  uint64_t bytes_ = 0;
};

/// SHA-256 of a file's content, read piece by piece.
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace qtool
