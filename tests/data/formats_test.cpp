// SPDX-License-Identifier: Apache-2.0
// Sources beside images, CIFAR and NumPy's: IDX, tables, raw data, ONNX's test data, random
// numbers.
#include <zlib.h>

#include <cstring>

#include "catch.h"
#include "data/batch.h"
#include "data/open.h"
#include "data/random.h"
#include "onnx_io/onnx_io.h"
#include "support/file.h"
#include "tensor/npy.h"

using namespace qtool;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

std::string message(const DataSpec& spec, Error::Kind kind = Error::Kind::input) {
  try {
    open_dataset(spec);
  } catch (const Error& error) {
    CHECK(error.kind() == kind);
    return std::string(error.what()) + " | " + error.advice();
  }
  return "no error";
}

std::string bytes(std::initializer_list<int> values) {
  std::string text;
  for (const int value : values) text += static_cast<char>(value);
  return text;
}

/// Three images of 2x2 pixels: 0 1 2 3, 10 11 12 13, 20 21 22 23.
const std::string kImages = bytes({0, 0, 8, 3, 0,  0,  0,  3,  0,  0,  0,  2, 0, 0, 0, 2,  //
                                   0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23});
const std::string kLabels = bytes({0, 0, 8, 1, 0, 0, 0, 3, 7, 0, 9});

void write_gzip(const fs::path& path, const std::string& content) {
  const gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, content.data(), static_cast<unsigned>(content.size()));
  gzclose(file);
}

std::vector<float> values(const Dataset& data, size_t index, const std::string& input = "") {
  return to_floats(data.get(index).inputs.at(input));
}

using Floats = std::vector<float>;

}  // namespace

TEST_CASE("IDX: images of one channel, labels beside them, gzipped or not") {
  const test::TemporaryFolder folder;
  const bool zipped = GENERATE(false, true);
  const std::string end = zipped ? ".gz" : "";
  const auto put = [&](const std::string& name, const std::string& content) {
    if (zipped) return write_gzip(folder / (name + end), content);
    write_file(folder / name, content);
  };
  put("train-images-idx3-ubyte", kImages);
  put("train-labels-idx1-ubyte", kLabels);
  const auto data = open_dataset({.path = folder / ("train-images-idx3-ubyte" + end)});
  REQUIRE(data->size() == 3);
  CHECK(data->labelled());
  CHECK(data->class_count() == 10);
  CHECK(data->get(2).label == 9);
  CHECK(data->get(1).inputs.at("").shape() == Shape{1, 2, 2});
  CHECK(values(*data, 1) == Floats{10, 11, 12, 13});
  const auto scaled = open_dataset(
      {.path = folder.path(),
       .preprocessing = Preprocessing::parse("{scale: 0.5, mean: 1, std: 2, layout: nhwc}")});
  CHECK(scaled->get(2).inputs.at("").shape() == Shape{2, 2, 1});
  CHECK(values(*scaled, 2) == Floats{4.5, 4.75, 5, 5.25});
  put("t10k-images-idx3-ubyte", kImages);
  CHECK_THAT(message({.path = folder.path()}, Error::Kind::usage),
             Contains("several sets") && Contains("train") && Contains("test"));
  CHECK(!open_dataset({.path = folder.path(), .split = "test"})->labelled());
  CHECK(open_dataset({.path = folder.path(), .split = "train"})->labelled());
}

TEST_CASE("IDX: other types come in native byte order") {
  const test::TemporaryFolder folder;
  write_file(folder / "a.idx", bytes({0, 0, 0x0B, 2, 0,    0,    0,    2, 0, 0, 0, 2,  //
                                      0, 1, 1,    0, 0xFF, 0xFF, 0x80, 0}));
  const auto data = open_dataset({.path = folder / "a.idx"});
  CHECK(data->get(0).inputs.at("").dtype() == DType::int16);
  CHECK(values(*data, 0) == Floats{1, 256});
  CHECK(values(*data, 1) == Floats{-1, -32768});
}

