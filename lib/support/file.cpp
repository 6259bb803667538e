// SPDX-License-Identifier: Apache-2.0
#include "support/file.h"

#include <fcntl.h>
#include <nettle/sha2.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "support/error.h"

namespace qtool {

namespace fs = std::filesystem;

namespace {

std::string reason() { return std::strerror(errno); }

/// A pipe would be waited for, a device replaced. What does not exist is left to the caller.
void refuse_what_is_no_file(const fs::path& path) {
  std::error_code failure;
  const auto status = fs::status(path, failure);
  if (fs::is_directory(status)) throw input_error(path.string() + " is a folder, not a file");
  if (fs::is_other(status)) throw input_error(path.string() + " is not a regular file");
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

/// Deletes the temporary file unless it was renamed.
class TemporaryFile {
 public:
  explicit TemporaryFile(const fs::path& target)
      : path_(target.string() + ".tmp" + std::to_string(::getpid())) {}
  ~TemporaryFile() {
    if (!renamed_) ::unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  const std::string& path() const { return path_; }
  void rename_to(const fs::path& target) {
    if (::rename(path_.c_str(), target.c_str()) != 0) {
      throw input_error("cannot write " + target.string() + ": " + reason());
    }
    renamed_ = true;
  }

 private:
  std::string path_;
  bool renamed_ = false;
};

}  // namespace

void release_pages(std::span<const std::byte> bytes) {
#ifdef MADV_PAGEOUT
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<uintptr_t>(bytes.data()) + page - 1) / page * page;
  const auto end = (reinterpret_cast<uintptr_t>(bytes.data()) + bytes.size()) / page * page;
  // A hint: where the kernel does not know it, the pages stay.
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_PAGEOUT);
#else
  static_cast<void>(bytes);
#endif
}

std::string read_file(const fs::path& path, uint64_t max_bytes) {
  refuse_what_is_no_file(path);
  std::ifstream stream(path, std::ios::binary | std::ios::ate);
  if (!stream) throw input_error("cannot read " + path.string() + ": " + reason());
  const auto size = static_cast<uint64_t>(stream.tellg());
  if (size > max_bytes) {
    throw input_error(path.string() + " has " + std::to_string(size) + " bytes, more than the " +
                      std::to_string(max_bytes) + " that are read of such a file");
  }
  std::string content(size, '\0');
  stream.seekg(0);
  stream.read(content.data(), static_cast<std::streamsize>(size));
  if (!stream) throw input_error("cannot read " + path.string() + ": it ended early");
  return content;
}

MappedFile::MappedFile(const fs::path& path) {
  refuse_what_is_no_file(path);
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) throw input_error("cannot read " + path.string() + ": " + reason());
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) {
    throw input_error("cannot read " + path.string() + ": " + reason());
  }
  size_ = static_cast<size_t>(status.st_size);
  if (size_ == 0) return;
  void* address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (address == MAP_FAILED) throw input_error("cannot map " + path.string() + ": " + reason());
  data_ = {static_cast<const std::byte*>(address), [size = size_](const std::byte* bytes) {
             ::munmap(const_cast<std::byte*>(bytes), size);
           }};
}

void write_file(const fs::path& path, std::string_view content) {
  write_file(path, [&](std::ostream& out) {
    out.write(content.data(), static_cast<std::streamsize>(content.size()));
  });
}

void write_file(const fs::path& path, const std::function<void(std::ostream&)>& write) {
  refuse_what_is_no_file(path);
  TemporaryFile temporary(path);
  {
    std::ofstream stream(temporary.path(), std::ios::binary | std::ios::trunc);
    if (!stream) throw input_error("cannot write " + path.string() + ": " + reason());
    write(stream);
    stream.flush();
    if (!stream) {
      throw input_error("cannot write " + path.string() + ": " + reason(),
                        "Is the disk full? An earlier file of that name is intact.");
    }
  }
  {
    const Descriptor fd(::open(temporary.path().c_str(), O_RDONLY | O_CLOEXEC));
    if (fd.get() < 0 || ::fsync(fd.get()) != 0) {
      throw input_error("cannot write " + path.string() + ": " + reason());
    }
  }
  temporary.rename_to(path);
}

std::string sha256(std::span<const std::byte> bytes) {
  sha256_ctx context;
  sha256_init(&context);
  sha256_update(&context, bytes.size(), reinterpret_cast<const uint8_t*>(bytes.data()));
  std::array<uint8_t, SHA256_DIGEST_SIZE> digest{};
  sha256_digest(&context, digest.size(), digest.data());
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const uint8_t byte : digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace qtool
