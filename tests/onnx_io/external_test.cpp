// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include <cstring>

#include "messages.h"
#include "support/file.h"

using namespace qtool;
using test::model_of;
using test::TemporaryFolder;
namespace fs = std::filesystem;

namespace {

std::string entry(const std::string& key, const std::string& value) {
  return "external_data { key: '" + key + "' value: '" + value + "' } ";
}

/// A model whose w is float[4] in an external file.
onnx::ModelProto model_with(const std::string& entries) {
  return model_of(
      "input { name: 'x' } output { name: 'y' } node { input: 'x' input: 'w' output: 'y' op_type: "
      "'Add' } "
      "initializer { name: 'w' data_type: 1 dims: 4 data_location: EXTERNAL " +
      entries + "}");
}

void put(const fs::path& path, const onnx::ModelProto& model) {
  write_file(path, model.SerializeAsString());
}

const std::vector<float> kElements = {1.0F, -2.0F, 0.5F, 1e30F};

std::string element_bytes() {
  return {reinterpret_cast<const char*>(kElements.data()), kElements.size() * sizeof(float)};
}

std::vector<float> weights_of(const Graph& graph) {
  const auto data = graph.value(*graph.find_value("w")).constant->data<float>();
  return {data.begin(), data.end()};
}

onnx::ModelProto read_proto(const fs::path& path) {
  onnx::ModelProto model;
  REQUIRE(model.ParseFromString(read_file(path)));
  return model;
}

}  // namespace

TEST_CASE("external data is read", "[onnx_io]") {
  const TemporaryFolder folder;
  SECTION("from the start") {
    write_file(folder / "w.bin", element_bytes());
    put(folder / "m.onnx", model_with(entry("location", "w.bin")));
  }
  SECTION("from an offset, with a length and a checksum that is left alone") {
    write_file(folder / "w.bin", std::string(4096, 'x') + element_bytes() + "tail");
    put(folder / "m.onnx", model_with(entry("location", "w.bin") + entry("offset", "4096") +
                                      entry("length", "16") + entry("checksum", "ab")));
  }
  SECTION("from an offset that suits no float") {
    write_file(folder / "w.bin", "123" + element_bytes());
    put(folder / "m.onnx", model_with(entry("location", "w.bin") + entry("offset", "3")));
  }
  SECTION("from a folder in the folder") {
    fs::create_directory(folder / "data");
    write_file(folder / "data/w.bin", element_bytes());
    put(folder / "m.onnx", model_with(entry("location", "./data/w.bin")));
  }
  SECTION("through a link that stays inside") {
    write_file(folder / "real.bin", element_bytes());
    fs::create_symlink("real.bin", folder / "w.bin");
    put(folder / "m.onnx", model_with(entry("location", "w.bin")));
  }
  const Graph graph = load_model(folder / "m.onnx");
  CHECK(verify(graph).empty());
  CHECK(weights_of(graph) == kElements);
  CHECK(reinterpret_cast<uintptr_t>(graph.value(*graph.find_value("w")).constant->raw()) % 4 == 0);
  // Saved inline, it needs no other file, and says nothing of one.
  save_model(graph, folder / "inline.onnx");
  const onnx::TensorProto tensor = read_proto(folder / "inline.onnx").graph().initializer(0);
  CHECK(tensor.raw_data() == element_bytes());
  CHECK(!tensor.has_data_location());
  CHECK(tensor.external_data_size() == 0);
}

TEST_CASE("the folder of the data can be another one", "[onnx_io]") {
  const TemporaryFolder folder;
  fs::create_directory(folder / "elsewhere");
  write_file(folder / "elsewhere/w.bin", element_bytes());
  put(folder / "m.onnx", model_with(entry("location", "w.bin")));
  CHECK_THROWS_AS(load_model(folder / "m.onnx"), Error);
  CHECK(weights_of(load_model(folder / "m.onnx", {.data_folder = folder / "elsewhere"})) ==
        kElements);
}