TEST_CASE("IDX: what is damaged") {
  const test::TemporaryFolder folder;
  const fs::path images = folder / "x-images.idx3";
  write_file(images, kImages.substr(0, kImages.size() - 1));
  CHECK_THAT(message({.path = images}), Contains("promises 12 bytes") && Contains("it has 11"));
  write_file(images, kImages + "x");
  CHECK_THAT(message({.path = images}), Contains("it has 13"));
  write_file(images, kImages.substr(0, 9));
  CHECK_THAT(message({.path = images}), Contains("ends in its header"));
  write_file(images, bytes({0, 0, 8, 1, 0, 0, 0, 0}));
  CHECK_THAT(message({.path = images}), Contains("no samples"));
  write_file(images, bytes({0, 0, 8, 4, 127, 0, 0, 0, 127, 0, 0, 0, 127, 0, 0, 0, 127, 0, 0, 0}));
  CHECK_THAT(message({.path = images}), Contains("x-images.idx3"));
  write_file(images, kImages);
  write_file(folder / "x-labels.idx1", kLabels.substr(0, 7) + bytes({2, 1, 2}));
  CHECK_THAT(message({.path = images}), Contains("2 labels for 3 samples"));
  write_file(folder / "x-labels.idx1", kImages);
  CHECK_THAT(message({.path = images}), Contains("labels are integers"));
  write_gzip(folder / "z.gz", kImages);
  const std::string zipped = read_file(folder / "z.gz");
  write_file(folder / "z.gz", zipped.substr(0, zipped.size() - 12));
  CHECK_THAT(message({.path = folder / "z.gz"}), Contains("z.gz") && Contains("complete"));
}

TEST_CASE("a table of numbers, with a heading") {
  const test::TemporaryFolder folder;
  const fs::path file = folder / "t.csv";
  write_file(file, "a,label,b\n1.5,3,-2\n\"4\",0,1e2\r\n");
  const auto data = open_dataset({.path = file});
  REQUIRE(data->size() == 2);
  CHECK(values(*data, 0) == Floats{1.5, -2});
  CHECK(values(*data, 1) == Floats{4, 100});
  CHECK(data->get(0).label == 3);
  CHECK(data->class_count() == 4);
  CHECK_THROWS_WITH(open_dataset({.path = file, .labels = "c"}), Contains("no such column"));
  write_file(file, "a,label,b\n1.5,3,2\n");
  CHECK(open_dataset({.path = file, .labels = "b"})->get(0).label == 2);
}

TEST_CASE("a label of a table that is no class is refused with its line") {
  const test::TemporaryFolder folder;
  const fs::path file = folder / "t.csv";
  write_file(file, "a,label\n1,3\n2,0.5\n");
  CHECK_THAT(message({.path = file}), Contains("t.csv:3") && Contains("\"0.5\" is not an integer"));
  write_file(file, "a,label\n1,3\n2,-1\n");
  CHECK_THAT(message({.path = file}), Contains("t.csv:3") && Contains("-1"));
}

TEST_CASE("a table without heading: the label's column is counted from 1") {
  const test::TemporaryFolder folder;
  const fs::path file = folder / "t.csv";
  write_file(file, "5,1,2,3,4\n6,5,6,7,8\n");
  CHECK(!open_dataset({.path = file})->labelled());
  CHECK(values(*open_dataset({.path = file}), 1) == Floats{6, 5, 6, 7, 8});
  const auto data = open_dataset({.path = file, .labels = "1", .shape = {2, 2}});
  CHECK(data->get(1).label == 6);
  CHECK(data->get(1).inputs.at("").shape() == Shape{2, 2});
  CHECK_THAT(message({.path = file, .labels = "6"}, Error::Kind::usage), Contains("there are 5"));
  CHECK_THAT(message({.path = file, .shape = {2, 2}}, Error::Kind::usage),
             Contains("4 elements") && Contains("5 columns"));
}

