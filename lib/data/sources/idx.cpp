// SPDX-License-Identifier: Apache-2.0
#include "data/sources/idx.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "data/sources/sources.h"
#include "support/text.h"

namespace qtool {

namespace fs = std::filesystem;

namespace {

constexpr size_t kMostRank = 8;
constexpr uint64_t kMostUnpacked = uint64_t{8} << 30;

DType type_of(uint8_t code) {
  switch (code) {
    case 0x08: return DType::uint8;
    case 0x09: return DType::int8;
    case 0x0B: return DType::int16;
    case 0x0C: return DType::int32;
    case 0x0D: return DType::float32;
    case 0x0E: return DType::float64;
    default: return DType::undefined;
  }
}

bool is_gzip(std::span<const std::byte> head) {
  return head.size() >= 2 && head[0] == std::byte{0x1F} && head[1] == std::byte{0x8B};
}

bool is_idx(std::span<const std::byte> head) {
  return head.size() >= 4 && head[0] == std::byte{0} && head[1] == std::byte{0} &&
         type_of(static_cast<uint8_t>(head[2])) != DType::undefined &&
         static_cast<uint8_t>(head[3]) >= 1 && static_cast<uint8_t>(head[3]) <= kMostRank;
}

/// The whole content. A small file can unpack to a thousand times its size, which the limit bounds.
std::vector<std::byte> unpack(const fs::path& path) {
  const auto close = [](gzFile file) { gzclose_r(file); };
  const std::unique_ptr<gzFile_s, decltype(close)> file(gzopen(path.c_str(), "rb"), close);
  if (!file) throw input_error("it cannot be opened");
  std::vector<std::byte> content;
  std::array<std::byte, 65536> piece{};
  while (true) {
    const int got = gzread(file.get(), piece.data(), static_cast<unsigned>(piece.size()));
    int code = Z_OK;
    const char* text = gzerror(file.get(), &code);
    if (got < 0 || (code != Z_OK && code != Z_STREAM_END)) {
      throw input_error(std::string("the gzip data is damaged: ") + text,
                        "Is the download complete?");
    }
    if (got == 0) break;
    content.insert(content.end(), piece.begin(), piece.begin() + got);
    if (content.size() > kMostUnpacked) throw input_error("it unpacks to more than 8 GiB");
  }
  return content;
}

}  // namespace

bool IdxFile::looks_like(const fs::path& path) {
  const FileReader file(path);
  std::array<std::byte, 4> head{};
  if (file.bytes() < head.size()) return false;
  file.read(0, head);
  return is_idx(head) || is_gzip(head);
}

IdxFile::IdxFile(const fs::path& path) : file_(path) {
  within_frame([&] { return path.string(); }, [&] { read_header(); });
}

void IdxFile::read(uint64_t offset, std::span<std::byte> to) const {
  if (!gzipped_) return file_.read(offset, to);
  if (offset > unpacked_.size() || unpacked_.size() - offset < to.size())
    throw input_error("it ends too early", "Is the download complete?");
  std::memcpy(to.data(), unpacked_.data() + offset, to.size());
}

void IdxFile::read_header() {
  std::array<std::byte, 4> head{};
  if (file_.bytes() >= head.size()) file_.read(0, head);
  gzipped_ = is_gzip(head);
  if (gzipped_) {
    unpacked_ = unpack(file_.path());
    read(0, head);
  }
  if (!is_idx(head)) throw input_error("this is no IDX file, as those of MNIST are");
  dtype_ = type_of(static_cast<uint8_t>(head[2]));
  const auto rank = static_cast<size_t>(head[3]);
  std::vector<std::byte> extents(rank * 4);
  const uint64_t total = gzipped_ ? unpacked_.size() : file_.bytes();
  data_at_ = 4 + extents.size();
  if (total < data_at_) throw input_error("it ends in its header", "Is the download complete?");
  read(4, extents);
  for (size_t i = 0; i < rank; ++i) {
    int64_t extent = 0;
    for (size_t b = 0; b < 4; ++b) extent = extent * 256 + static_cast<int64_t>(extents[4 * i + b]);
    shape_.push_back(extent);
  }
  const uint64_t wanted = storage_bytes(dtype_, element_count(shape_));
  if (wanted == 0) throw input_error("it holds no samples");
  if (wanted != total - data_at_) {
    throw input_error(fmt::format("its header promises {} bytes of {}{}, it has {}", wanted,
                                  name(dtype_), to_string(shape_), total - data_at_),
                      "Is the download complete?");
  }
}

Tensor IdxFile::item(size_t index) const {
  Tensor tensor(dtype_, Shape(shape_.begin() + 1, shape_.end()));
  const std::span<std::byte> bytes(tensor.raw(), tensor.bytes());
  read(data_at_ + uint64_t{index} * bytes.size(), bytes);
  const size_t width = static_cast<size_t>(bits(dtype_)) / 8;
  for (size_t at = 0; width > 1 && at < bytes.size(); at += width)
    std::reverse(bytes.begin() + static_cast<ptrdiff_t>(at),
                 bytes.begin() + static_cast<ptrdiff_t>(at + width));
  return tensor;
}

std::vector<int64_t> IdxFile::integers() const {
  if (shape_.size() != 1 || !is_integer(dtype_)) {
    throw input_error(file_.path().string() + " holds " + std::string(name(dtype_)) +
                      to_string(shape_) + "; labels are integers, one a sample");
  }
  std::vector<int64_t> values;
  for (size_t i = 0; i < static_cast<size_t>(shape_[0]); ++i)
    values.push_back(to_int64s(item(i))[0]);
  return values;
}

namespace {

class Idx : public Dataset {
 public:
  Idx(const fs::path& path, const DataSpec& spec, std::vector<int64_t> labels)
      : file_(path), path_(path), preprocessing_(spec.preprocessing), labels_(std::move(labels)) {}

