// SPDX-License-Identifier: Apache-2.0
#include <zip.h>

#include <algorithm>
#include <array>
#include <deque>

#include "support/text.h"
#include "tensor/npy.h"

namespace qtool {

namespace {

constexpr zip_int64_t kMaxEntries = 65536;
constexpr uint64_t kFreeUnpacking = uint64_t{4} << 30;  ///< bytes any archive may unpack to
constexpr uint64_t kMaxExpansion = 16;                  ///< beyond these, relative to its own size
constexpr uint64_t kBestRatio = 1032;                   ///< of deflate, which zlib's authors state
constexpr std::string_view kSuffix = ".npy";

std::string reason(zip_t* archive) { return zip_error_strerror(zip_get_error(archive)); }

struct Discard {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
struct Close {
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};
using Archive = std::unique_ptr<zip_t, Discard>;

Archive open_archive(const std::filesystem::path& path, int flags) {
  int code = 0;
  zip_t* archive = zip_open(path.c_str(), flags, &code);
  if (archive != nullptr) return Archive(archive);
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  const std::string text = zip_error_strerror(&error);
  zip_error_fini(&error);
  throw input_error("cannot open it as an .npz archive: " + text);
}

Tensor read_entry(zip_t* archive, const zip_stat_t& entry) {
  const std::unique_ptr<zip_file_t, Close> file(zip_fopen_index(archive, entry.index, 0));
  if (!file) throw input_error("cannot unpack it: " + reason(archive));
  Tensor tensor = read_npy(entry.size, [&](std::byte* to, size_t count) {
    while (count > 0) {
      const zip_int64_t got = zip_fread(file.get(), to, count);
      if (got <= 0) {
        throw input_error("cannot unpack it: " +
                          std::string(got == 0
                                          ? "it ends early"
                                          : zip_error_strerror(zip_file_get_error(file.get()))));
      }
      to += got;
      count -= static_cast<size_t>(got);
    }
  });
  // The checksum is looked at when the end is read.
  std::byte beyond{};
  if (zip_fread(file.get(), &beyond, 1) != 0) {
    throw input_error("cannot unpack it: " +
                      std::string(zip_error_strerror(zip_file_get_error(file.get()))));
  }
  return tensor;
}

TensorMap read_entries(zip_t* archive, uint64_t archive_bytes) {
  const zip_int64_t count = zip_get_num_entries(archive, 0);
  if (count > kMaxEntries)
    throw input_error("it has more than " + std::to_string(kMaxEntries) + " entries");
  const uint64_t limit = std::max(kFreeUnpacking, archive_bytes * kMaxExpansion);
  uint64_t unpacked = 0;
  TensorMap tensors;
  for (zip_int64_t i = 0; i < count; ++i) {
    zip_stat_t entry;
    constexpr zip_uint64_t kNeeded =
        ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_INDEX;
    if (zip_stat_index(archive, static_cast<zip_uint64_t>(i), 0, &entry) != 0 ||
        (entry.valid & kNeeded) != kNeeded) {
      throw input_error("its entry " + std::to_string(i) + " cannot be read: " + reason(archive));
    }
    std::string key = entry.name;
    if (!key.ends_with(kSuffix)) {
      throw input_error("its entry \"" + key + "\" is no .npy array",
                        "Write it with numpy.savez or numpy.savez_compressed.");
    }
    key.resize(key.size() - kSuffix.size());
    if (entry.size > limit || (unpacked += entry.size) > limit) {
      throw input_error("it unpacks to more than " + human_bytes(limit),
                        "Save it without compression (numpy.savez) if that is meant.");
    }
    within_frame([&] { return "array \"" + key + '"'; },
                 [&] {
                   if (entry.comp_size < entry.size / kBestRatio) {
                     throw input_error("it claims to unpack to " + human_bytes(entry.size) +
                                       " from " + human_bytes(entry.comp_size));
                   }
                   if (tensors.contains(key))
                     throw input_error("the archive has two arrays of this name");
                   tensors.emplace(key, read_entry(archive, entry));
                 });
  }
  return tensors;
}

/// Header and elements are read when the archive is closed.
void add_entry(zip_t* archive, const std::string& key, std::string& header, const Tensor& tensor) {
  std::array<zip_buffer_fragment_t, 2> parts{};
  parts[0] = {reinterpret_cast<zip_uint8_t*>(header.data()), header.size()};
  // libzip wants a pointer to mutable bytes but only reads them.
  auto* elements = const_cast<std::byte*>(tensor.raw());
  parts[1] = {reinterpret_cast<zip_uint8_t*>(elements), tensor.bytes()};
  const zip_uint64_t used = tensor.bytes() > 0 ? 2 : 1;
  zip_source_t* source = zip_source_buffer_fragment(archive, parts.data(), used, 0);
  if (source == nullptr) throw input_error("cannot write it: " + reason(archive));
  const std::string name = key + std::string(kSuffix);
  const zip_int64_t added = zip_file_add(archive, name.c_str(), source, ZIP_FL_ENC_UTF_8);
  if (added < 0) {
    zip_source_free(source);
    throw input_error("cannot write it: " + reason(archive));
  }
  const auto index = static_cast<zip_uint64_t>(added);
  constexpr zip_uint16_t kFirstOfJanuary1980 = 1 << 5 | 1;
  if (zip_set_file_compression(archive, index, ZIP_CM_STORE, 0) != 0 ||
      zip_file_set_dostime(archive, index, 0, kFirstOfJanuary1980, 0) != 0) {
    throw input_error("cannot write it: " + reason(archive));
  }
}

}  // namespace

TensorMap read_npz(const std::filesystem::path& path) {
  return within_frame([&] { return path.string(); },
                      [&] {
                        const Archive archive = open_archive(path, ZIP_RDONLY);
                        std::error_code failure;
                        const uint64_t bytes = std::filesystem::file_size(path, failure);
                        return read_entries(archive.get(), failure ? 0 : bytes);
                      });
}

void write_npz(const std::filesystem::path& path, const TensorMap& tensors) {
  QTOOL_CHECK(!tensors.empty(), "libzip makes no archive without entries");
  within_frame([&] { return path.string(); },
               [&] {
                 // libzip writes when it closes, from memory that must live until then, and renames
                 // at the end.
                 std::deque<std::string> headers;
                 Archive archive = open_archive(path, ZIP_CREATE | ZIP_TRUNCATE);
                 for (const auto& entry : tensors) {
                   within_frame(
                       [&] { return "array \"" + entry.first + '"'; },
                       [&] {
                         headers.push_back(npy_header(entry.second.dtype(), entry.second.shape()));
                         add_entry(archive.get(), entry.first, headers.back(), entry.second);
                       });
                 }
                 if (zip_close(archive.get()) != 0) {
                   throw input_error("cannot write it: " + reason(archive.get()),
                                     "Is the disk full? An earlier file of that name is intact.");
                 }
                 archive.release();
               });
}

}  // namespace qtool
