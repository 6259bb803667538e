// SPDX-License-Identifier: Apache-2.0
// Every model at hand is read, verified, written and compared field by field.
#include <algorithm>
#include <iostream>

#include "messages.h"
#include "support/file.h"

using namespace qtool;
namespace fs = std::filesystem;

namespace {

std::vector<fs::path> files_below(const fs::path& folder, const std::string& extension) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == extension) paths.push_back(entry.path());
  }
  std::ranges::sort(paths);
  return paths;
}

/// Returns whether even the bytes are the same.
bool require_same_model(const fs::path& path) {
  CAPTURE(path.string());
  const std::string bytes = read_file(path);
  onnx::ModelProto original;
  REQUIRE(original.ParseFromString(bytes));
  const Graph graph = load_model(path);
  REQUIRE(verify(graph) == std::vector<std::string>{});
  REQUIRE(!to_text(graph).empty());
  const std::string again = serialize_model(graph);
  onnx::ModelProto copy;
  REQUIRE(copy.ParseFromString(again));
  REQUIRE(test::difference(original, copy) == "");
  if (again != bytes) std::cout << path.string() << ": the order of fields changed\n";
  return again == bytes;
}

/// "test_data_set_0/input_2.pb" holds what the model beside the folder says of its input 2, which
/// can also be a sequence or an optional.
bool is_tensor(const fs::path& path) {
  const fs::path model_path = path.parent_path().parent_path() / "model.onnx";
  onnx::ModelProto model;
  if (!fs::exists(model_path) || !model.ParseFromString(read_file(model_path))) return false;
  const std::string stem = path.stem().string();
  const size_t mark = stem.find('_');
  const auto& list = stem.starts_with("input") ? model.graph().input() : model.graph().output();
  return list.Get(std::stoi(stem.substr(mark + 1))).type().has_tensor_type();
}

constexpr const char* kOnnxData = "/usr/share/libonnx-testdata";

}  // namespace

TEST_CASE("ONNX's own test models survive unchanged", "[onnx_io]") {
  if (!fs::exists(kOnnxData)) QTOOL_SKIP("libonnx-testdata is not installed");
  const auto paths = files_below(kOnnxData, ".onnx");
  const auto identical = std::ranges::count_if(paths, require_same_model);
  std::cout << paths.size() << " models of ONNX compared, " << identical
            << " identical to the byte\n";
  REQUIRE(paths.size() > 1000);
}

TEST_CASE("ONNX's own test tensors survive unchanged", "[onnx_io]") {
  if (!fs::exists(kOnnxData)) QTOOL_SKIP("libonnx-testdata is not installed");
  size_t compared = 0;
  for (const fs::path& path : files_below(kOnnxData, ".pb")) {
    CAPTURE(path.string());
    if (!is_tensor(path)) continue;
    const std::string bytes = read_file(path);
    onnx::TensorProto original;
    REQUIRE(original.ParseFromString(bytes));
    const Tensor tensor = parse_tensor(test::bytes_of(bytes));
    const Tensor again = parse_tensor(test::bytes_of(serialize_tensor(tensor)));
    REQUIRE(tensor.equals(again));
    REQUIRE(Shape(original.dims().begin(), original.dims().end()) == tensor.shape());
    if (original.has_raw_data()) {
      REQUIRE(original.raw_data() ==
              std::string(reinterpret_cast<const char*>(tensor.raw()), tensor.bytes()));
    }
    ++compared;
  }
  std::cout << compared << " tensors of ONNX compared\n";
  REQUIRE(compared > 1000);
}

TEST_CASE("real models survive unchanged", "[onnx_io][assets]") {
  QTOOL_NEED_ASSETS();
  const auto paths = files_below(fs::path(QTOOL_ASSETS) / "models", ".onnx");
  const auto identical = std::ranges::count_if(paths, require_same_model);
  std::cout << paths.size() << " real models compared, " << identical << " identical to the byte\n";
  REQUIRE(paths.size() >= 5);
}
