// SPDX-License-Identifier: Apache-2.0
// Tables of numbers: one sample a line, one column a feature, perhaps one with the class.
#include <algorithm>
#include <map>

#include "data/sources/csv.h"
#include "data/sources/sources.h"
#include "support/file.h"
#include "support/text.h"

namespace qtool {

namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMaxTable = uint64_t{4} << 30;

/// Which columns make which input, and which one is the label.
struct Columns {
  std::vector<std::string> names;  ///< empty: the table has no heading
  size_t count = 0;
  std::optional<size_t> label;
  std::map<std::string, std::vector<size_t>> inputs;  ///< by input name, in the order of the parts
};

std::optional<size_t> label_column(const Columns& columns, const std::string& asked) {
  const auto& names = columns.names;
  if (asked.empty()) {
    for (const char* usual : {"label", "labels", "class", "target", "y"}) {
      const auto found = std::find(names.begin(), names.end(), usual);
      if (found != names.end()) return static_cast<size_t>(found - names.begin());
    }
    return std::nullopt;
  }
  if (const auto found = std::find(names.begin(), names.end(), asked); found != names.end())
    return static_cast<size_t>(found - names.begin());
  const auto number = parse_integer(asked);
  if (number && *number >= 1 && *number <= static_cast<int64_t>(columns.count))
    return static_cast<size_t>(*number - 1);
  std::string advice = did_you_mean(asked, names);
  if (advice.empty()) {
    advice = fmt::format("Name a column, or count it from 1: there are {}.", columns.count);
  }
  throw usage_error("--labels " + asked + ": the table has no such column", advice);
}

/// Columns "x.0", "x.1" are the parts of an input "x"; if any column is not of that form, all of
/// them are one input.
void assign_inputs(Columns& columns) {
  std::map<std::string, std::vector<std::pair<int64_t, size_t>>> parts;
  std::vector<size_t> all;
  bool grouped = !columns.names.empty();
  for (size_t i = 0; i < columns.count; ++i) {
    if (columns.label == i) continue;
    all.push_back(i);
    if (!grouped) continue;
    const std::string& name = columns.names[i];
    const size_t dot = name.rfind('.');
    const auto part = parse_integer(
        dot == std::string::npos ? std::string_view() : std::string_view(name).substr(dot + 1));
    grouped = dot != 0 && part.has_value();
    if (grouped) parts[name.substr(0, dot)].emplace_back(*part, i);
  }
  if (all.empty()) throw input_error("there is no column besides the label");
  if (!grouped) {
    columns.inputs.emplace("", all);
    return;
  }
  for (auto& [name, places] : parts) {
    std::sort(places.begin(), places.end());
    for (const auto& [part, column] : places) columns.inputs[name].push_back(column);
  }
}

class Table : public Dataset {
 public:
  explicit Table(const DataSpec& spec)
      : path_(spec.path), shape_(spec.shape), preprocessing_(spec.preprocessing) {
    const std::string text = read_file(path_, kMaxTable);
    for_each_line(text, [&](std::string_view line, size_t number) {
      within_frame([&] { return path_.string() + ':' + std::to_string(number); },
                   [&] { add(csv_fields(line), spec); });
    });
    if (rows_ == 0) throw input_error(path_.string() + " holds no samples");
    if (const auto file = label_file(spec)) labels_ = read_label_list(*file, rows_);
  }

  size_t size() const override { return rows_; }
  bool labelled() const override { return !labels_.empty(); }
  std::optional<int64_t> class_count() const override { return classes_among(labels_); }

  Sample get(size_t index) const override {
    QTOOL_CHECK(index < rows_, "sample " + std::to_string(index));
    Sample sample;
    sample.id = path_.filename().string() + ':' + std::to_string(index);
    if (!labels_.empty()) sample.label = labels_[index];
    const float* row = values_.data() + index * columns_.count;
    for (const auto& [name, places] : columns_.inputs) {
      const bool shaped = !shape_.empty() && columns_.inputs.size() == 1;
      Tensor tensor(DType::float32, shaped ? shape_ : Shape{static_cast<int64_t>(places.size())});
      const auto to = tensor.data<float>();
      for (size_t i = 0; i < places.size(); ++i) to[i] = row[places[i]];
      sample.inputs.emplace(name, with_values(std::move(tensor), preprocessing_));
    }
    return sample;
  }

  Json provenance() const override { return provenance_of_file("csv", path_, rows_); }

 private:
  void add(const std::vector<std::string>& fields, const DataSpec& spec) {
    if (columns_.count == 0) {
      const bool heading =
          std::any_of(fields.begin(), fields.end(), [](const auto& f) { return !parse_real(f); });
      begin(fields, heading, spec);
      if (heading) return;
    }
    if (fields.size() != columns_.count) {
      throw input_error(
          fmt::format("{} fields, the lines before have {}", fields.size(), columns_.count));
    }
    for (size_t i = 0; i < fields.size(); ++i) {
      const auto value = parse_real(fields[i]);
      const std::string column =
          columns_.names.empty() ? std::to_string(i + 1) : '"' + columns_.names[i] + '"';
      if (!value) {
        throw input_error(
            "column " + column + ": \"" + fields[i].substr(0, 40) + "\" is not a number",
            "A table of images has the columns \"file\" and \"label\".");
      }
      if (columns_.label == i) {
        const auto label = parse_integer(fields[i]);
        if (!label)
          throw input_error("the label \"" + fields[i].substr(0, 40) + "\" is not an integer");
        check_label(*label);
        labels_.push_back(*label);
      }
      values_.push_back(static_cast<float>(*value));
    }
    ++rows_;
  }

  void begin(const std::vector<std::string>& fields, bool heading, const DataSpec& spec) {
    columns_.count = fields.size();
    if (heading) columns_.names = fields;
    if (!label_file(spec)) columns_.label = label_column(columns_, spec.labels);
    assign_inputs(columns_);
    if (shape_.empty()) return;
    const auto features = static_cast<int64_t>(columns_.inputs.begin()->second.size());
    if (columns_.inputs.size() == 1 && element_count(shape_) != features) {
      throw usage_error(
          fmt::format("--shape {} has {} elements, the table has {} columns besides the label",
                      to_string(shape_), element_count(shape_), features));
    }
  }

  fs::path path_;
  Shape shape_;
  Preprocessing preprocessing_;
  Columns columns_;
  std::vector<float> values_;
  std::vector<int64_t> labels_;
  size_t rows_ = 0;
};

/// A heading with "file" and "label", or two fields of which just the second is a number.
bool lists_images(const fs::path& path) {
  std::optional<bool> answer;
  for_each_line(read_file(path, kMaxTable), [&](std::string_view line, size_t) {
    if (answer) return;
    const std::vector<std::string> fields = csv_fields(line);
    const auto has = [&](const char* name) {
      return std::find(fields.begin(), fields.end(), name) != fields.end();
    };
    answer = has("file") || (fields.size() == 2 && !parse_real(fields[0]) && parse_real(fields[1]));
  });
  return answer.value_or(false);
}

}  // namespace

std::unique_ptr<Dataset> open_table(const DataSpec& spec) {
  if (lists_images(spec.path)) return open_labelled_images(spec.path, spec);
  return std::make_unique<Table>(spec);
}

}  // namespace qtool
