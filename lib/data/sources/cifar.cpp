// SPDX-License-Identifier: Apache-2.0
// CIFAR-10 and CIFAR-100, binary version (Krizhevsky 2009): records of one label byte, or of a
// coarse and a fine one, and the 32x32 planes of red, green and blue.
#include <algorithm>

#include "data/sources/sources.h"
#include "support/file_reader.h"
#include "support/text.h"

namespace qtool {

namespace fs = std::filesystem;

namespace {

constexpr int kSide = 32;
constexpr size_t kPlane = size_t{kSide} * kSide;

struct Format {
  std::string kind;
  size_t label_bytes;
  size_t label_at;
  int64_t classes;
  size_t record() const { return label_bytes + 3 * kPlane; }
};

struct Part {
  std::string name;
  FileReader file;
  size_t first;  ///< index of its first sample
};

/// Both record sizes can divide a file's size; then its name decides.
Format format_of(const fs::path& path, uint64_t bytes, const std::string& labels) {
  const Format ten{"cifar10", 1, 0, 10};
  const bool coarse = labels == "coarse";
  const Format hundred{"cifar100", 2, coarse ? size_t{0} : size_t{1}, coarse ? 20 : 100};
  const bool may_be_ten = bytes % ten.record() == 0;
  const bool may_be_hundred = bytes % hundred.record() == 0;
  if (bytes == 0 || (!may_be_ten && !may_be_hundred)) {
    throw input_error(
        path.string() + ": its " + std::to_string(bytes) +
            " bytes are no whole number of CIFAR records (3073 bytes, or 3074 of CIFAR-100)",
        bytes == 0 ? "" : "Is the download complete?");
  }
  const bool named_so = path.filename() == "train.bin" || path.filename() == "test.bin";
  const Format format = may_be_hundred && (named_so || !may_be_ten) ? hundred : ten;
  const bool known = labels.empty() || (format.label_bytes == 2 && (labels == "fine" || coarse));
  if (!known) {
    throw usage_error("no labels \"" + labels + "\" in " + path.string(),
                      format.label_bytes == 2 ? "CIFAR-100 has \"fine\" and \"coarse\"."
                                              : "CIFAR-10 has one label a record.");
  }
  return format;
}

class Cifar : public Dataset {
 public:
  Cifar(const std::vector<fs::path>& files, const DataSpec& spec) : spec_(spec) {
    for (const fs::path& path : files) {
      FileReader file(path);
      const Format format = format_of(path, file.bytes(), spec.labels);
      if (!parts_.empty() && format.kind != format_.kind) {
        throw input_error(path.string() + " holds " + format.kind + ", " + parts_.back().name +
                          " beside it " + format_.kind);
      }
      format_ = format;
      parts_.push_back({path.filename().string(), std::move(file), size_});
      size_ += static_cast<size_t>(parts_.back().file.bytes() / format.record());
      check(parts_.back());
    }
  }

  size_t size() const override { return size_; }
  bool labelled() const override { return true; }
  std::optional<int64_t> class_count() const override { return format_.classes; }

  Sample get(size_t index) const override {
    const auto [part, bytes] = record(index);
    Image image{kSide, kSide, std::vector<uint8_t>(3 * kPlane)};
    const std::byte* planes = bytes.data() + format_.label_bytes;
    for (size_t i = 0; i < kPlane; ++i) {
      for (size_t c = 0; c < 3; ++c)
        image.pixels[3 * i + c] = static_cast<uint8_t>(planes[c * kPlane + i]);
    }
    Sample sample;
    sample.id = id(*part, index);
    sample.label = label(bytes);
    within_frame([&] { return sample.id; },
                 [&] { sample.inputs.emplace("", preprocess(image, spec_.preprocessing)); });
    return sample;
  }

  Json provenance() const override {
    if (fs::is_regular_file(spec_.path)) return provenance_of_file(format_.kind, spec_.path, size_);
    std::vector<std::string> names;
    for (const Part& part : parts_) names.push_back(part.name);
    return provenance_of_files(format_.kind, spec_.path, names, size_);
  }

 private:
  struct Record {
    const Part* part;
    std::vector<std::byte> bytes;
  };

  Record record(size_t index) const {
    QTOOL_CHECK(index < size_, "sample " + std::to_string(index));
    const auto after = std::upper_bound(parts_.begin(), parts_.end(), index,
                                        [](size_t i, const Part& part) { return i < part.first; });
    const Part& part = *std::prev(after);
    Record record{&part, std::vector<std::byte>(format_.record())};
    part.file.read(uint64_t{index - part.first} * format_.record(), record.bytes);
    return record;
  }

  int64_t label(std::span<const std::byte> bytes) const {
    return static_cast<int64_t>(bytes[format_.label_at]);
  }

  std::string id(const Part& part, size_t index) const {
    return part.name + ':' + std::to_string(index - part.first);
  }

  /// All labels of a file, some records at a time.
  void check(const Part& part) const {
    constexpr size_t kAtOnce = 256;
    std::vector<std::byte> bytes;
    for (size_t index = part.first; index < size_; index += kAtOnce) {
      const size_t count = std::min(kAtOnce, size_ - index);
      bytes.resize(count * format_.record());
      part.file.read(uint64_t{index - part.first} * format_.record(), bytes);
      for (size_t i = 0; i < count; ++i) {
        const int64_t found = label(std::span(bytes).subspan(i * format_.record()));
        if (found < format_.classes) continue;
        throw input_error(fmt::format("{}: label {}, expected 0 to {}", id(part, index + i), found,
                                      format_.classes - 1),
                          "Is it a file of CIFAR's binary version?");
      }
    }
  }

  DataSpec spec_;
  Format format_{};
  std::vector<Part> parts_;
  size_t size_ = 0;
};

bool is_training_file(const std::string& name) {
  return name == "train.bin" || (name.starts_with("data_batch_") && name.ends_with(".bin"));
}
bool is_test_file(const std::string& name) {
  return name == "test.bin" || name == "test_batch.bin";
}

}  // namespace

std::unique_ptr<Dataset> open_cifar(const std::vector<fs::path>& files, const DataSpec& spec) {
  return std::make_unique<Cifar>(files, spec);
}

std::vector<fs::path> find_cifar(const fs::path& folder, const std::string& split) {
  std::vector<fs::path> train;
  std::vector<fs::path> test;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (is_training_file(name)) train.push_back(entry.path());
    if (is_test_file(name)) test.push_back(entry.path());
  }
  std::sort(train.begin(), train.end());
  if (train.empty() && test.empty()) return {};
  if (split == "train" && !train.empty()) return train;
  if (split == "test" && !test.empty()) return test;
  if (!split.empty()) {
    throw usage_error(folder.string() + " has no split \"" + split + '"',
                      "It has " +
                          std::string(train.empty()  ? "test"
                                      : test.empty() ? "train"
                                                     : "train and test") +
                          '.');
  }
  if (!train.empty() && !test.empty()) {
    throw usage_error(folder.string() + " holds training and test samples",
                      "Ask for the split \"train\" or \"test\", or name one of the .bin files.");
  }
  return train.empty() ? test : train;
}

}  // namespace qtool
