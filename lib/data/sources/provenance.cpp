// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "data/sources/sources.h"
#include "support/file.h"
#include "support/file_reader.h"

namespace qtool {

namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMaxHashed = 256'000'000;

uint64_t size_of(const fs::path& file) {
  std::error_code failure;
  const uint64_t bytes = fs::file_size(file, failure);
  if (failure) throw input_error("cannot read " + file.string() + ": " + failure.message());
  return bytes;
}

/// "cifar10" for "/data/cifar10/" as well.
std::string last_part(const fs::path& path) {
  const fs::path normal = fs::absolute(path).lexically_normal();
  return (normal.has_filename() ? normal.filename() : normal.parent_path().filename()).string();
}

std::string hash_of(std::string_view text) { return sha256(std::as_bytes(std::span(text))); }

std::string line(const std::string& name, uint64_t bytes) {
  return name + ' ' + std::to_string(bytes) + '\n';
}

}  // namespace

Json provenance_of_file(std::string kind, const fs::path& file, size_t samples) {
  const uint64_t bytes = size_of(file);
  const bool whole = bytes <= kMaxHashed;
  return {{"kind", std::move(kind)},
          {"path", last_part(file)},
          {"samples", samples},
          {"sha256", whole ? sha256_of_file(file) : hash_of(line(last_part(file), bytes))},
          {"sha256_of", whole ? "content" : "names and sizes"}};
}

Json provenance_of_files(std::string kind, const fs::path& folder, std::vector<std::string> files,
                         size_t samples, std::string_view extra) {
  std::sort(files.begin(), files.end());
  std::string list;
  for (const std::string& file : files) list += line(file, size_of(folder / file));
  list += extra;
  return {{"kind", std::move(kind)},
          {"path", last_part(folder)},
          {"samples", samples},
          {"sha256", hash_of(list)},
          {"sha256_of", "names and sizes"}};
}

}  // namespace qtool