TEST_CASE("a table's columns x.0, x.1 are parts of an input") {
  const test::TemporaryFolder folder;
  write_file(folder / "t.csv", "x.1,y,x.0,mask.0\n1,2,3,4\n");
  const auto data = open_dataset({.path = folder / "t.csv"});
  CHECK(values(*data, 0, "x") == Floats{3, 1});
  CHECK(values(*data, 0, "mask") == Floats{4});
  CHECK(data->get(0).label == 2);
}

TEST_CASE("a table that is damaged") {
  const test::TemporaryFolder folder;
  const fs::path file = folder / "t.csv";
  write_file(file, "1,2,3\n4,5\n");
  CHECK_THAT(message({.path = file}), Contains("t.csv:2") && Contains("2 fields"));
  write_file(file, "a,b,c\n4,x,5\n");
  CHECK_THAT(message({.path = file}), Contains("t.csv:2") && Contains("column \"b\": \"x\""));
  write_file(file, "a,b,c\n4,nan,5\n");
  CHECK_THAT(message({.path = file}), Contains("\"nan\" is not a number"));
  write_file(file, "a,b,c\n");
  CHECK_THAT(message({.path = file}), Contains("no samples"));
  write_file(file, "");
  CHECK_THAT(message({.path = file}), Contains("no samples"));
  write_file(file, "label\n1\n");
  CHECK_THAT(message({.path = file}), Contains("no column besides"));
}

TEST_CASE("raw data: a file of samples, a folder of files, labels in a file") {
  const test::TemporaryFolder folder;
  const Floats all{1, 2, 3, 4, 5, 6};
  const std::string content(reinterpret_cast<const char*>(all.data()), 24);
  write_file(folder / "all.raw", content);
  const auto data = open_dataset({.path = folder / "all.raw", .shape = {1, 2}});
  REQUIRE(data->size() == 3);
  CHECK(data->get(1).inputs.at("").shape() == Shape{1, 2});
  CHECK(values(*data, 2) == Floats{5, 6});
  CHECK(data->get(2).id == "all.raw:2");
  write_file(folder / "labels.txt", "label\n4\n5\n6\n");
  const std::string labels = folder / "labels.txt";
  CHECK(open_dataset({.path = folder / "all.raw", .labels = labels, .shape = {2}})->get(2).label ==
        6);
  CHECK_THAT(message({.path = folder / "all.raw", .labels = labels, .shape = {3}}),
             Contains("3 labels for 2 samples"));
  CHECK_THAT(message({.path = folder / "all.raw", .shape = {5}}),
             Contains("24 bytes are no whole number") && Contains("--shape"));
  CHECK_THAT(
      message({.path = folder / "all.raw", .shape = {2}, .dtype = "flaot"}, Error::Kind::usage),
      Contains("--dtype flaot"));
  CHECK_THAT(message({.path = folder / "all.raw"}), Contains("--shape"));
  fs::create_directory(folder / "many");
  write_file(folder / "many/b.bin", bytes({3, 4}));
  write_file(folder / "many/a.bin", bytes({1, 2}));
  const auto many = open_dataset({.path = folder / "many", .shape = {2}, .dtype = "uint8"});
  REQUIRE(many->size() == 2);
  CHECK(values(*many, 0) == Floats{1, 2});
  CHECK(many->get(1).id == "b.bin");
}

TEST_CASE("an .npy with labels in another file") {
  const test::TemporaryFolder folder;
  write_npy(folder / "x.npy", Tensor::of<float>({2, 1}, {1, 2}));
  write_npy(folder / "y.npy", Tensor::of<int64_t>({2}, {8, 3}));
  const std::string labels = folder / "y.npy";
  const auto data = open_dataset({.path = folder / "x.npy", .labels = labels});
  CHECK(data->get(0).label == 8);
  write_npy(folder / "y.npy", Tensor::of<int64_t>({3}, {8, 3, 1}));
  CHECK_THAT(message({.path = folder / "x.npy", .labels = labels}),
             Contains("3 labels for 2 samples"));
  CHECK_THAT(message({.path = folder / "x.npy", .labels = folder / "z.npy"}),
             Contains("there is no file"));
}

