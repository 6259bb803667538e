// SPDX-License-Identifier: Apache-2.0
// Elements and nothing else, in the byte order of this machine: one file of many samples, or a
// folder of such files.
#include <algorithm>

#include "data/sources/sources.h"
#include "support/file_reader.h"
#include "support/text.h"

namespace qtool {

namespace fs = std::filesystem;

namespace {

DType element_type(const std::string& text) {
  const auto dtype = dtype_from_name(text.empty() ? "float" : text);
  if (!dtype || bits(*dtype) < 8) {
    throw usage_error(
        "--dtype " + text + " is no type of raw data",
        "It can be float, uint8, int8, int32, int64, float16, double and their like.");
  }
  return *dtype;
}

class Raw : public Dataset {
 public:
  Raw(const std::vector<fs::path>& files, const DataSpec& spec)
      : spec_(spec), dtype_(element_type(spec.dtype)),
        sample_bytes_(storage_bytes(dtype_, element_count(spec.shape))) {
    if (sample_bytes_ == 0) throw usage_error("--shape " + to_string(spec.shape) + " is empty");
    for (const fs::path& path : files) {
      FileReader file(path);
      if (file.bytes() == 0 || file.bytes() % sample_bytes_ != 0) {
        throw input_error(
            fmt::format("{}: its {} bytes are no whole number of samples {}{} of {} bytes",
                        path.string(), file.bytes(), name(dtype_), to_string(spec.shape),
                        sample_bytes_),
            "Check --shape and --dtype, and that the file is complete.");
      }
      const auto samples = static_cast<size_t>(file.bytes() / sample_bytes_);
      parts_.push_back({std::move(file), size_, samples});
      size_ += samples;
    }
    if (const auto labels = label_file(spec)) labels_ = read_label_list(*labels, size_);
  }

  size_t size() const override { return size_; }
  bool labelled() const override { return !labels_.empty(); }
  std::optional<int64_t> class_count() const override { return classes_among(labels_); }

  Sample get(size_t index) const override {
    QTOOL_CHECK(index < size_, "sample " + std::to_string(index));
    const auto after = std::upper_bound(parts_.begin(), parts_.end(), index,
                                        [](size_t i, const Part& part) { return i < part.first; });
    const Part& part = *std::prev(after);
    Sample sample;
    sample.id = part.file.path().filename().string();
    if (part.samples > 1) sample.id += ':' + std::to_string(index - part.first);
    if (!labels_.empty()) sample.label = labels_[index];
    Tensor tensor(dtype_, spec_.shape);
    part.file.read(uint64_t{index - part.first} * sample_bytes_, {tensor.raw(), tensor.bytes()});
    sample.inputs.emplace("", with_values(std::move(tensor), spec_.preprocessing));
    return sample;
  }

  Json provenance() const override {
    if (fs::is_regular_file(spec_.path)) return provenance_of_file("raw", spec_.path, size_);
    std::vector<std::string> names;
    for (const Part& part : parts_) names.push_back(part.file.path().filename().string());
    return provenance_of_files("raw", spec_.path, names, size_);
  }

 private:
  struct Part {
    FileReader file;
    size_t first;  ///< index of its first sample
    size_t samples;
  };

  DataSpec spec_;
  DType dtype_;
  size_t sample_bytes_;
  std::vector<Part> parts_;
  std::vector<int64_t> labels_;
  size_t size_ = 0;
};

}  // namespace

std::unique_ptr<Dataset> open_raw(const DataSpec& spec) {
  if (fs::is_regular_file(spec.path)) return std::make_unique<Raw>(std::vector{spec.path}, spec);
  std::vector<fs::path> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(spec.path)) {
    const std::string extension = lower_extension(entry.path());
    if (extension == ".bin" || extension == ".raw" || extension == ".dat")
      files.push_back(entry.path());
  }
  if (files.empty()) {
    throw input_error("no raw data in " + spec.path.string(),
                      "With --shape a folder of .bin, .raw or .dat files is expected.");
  }
  std::sort(files.begin(), files.end());
  return std::make_unique<Raw>(files, spec);
}

}  // namespace qtool
