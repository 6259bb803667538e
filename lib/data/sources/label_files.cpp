// SPDX-License-Identifier: Apache-2.0
// Labels that lie in a file of their own.
#include <algorithm>

#include "data/sources/csv.h"
#include "data/sources/idx.h"
#include "data/sources/sources.h"
#include "support/file.h"
#include "support/text.h"
#include "tensor/npy.h"

namespace qtool {

namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMaxText = 1 << 30;

std::vector<int64_t> labels_of_array(const fs::path& path) {
  const Tensor array = read_npy(path);
  if (array.rank() != 1 || !is_integer(array.dtype())) {
    throw input_error(path.string() + " holds " + std::string(name(array.dtype())) +
                      to_string(array.shape()) + "; labels are integers, one a sample");
  }
  return to_int64s(array);
}

/// One integer a line; a first line that is none is a heading.
std::vector<int64_t> labels_of_text(const fs::path& path) {
  std::vector<int64_t> labels;
  for_each_line(read_file(path, kMaxText), [&](std::string_view line, size_t number) {
    const std::string field = csv_fields(line).at(0);
    const auto label = parse_integer(field);
    if (!label && number == 1) return;
    if (!label) {
      throw input_error(fmt::format("{}:{}: the label \"{}\" is not an integer", path.string(),
                                    number, field.substr(0, 40)));
    }
    labels.push_back(*label);
  });
  return labels;
}

}  // namespace

std::optional<fs::path> label_file(const DataSpec& spec) {
  if (spec.labels.empty()) return std::nullopt;
  std::error_code ignored;
  if (fs::is_regular_file(spec.labels, ignored)) return fs::path(spec.labels);
  if (spec.labels.find('/') == std::string::npos && fs::path(spec.labels).extension().empty())
    return std::nullopt;
  throw input_error("--labels: there is no file " + spec.labels,
                    "A file with one label a line, an .npy or an IDX file is expected.");
}

std::vector<int64_t> read_label_list(const fs::path& path, size_t samples) {
  std::vector<int64_t> labels;
  if (path.extension() == ".npy") {
    labels = labels_of_array(path);
  } else if (IdxFile::looks_like(path)) {
    labels = IdxFile(path).integers();
  } else {
    labels = labels_of_text(path);
  }
  for (size_t i = 0; i < labels.size(); ++i) {
    within_frame([&] { return path.string() + ", label " + std::to_string(i); },
                 [&] { check_label(labels[i]); });
  }
  if (labels.size() != samples) {
    throw input_error(
        fmt::format("{} has {} labels for {} samples", path.string(), labels.size(), samples),
        "There must be one for each sample, in their order.");
  }
  return labels;
}

Tensor with_values(Tensor sample, const Preprocessing& steps) {
  if (steps.resize || steps.crop) {
    throw unsupported_error(
        "the preprocessing resizes or crops, which is done for images only",
        "Give just the values' part, such as '{scale: 1/255, mean: 0.5, std: 0.5}'.");
  }
  if (!steps.changes_values()) return sample;
  const Shape shape = sample.shape();
  Tensor values = cast(sample, DType::float32);
  // Whatever is not [C,H,W] is one channel.
  const bool image = shape.size() == 3;
  Shape four = image ? Shape{1, shape[0], shape[1], shape[2]} : Shape{1, 1, values.size(), 1};
  if (!image && steps.layout == ImageLayout::nhwc) four = {1, values.size(), 1, 1};
  values = std::move(values).reshaped(std::move(four));
  normalize(values, steps);
  return std::move(values).reshaped(shape);
}

std::optional<int64_t> classes_among(std::span<const int64_t> labels) {
  if (labels.empty()) return std::nullopt;
  return *std::max_element(labels.begin(), labels.end()) + 1;
}

}  // namespace qtool