TEST_CASE("external data that is not to be read", "[onnx_io]") {
  const TemporaryFolder folder;
  fs::create_directory(folder / "model");
  write_file(folder / "secret.bin", element_bytes());
  write_file(folder / "model/w.bin", element_bytes());
  const auto refuses = [&](const std::string& entries, const std::string& expected) {
    put(folder / "model/m.onnx", model_with(entries));
    CHECK_THROWS_WITH(load_model(folder / "model/m.onnx"),
                      Catch::Contains("initializer \"w\"") && Catch::Contains(expected));
  };
  refuses(entry("location", "../secret.bin"),
          "its external data is said to lie in \"../secret.bin\"");
  refuses(entry("location", "a/../../secret.bin"),
          "A location is a path relative to the model's folder");
  refuses(entry("location", (folder / "secret.bin").string()), "is said to lie in");
  refuses("", "is said to lie in \"\"");
  refuses(entry("location", "w.bin\\000x"), "is said to lie in");
  refuses(entry("location", "missing.bin"),
          "there is no file " + (folder / "model/missing.bin").string());
  refuses(entry("location", "."), "out of the model's folder");
  fs::create_symlink("../secret.bin", folder / "model/link.bin");
  refuses(entry("location", "link.bin"), "leads out of the model's folder");
  fs::create_directory_symlink("..", folder / "model/up");
  refuses(entry("location", "up/secret.bin"), "leads out of the model's folder");
  fs::create_directory(folder / "model/sub");
  refuses(entry("location", "sub"), "not a regular file");
  REQUIRE(::mkfifo((folder / "model/pipe").c_str(), 0600) == 0);
  refuses(entry("location", "pipe"), "not a regular file");
  refuses(entry("location", "w.bin") + entry("offset", "4"),
          "ends beyond w.bin, which has 16 bytes");
  refuses(entry("location", "w.bin") + entry("offset", "18446744073709551612"),
          "ends beyond w.bin");
  refuses(entry("location", "w.bin") + entry("offset", "99999999999999999999"),
          "is no number of bytes");
  refuses(entry("location", "w.bin") + entry("offset", "-4"),
          "the offset \"-4\", which is no number of bytes");
  refuses(entry("location", "w.bin") + entry("length", "12"), "has 12 bytes; float[4] takes 16");
  write_file(folder / "model/w.bin", "");
  refuses(entry("location", "w.bin"), "which has 0 bytes");
}

TEST_CASE("models in memory have no folder unless one is given", "[onnx_io]") {
  const TemporaryFolder folder;
  write_file(folder / "w.bin", element_bytes());
  const auto model = model_with(entry("location", "w.bin"));
  CHECK_THROWS_WITH(test::parsed(model),
                    Catch::Contains("it has external data, which is not read here"));
  CHECK(weights_of(test::parsed(model, folder.path())) == kElements);
}

TEST_CASE("external data is written", "[onnx_io]") {
  const TemporaryFolder folder;
  const std::string big(5000, 'b');
  Graph graph =
      test::parsed(model_of("initializer { name: 'small' data_type: 2 dims: 4 raw_data: 'abcd' } "
                            "initializer { name: 'big' data_type: 2 dims: 5000 raw_data: '" +
                            big +
                            "' } "
                            "initializer { name: 'words' data_type: 8 dims: 1 string_data: '" +
                            big +
                            "' } "
                            "node { output: 'k' op_type: 'Constant' attribute { name: 'value' "
                            "type: TENSOR t { data_type: 2 dims: 5000 raw_data: '" +
                            std::string(5000, 'k') + "' } } }"));
  graph.add_constant("shared", graph.value(*graph.find_value("big")).constant);
  graph.add_constant("w", make_constant(Tensor::of<float>({4}, kElements)));
  const std::string before = serialize_model(graph);
  const auto check_split = [&] {
    const auto model = read_proto(folder / "q.onnx");
    const std::string data = read_file(folder / "q.onnx.data");
    std::map<std::string, onnx::TensorProto> tensors;
    for (const auto& tensor : model.graph().initializer()) tensors[tensor.name()] = tensor;
    CHECK(tensors["small"].raw_data() == "abcd");
    CHECK(tensors["words"].string_data(0) == big);
    const auto& outside = tensors["big"];
    CHECK(outside.data_location() == onnx::TensorProto::EXTERNAL);
    CHECK(!outside.has_raw_data());
    REQUIRE(outside.external_data_size() == 3);
    CHECK(outside.external_data(0).value() == "q.onnx.data");
    CHECK(std::stoul(outside.external_data(1).value()) % 4096 == 0);
    CHECK(data.substr(std::stoul(outside.external_data(1).value()), 5000) == big);
    CHECK(tensors["shared"].external_data(1).value() == outside.external_data(1).value());
    CHECK(model.graph().node(0).attribute(0).t().data_location() == onnx::TensorProto::EXTERNAL);
    CHECK(serialize_model(load_model(folder / "q.onnx")) == before);
  };
  SECTION("on request") {
    save_model(graph, folder / "q.onnx", {.external_data = SaveOptions::ExternalData::always});
    check_split();
  }
  SECTION("where the tensors pass the limit") {
    save_model(graph, folder / "q.onnx", {.inline_limit = 15000});  // 4 + 3 x 5000 + 16 bytes
    check_split();
  }
  SECTION("over the files that the tensors lie in") {
    save_model(graph, folder / "q.onnx", {.external_data = SaveOptions::ExternalData::always});
    const Graph mapped = load_model(folder / "q.onnx");
    save_model(mapped, folder / "q.onnx", {.external_data = SaveOptions::ExternalData::always});
    check_split();
    CHECK(serialize_model(mapped) == before);
  }
  SECTION("not below the limit") {
    save_model(graph, folder / "q.onnx", {.inline_limit = 20000});
    CHECK(!fs::exists(folder / "q.onnx.data"));
    CHECK(read_file(folder / "q.onnx") == before);
  }
  SECTION("not where the folder is missing") {
    CHECK_THROWS_WITH(save_model(graph, folder / "none/q.onnx"), Catch::Contains("none/q.onnx"));
  }
  size_t files = 0;
  for ([[maybe_unused]] const auto& file : fs::directory_iterator(folder.path())) ++files;
  CHECK(files <= 2);  // nothing temporary stays behind
}