  size_t size() const override { return static_cast<size_t>(file_.shape()[0]); }
  bool labelled() const override { return !labels_.empty(); }
  std::optional<int64_t> class_count() const override { return classes_among(labels_); }

  Sample get(size_t index) const override {
    QTOOL_CHECK(index < size(), "sample " + std::to_string(index));
    Sample sample;
    sample.id = path_.filename().string() + ':' + std::to_string(index);
    if (!labels_.empty()) sample.label = labels_[index];
    within_frame([&] { return sample.id; },
                 [&] {
                   Tensor item = file_.item(index);
                   const bool gray = item.dtype() == DType::uint8 && item.rank() == 2;
                   sample.inputs.emplace("", gray ? preprocess_gray(item, preprocessing_)
                                                  : with_values(std::move(item), preprocessing_));
                 });
    return sample;
  }

  Json provenance() const override { return provenance_of_file("idx", path_, size()); }

 private:
  IdxFile file_;
  fs::path path_;
  Preprocessing preprocessing_;
  std::vector<int64_t> labels_;
};

/// "train-labels-idx1-ubyte.gz" of "train-images-idx3-ubyte.gz", also with dots, or unpacked.
std::optional<fs::path> labels_beside(const fs::path& images) {
  std::string name = images.filename().string();
  const size_t at = name.find("images");
  if (at == std::string::npos) return std::nullopt;
  name.replace(at, 6, "labels");
  const size_t rank = name.find("idx3");
  if (rank != std::string::npos) name[rank + 3] = '1';
  std::string other = name.ends_with(".gz") ? name.substr(0, name.size() - 3) : name + ".gz";
  for (const std::string& each : {name, other}) {
    const fs::path path = images.parent_path() / each;
    if (fs::is_regular_file(path)) return path;
  }
  return std::nullopt;
}

}  // namespace

std::unique_ptr<Dataset> open_idx(const DataSpec& spec) {
  const auto named = label_file(spec);
  if (!spec.labels.empty() && !named) {
    throw usage_error("no labels \"" + spec.labels + "\": there is no such file",
                      "Labels of an IDX file are in another file, found by its name or --labels.");
  }
  const auto labels = named ? named : labels_beside(spec.path);
  const IdxFile images(spec.path);
  const auto samples = static_cast<size_t>(images.shape()[0]);
  return std::make_unique<Idx>(spec.path, spec,
                               labels ? read_label_list(*labels, samples) : std::vector<int64_t>{});
}

std::optional<fs::path> find_idx(const fs::path& folder, const std::string& split) {
  std::vector<fs::path> found;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.find("images") == std::string::npos || name.find("idx3") == std::string::npos)
      continue;
    found.push_back(entry.path());
  }
  if (found.empty()) return std::nullopt;
  std::sort(found.begin(), found.end());
  const auto part_of = [](const fs::path& path) {
    const std::string name = path.filename().string();
    return name.starts_with("t10k") ? std::string("test")
                                    : name.substr(0, name.find_first_of("-."));
  };
  std::vector<std::string> parts;
  for (const fs::path& path : found) {
    if (part_of(path) == split || (split.empty() && found.size() == 1)) return path;
    parts.push_back(part_of(path));
  }
  throw usage_error(split.empty() ? folder.string() + " holds several sets of samples"
                                  : folder.string() + " has no split \"" + split + '"',
                    "It has " + join(parts, ", ") + "; ask for one with --split.");
}

}  // namespace qtool
