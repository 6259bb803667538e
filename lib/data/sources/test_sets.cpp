// SPDX-License-Identifier: Apache-2.0
// ONNX's test data: folders test_data_set_N with input_0.pb ..., and output_0.pb ... as what the
// model should answer. A set is what one run takes, its batch dimension included.
#include <algorithm>

#include "data/sources/csv.h"
#include "data/sources/sources.h"
#include "onnx_io/onnx_io.h"
#include "support/file.h"
#include "support/text.h"

namespace qtool {

namespace fs = std::filesystem;

namespace {

/// The N of "input_N.pb"; nothing for other names.
std::optional<int64_t> number_of(const std::string& name, std::string_view before,
                                 std::string_view behind) {
  if (!name.starts_with(before) || !name.ends_with(behind)) return std::nullopt;
  if (name.size() <= before.size() + behind.size()) return std::nullopt;
  return parse_integer(
      std::string_view(name).substr(before.size(), name.size() - before.size() - behind.size()));
}

/// Files PREFIX_0.pb, PREFIX_1.pb ... of a folder, without gaps.
std::vector<fs::path> tensor_files(const fs::path& folder, const std::string& prefix) {
  std::vector<fs::path> files;
  while (fs::is_regular_file(folder / fmt::format("{}_{}.pb", prefix, files.size())))
    files.push_back(folder / fmt::format("{}_{}.pb", prefix, files.size()));
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const auto number = number_of(entry.path().filename().string(), prefix + '_', ".pb");
    if (number && *number >= static_cast<int64_t>(files.size())) {
      throw input_error(fmt::format("{} has {}, but no {}_{}.pb", folder.string(),
                                    entry.path().filename().string(), prefix, files.size()));
    }
  }
  return files;
}

/// By the name that each file gives its tensor; "input_0" where it gives none.
TensorMap read_tensors(const std::vector<fs::path>& files) {
  TensorMap tensors;
  for (const fs::path& path : files) {
    within_frame([&] { return path.string(); },
                 [&] {
                   const std::string bytes = read_file(path);
                   NamedTensor read = parse_named_tensor(std::as_bytes(std::span(bytes)));
                   if (read.name.empty()) read.name = path.stem().string();
                   const auto [place, fresh] = tensors.emplace(read.name, std::move(read.tensor));
                   if (!fresh) throw input_error("two tensors are named \"" + place->first + '"');
                 });
  }
  return tensors;
}

class TestSets : public Dataset {
 public:
  TestSets(fs::path root, std::vector<fs::path> sets)
      : root_(std::move(root)), sets_(std::move(sets)) {
    for (const fs::path& set : sets_) {
      if (tensor_files(set, "input").empty()) throw input_error("no input_0.pb in " + set.string());
    }
  }

  size_t size() const override { return sets_.size(); }
  bool labelled() const override { return false; }
  bool batched() const override { return true; }

  Sample get(size_t index) const override {
    QTOOL_CHECK(index < size(), "sample " + std::to_string(index));
    Sample sample;
    sample.id = sets_[index].filename().string();
    sample.inputs = read_tensors(tensor_files(sets_[index], "input"));
    sample.expected = read_tensors(tensor_files(sets_[index], "output"));
    return sample;
  }

  Json provenance() const override {
    std::vector<std::string> files;
    for (const fs::path& set : sets_) {
      for (const char* prefix : {"input", "output"}) {
        for (const fs::path& file : tensor_files(set, prefix))
          files.push_back(fs::relative(file, root_).string());
      }
    }
    return provenance_of_files("onnx test data", root_, files, size());
  }

 private:
  fs::path root_;
  std::vector<fs::path> sets_;
};

}  // namespace

std::unique_ptr<Dataset> open_test_sets(const DataSpec& spec) {
  if (fs::is_regular_file(spec.path / "input_0.pb"))
    return std::make_unique<TestSets>(spec.path, std::vector{spec.path});
  std::vector<std::pair<int64_t, fs::path>> sets;
  for (const fs::directory_entry& entry : fs::directory_iterator(spec.path)) {
    const auto number = number_of(entry.path().filename().string(), "test_data_set_", "");
    if (number && entry.is_directory()) sets.emplace_back(*number, entry.path());
  }
  if (sets.empty()) return nullptr;
  std::sort(sets.begin(), sets.end());
  std::vector<fs::path> folders;
  for (auto& [number, path] : sets) folders.push_back(std::move(path));
  return std::make_unique<TestSets>(spec.path, std::move(folders));
}

}  // namespace qtool