TEST_CASE("ONNX's test data come whole, with what the model should answer") {
  const test::TemporaryFolder folder;
  for (const float first : {1.F, 5.F}) {
    const fs::path set = folder / (first == 1 ? "test_data_set_0" : "test_data_set_1");
    fs::create_directory(set);
    write_file(set / "input_0.pb", serialize_tensor(Tensor::of<float>({2, 1}, {first, 2}), "left"));
    write_file(set / "input_1.pb", serialize_tensor(Tensor::of<int64_t>({1}, {9})));
    write_file(set / "output_0.pb", serialize_tensor(Tensor::of<float>({}, {first}), "sum"));
  }
  const auto data = open_dataset({.path = folder.path()});
  REQUIRE(data->size() == 2);
  CHECK(data->batched());
  Loader loader(*data, in_order(2), {.batch_size = 32});
  CHECK(loader.batches() == 2);
  (void)loader.next();
  const Batch batch = *loader.next();
  CHECK(batch.size == 1);
  CHECK(batch.inputs.at("left").shape() == Shape{2, 1});
  CHECK(to_floats(batch.inputs.at("left")) == Floats{5, 2});
  CHECK(to_floats(batch.inputs.at("input_1")) == Floats{9});
  CHECK(to_floats(batch.expected.at("sum")) == Floats{5});
  CHECK(open_dataset({.path = folder / "test_data_set_1"})->size() == 1);

  write_file(folder / "test_data_set_0/input_3.pb", "");
  CHECK_THAT(message({.path = folder.path()}), Contains("input_3.pb, but no input_2.pb"));
  fs::remove(folder / "test_data_set_0/input_3.pb");
  write_file(folder / "test_data_set_0/input_1.pb", "no tensor");
  const auto damaged = open_dataset({.path = folder.path()});
  CHECK_THROWS_WITH(damaged->get(0), Contains("input_1.pb") && Contains("TensorProto"));
}

TEST_CASE("ONNX's own test data", "[testdata]") {
  const fs::path set = "/usr/share/libonnx-testdata/data/node/test_add";
  if (!fs::exists(set)) QTOOL_SKIP("no libonnx-testdata");
  const auto data = open_dataset({.path = set});
  const Sample sample = data->get(0);
  const Floats x = to_floats(sample.inputs.at("x"));
  const Floats y = to_floats(sample.inputs.at("y"));
  const Floats sum = to_floats(sample.expected.at("sum"));
  REQUIRE(sum.size() == x.size());
  for (size_t i = 0; i < sum.size(); ++i) CHECK(sum[i] == x[i] + y[i]);
}

TEST_CASE("random data only for who says so, and the same every time") {
  CHECK(parse_random("random:10") == 10u);
  CHECK(!parse_random("photos"));
  for (const char* wrong : {"random", "random:", "random:0", "random:x", "random:1000001"})
    CHECK_THROWS_WITH(parse_random(wrong), Contains("random:N"));
  const std::vector<RandomInput> inputs{{"x", DType::float32, {1000}}, {"n", DType::int64, {4}}};
  const auto data = open_random(2, inputs);
  CHECK(values(*data, 1, "x") == values(*open_random(5, inputs), 1, "x"));
  CHECK(values(*data, 1, "x") != values(*data, 0, "x"));
  double mean = 0;
  double square = 0;
  for (const float value : values(*data, 0, "x")) {
    mean += value / 1000;
    square += value * value / 1000;
  }
  CHECK(std::abs(mean) < 0.15);
  CHECK(square == Approx(1).margin(0.2));
  for (const int64_t value : to_int64s(data->get(0).inputs.at("n")))
    CHECK((value == 0 || value == 1));
  CHECK(data->provenance().at("kind") == "random");
  const auto whole =
      open_random(2, {{"state", DType::float32, {2, 1, 3}}, {"rate", DType::int64, {}}}, true);
  const Batch batch = *Loader(*whole, in_order(2), {.batch_size = 8}).next();
  CHECK(batch.inputs.at("state").shape() == Shape{2, 1, 3});
  CHECK(batch.inputs.at("rate").shape().empty());
}