TEST_CASE("what a model's files are known by", "[onnx_io]") {
  const TemporaryFolder folder;
  write_file(folder / "abc", "abc");
  // FIPS 180-4's own example.
  const std::string abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  CHECK(identify(folder / "abc", {}).sha256 == abc);
  CHECK(identify(folder / "abc", {}).bytes == 3);
  // (sha256sum abc; sha256sum abc) | cut -c-64 | sha256sum
  const FileIdentity twice = identify(folder / "abc", {folder / "abc"});
  CHECK(twice.sha256 == "ed9453257140de25bccb9b1fe8413c845d0ce1c7a25fcdfe1c874ac5f12c8564");
  CHECK(twice.bytes == 6);

  put(folder / "m.onnx", model_with(entry("location", "w.bin")));
  write_file(folder / "w.bin", element_bytes());
  std::vector<fs::path> files;
  load_model(folder / "m.onnx", {.data_folder = {}, .data_files = &files});
  CHECK(files == std::vector<fs::path>{folder / "w.bin"});
}

TEST_CASE("the size on disk is known before", "[onnx_io]") {
  const TemporaryFolder folder;
  put(folder / "m.onnx", model_with(entry("location", "w.bin")));
  write_file(folder / "w.bin", element_bytes());
  const Graph graph = load_model(folder / "m.onnx");
  const SaveOptions outside{.external_data = SaveOptions::ExternalData::always,
                            .external_threshold = 16};
  for (const SaveOptions& options : {SaveOptions{}, outside}) {
    save_model(graph, folder / "q.onnx", options);
    uint64_t bytes = fs::file_size(folder / "q.onnx");
    if (fs::exists(folder / "q.onnx.data")) bytes += fs::file_size(folder / "q.onnx.data");
    CHECK(saved_bytes(graph, folder / "q.onnx", options) == bytes);
  }
  CHECK(fs::exists(folder / "q.onnx.data"));
}

TEST_CASE("beyond 2 and 4 GB", "[onnx_io]") {
  // Files with holes: they take no room on disk.
  const TemporaryFolder folder;
  const uint64_t offset = 5'000'000'000;
  write_file(folder / "w.bin", "");
  fs::resize_file(folder / "w.bin", offset + 16);
  put(folder / "m.onnx",
      model_with(entry("location", "w.bin") + entry("offset", std::to_string(offset))));
  const Graph graph = load_model(folder / "m.onnx");
  CHECK(weights_of(graph) == std::vector<float>(4, 0.0F));

  write_file(folder / "big.onnx", "");
  fs::resize_file(folder / "big.onnx", 2'200'000'000);
  CHECK_THROWS_WITH(load_model(folder / "big.onnx"),
                    Catch::Contains("more than 2 GB needs external data"));
  const MappedFile file(folder / "big.onnx");
  Graph large = graph;
  const Shape shape{static_cast<int64_t>(file.bytes().size())};
  large.add_constant(
      "big", make_constant(Tensor::in_place(DType::uint8, shape, file.bytes(), file.owner())));
  CHECK_THROWS_WITH(serialize_model(large), Catch::Contains("more than 2 GB in one file"));
}
