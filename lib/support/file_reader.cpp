// SPDX-License-Identifier: Apache-2.0
#include "support/file_reader.h"

#include <fcntl.h>
#include <nettle/sha2.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "support/error.h"

namespace qtool {

namespace {

Error cannot_read(const std::filesystem::path& path, int code) {
  return input_error("cannot read " + path.string() + ": " + std::strerror(code));
}

}  // namespace

FileReader::FileReader(std::filesystem::path path) : path_(std::move(path)) {
  // Without O_NONBLOCK the opening of a pipe would wait for a writer.
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) throw cannot_read(path_, errno);
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor_);
    throw input_error("cannot read " + path_.string() + ": it is not a regular file");
  }
  bytes_ = static_cast<uint64_t>(status.st_size);
}

FileReader::~FileReader() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

FileReader::FileReader(FileReader&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)),
      bytes_(other.bytes_) {}

void FileReader::read(uint64_t offset, std::span<std::byte> to) const {
  while (!to.empty()) {
    const ssize_t got = ::pread(descriptor_, to.data(), to.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw cannot_read(path_, errno);
    if (got == 0) throw input_error(path_.string() + " ends too early");
    offset += static_cast<uint64_t>(got);
    to = to.subspan(static_cast<size_t>(got));
  }
}

std::string sha256_of_file(const std::filesystem::path& path) {
  const FileReader file(path);
  sha256_ctx context;
  sha256_init(&context);
  std::vector<std::byte> piece(size_t{1} << 20);
  for (uint64_t at = 0; at < file.bytes(); at += piece.size()) {
    const auto count = static_cast<size_t>(std::min<uint64_t>(piece.size(), file.bytes() - at));
    file.read(at, std::span(piece).first(count));
    sha256_update(&context, count, reinterpret_cast<const uint8_t*>(piece.data()));
  }
  std::array<uint8_t, SHA256_DIGEST_SIZE> digest{};
  sha256_digest(&context, digest.size(), digest.data());
  std::string text;
  for (const uint8_t byte : digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

}  // namespace qtool
