// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <fstream>

#include "catch.h"
#include "data/open.h"
#include "support/file.h"
#include "tensor/npy.h"

using namespace qtool;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

const fs::path kGolden = fs::path(QTOOL_SOURCE_DIR) / "tests/data/golden";
const fs::path kAssets = fs::path(QTOOL_ASSETS) / "data";

std::string message(const DataSpec& spec) {
  try {
    open_dataset(spec);
  } catch (const Error& error) {
    CHECK(error.kind() != Error::Kind::internal);
    return std::string(error.what()) + " | " + error.advice();
  }
  return "no error";
}

/// A record whose planes are 1, 2, 3 everywhere but for the first pixels, 10, 20, 30.
std::string cifar_record(const std::string& labels) {
  std::string record = labels;
  for (const char c : {'\1', '\2', '\3'}) {
    record += static_cast<char>(10 * c);
    record += std::string(1023, c);
  }
  return record;
}

void put_image(const fs::path& path, const char* golden = "rgb.png") {
  fs::create_directories(path.parent_path());
  fs::copy_file(kGolden / golden, path);
}

}  // namespace

TEST_CASE("CIFAR-10: records, labels, planes") {
  const test::TemporaryFolder folder;
  write_file(folder / "data_batch_1.bin", cifar_record("\x03") + cifar_record("\x09"));
  write_file(folder / "data_batch_2.bin", cifar_record(std::string(1, '\0')));
  write_file(folder / "test_batch.bin", cifar_record("\x05"));
  CHECK_THAT(message({.path = folder.path()}),
             Contains("training and test") && Contains("\"train\" or \"test\""));
  CHECK_THAT(message({.path = folder.path(), .split = "val"}),
             Contains("no split \"val\"") && Contains("train and test"));
  const auto train = open_dataset({.path = folder.path(), .split = "train"});
  REQUIRE(train->size() == 3);
  CHECK(train->labelled());
  CHECK(train->class_count() == 10);
  CHECK(train->get(1).label == 9);
  CHECK(train->get(2).label == 0);
  CHECK(train->get(1).id == "data_batch_1.bin:1");
  CHECK(train->get(2).id == "data_batch_2.bin:0");
  const Sample sample = train->get(2);
  const auto values = sample.inputs.at("").data<float>();
  CHECK(sample.inputs.at("").shape() == Shape{3, 32, 32});
  CHECK(values[0] == 10);
  CHECK(values[1] == 1);
  CHECK(values[1024] == 20);
  CHECK(values[3071] == 3);
  const auto test =
      open_dataset({.path = folder / "test_batch.bin",
                    .preprocessing = Preprocessing::parse("{scale: 0.5, layout: nhwc}")});
  REQUIRE(test->size() == 1);
  CHECK(test->get(0).inputs.at("").shape() == Shape{32, 32, 3});
  CHECK(test->get(0).inputs.at("").data<float>()[2] == 15);
  CHECK_THROWS_AS(test->get(1), Error);
}

TEST_CASE("CIFAR-100: fine and coarse labels") {
  const test::TemporaryFolder folder;
  const fs::path file = folder / "train.bin";
  write_file(file, cifar_record("\x0B\x62"));
  CHECK(open_dataset({.path = file})->get(0).label == 98);
  CHECK(open_dataset({.path = folder.path()})->class_count() == 100);
  const auto coarse = open_dataset({.path = file, .labels = "coarse"});
  CHECK(coarse->get(0).label == 11);
  CHECK(coarse->class_count() == 20);
  CHECK(coarse->get(0).inputs.at("").data<float>()[0] == 10);
  CHECK_THAT(message({.path = file, .labels = "medium"}),
             Contains("no labels \"medium\"") && Contains("coarse"));
  CHECK_THAT(message({.path = folder.path(), .split = "test"}),
             Contains("no split \"test\"") && Contains("It has train."));
}

TEST_CASE("files that are no CIFAR") {
  const test::TemporaryFolder folder;
  const fs::path file = folder / "x.bin";
  write_file(file, "");
  CHECK_THAT(message({.path = file}),
             Contains("x.bin") && Contains("no whole number of CIFAR records"));
  write_file(file, cifar_record("\x01").substr(1));
  CHECK_THAT(message({.path = file}), Contains("3072 bytes") && Contains("complete"));
  write_file(file, cifar_record("\x01") + cifar_record("\x0A"));
  CHECK_THAT(message({.path = file}), Contains("x.bin:1: label 10, expected 0 to 9"));
  CHECK_THAT(message({.path = file, .labels = "fine"}), Contains("one label a record"));
  CHECK_THAT(message({.path = file, .split = "train"}), Contains("one file"));
}

TEST_CASE("class folders are labelled in the order of their names") {
  const test::TemporaryFolder folder;
  put_image(folder / "zebra/b.png");
  put_image(folder / "zebra/a.PNG", "gray.png");
  put_image(folder / "cat/9.jpg", "color_420.jpg");
  put_image(folder / "Dog/1.png");
  put_image(folder / ".cache/1.png");
  write_file(folder / "cat/notes.txt", "not an image");
  const auto images = open_dataset({.path = folder.path()});
  REQUIRE(images->size() == 4);
  CHECK(images->class_count() == 3);
  const std::vector<std::pair<std::string, int64_t>> expected{
      {"Dog/1.png", 0}, {"cat/9.jpg", 1}, {"zebra/a.PNG", 2}, {"zebra/b.png", 2}};
  for (size_t i = 0; i < expected.size(); ++i) {
    const Sample sample = images->get(i);
    CHECK(sample.id == expected[i].first);
    CHECK(sample.label == expected[i].second);
  }
  CHECK(images->get(1).inputs.at("").shape() == Shape{3, 45, 61});

  fs::create_directory(folder / "empty");
  CHECK_THAT(message({.path = folder.path()}),
             Contains("no images in the class folder") && Contains("empty"));
  put_image(folder / "empty/inner/a.png");
  CHECK_THAT(message({.path = folder.path()}), Contains("has folders itself"));
  const auto inner = open_dataset({.path = folder.path(), .split = "empty"});
  CHECK(inner->get(0).id == "inner/a.png");
  put_image(folder / "empty/b.png");
  CHECK_THAT(message({.path = folder.path()}), Contains("holds another folder, inner"));
  put_image(folder / "top.png");
  CHECK_THAT(message({.path = folder.path()}), Contains("both images and folders"));
}

TEST_CASE("a plain folder of images has no labels") {
  const test::TemporaryFolder folder;
  put_image(folder / "b.png");
  put_image(folder / "a.jpeg", "gray.jpg");
  const auto images = open_dataset({.path = folder.path()});
  REQUIRE(images->size() == 2);
  CHECK_FALSE(images->labelled());
  CHECK_FALSE(images->class_count());
  CHECK_FALSE(images->get(0).label);
  CHECK(images->get(0).id == "a.jpeg");
  write_file(folder / "c.WebP", "RIFF");
  CHECK_THAT(message({.path = folder.path()}),
             Contains("c.WebP") && Contains("JPEG, PNG and BMP files only"));

  const test::TemporaryFolder outer;
  put_image(outer / "images/a.png");
  const auto nested = open_dataset({.path = outer.path()});
  CHECK_FALSE(nested->labelled());
  CHECK(nested->get(0).id == "images/a.png");
}

TEST_CASE("labels.csv names the images") {
  const test::TemporaryFolder folder;
  put_image(folder / "images/a.png");
  put_image(folder / "b.png");
  put_image(folder / "images/unused.png");
  write_file(folder / "labels.csv", "file,label\nb.png,4\na.png,7\n");
  const auto images = open_dataset({.path = folder.path()});
  REQUIRE(images->size() == 2);
  CHECK(images->class_count() == 8);
  CHECK(images->get(0).id == "b.png");
  CHECK(images->get(0).label == 4);
  CHECK(images->get(1).id == "images/a.png");
  CHECK(open_dataset({.path = folder / "labels.csv"})->size() == 2);
  write_file(folder / "labels.csv", "file,label\nb.png,4\nc.png,7\n");
  CHECK_THAT(message({.path = folder.path()}), Contains("labels.csv:3: there is no file c.png"));
  write_file(folder / "labels.csv", "file,label\n");
  CHECK_THAT(message({.path = folder.path()}), Contains("lists no images"));
}

TEST_CASE("a broken image is named when it is read") {
  const test::TemporaryFolder folder;
  put_image(folder / "good.jpg", "color_420.jpg");
  write_file(folder / "bad.jpg", read_file(kGolden / "color_420.jpg").substr(0, 1000));
  const auto images =
      open_dataset({.path = folder.path(), .preprocessing = Preprocessing::parse("{crop: 50}")});
  CHECK_THROWS_WITH(images->get(0), Contains("bad.jpg") && Contains("JPEG"));
  CHECK_THROWS_WITH(images->get(1), Contains("good.jpg") && Contains("crop of 50x50"));
}

TEST_CASE("arrays by name, labels among them") {
  const test::TemporaryFolder folder;
  const fs::path file = folder / "d.npz";
  TensorMap arrays;
  arrays.emplace("x", Tensor::of<float>({3, 2}, {0, 1, 2, 3, 4, 5}));
  arrays.emplace("ids", Tensor::of<int32_t>({3}, {7, 8, 9}));
  arrays.emplace("labels", Tensor::of<uint8_t>({3}, {uint8_t{2}, uint8_t{0}, uint8_t{1}}));
  write_npz(file, arrays);
  const auto data = open_dataset({.path = file});
  REQUIRE(data->size() == 3);
  CHECK(data->class_count() == 3);
  const Sample sample = data->get(1);
  CHECK(sample.id == "d.npz:1");
  CHECK(sample.label == 0);
  CHECK(sample.inputs.size() == 2);
  CHECK(sample.inputs.at("x").equals(Tensor::of<float>({2}, {2, 3})));
  CHECK(sample.inputs.at("ids").equals(Tensor::scalar<int32_t>(8)));
  const auto others = open_dataset({.path = file, .labels = "ids"});
  CHECK(others->get(2).label == 9);
  CHECK(others->get(2).inputs.contains("labels"));
  CHECK_THAT(message({.path = file, .labels = "lables"}),
             Contains("no array \"lables\"") && Contains("Did you mean \"labels\""));
  CHECK_THAT(message({.path = file, .labels = "x"}),
             Contains("array \"x\"") && Contains("float[3,2]"));
}

TEST_CASE("arrays that do not fit together") {
  const test::TemporaryFolder folder;
  const fs::path file = folder / "d.npz";
  const auto with = [&](const char* key, Tensor tensor) {
    TensorMap arrays;
    arrays.emplace("x", Tensor(DType::float32, {3, 2}));
    arrays.emplace(key, std::move(tensor));
    write_npz(file, arrays);
    return message({.path = file});
  };
  CHECK_THAT(with("b", Tensor(DType::float32, {4})), Contains("\"b\" has 4 samples, \"x\" has 3"));
  CHECK_THAT(with("b", Tensor(DType::float32, {})), Contains("\"b\" is a single number"));
  CHECK_THAT(with("labels", Tensor(DType::int64, {4})), Contains("4 labels for 3 samples"));
  CHECK_THAT(with("labels", Tensor(DType::int64, {0})), Contains("0 labels for 3 samples"));
  CHECK_THAT(with("label", Tensor(DType::float32, {3})), Contains("labels are integers"));
  CHECK_THAT(with("y", Tensor::of<int16_t>({3}, {int16_t{0}, int16_t{-1}, int16_t{0}})),
             Contains("array \"y\": sample 1: the label -1"));
  CHECK(with("y", Tensor(DType::float32, {3, 5})) == "no error");
  TensorMap only_labels;
  only_labels.emplace("labels", Tensor(DType::int64, {4}));
  write_npz(file, only_labels);
  CHECK_THAT(message({.path = file}), Contains("no array besides the labels"));
  write_npy(folder / "e.npy", Tensor(DType::float32, {0, 3}));
  CHECK_THAT(message({.path = folder / "e.npy"}), Contains("no samples"));
  CHECK_THAT(message({.path = folder / "e.npy", .labels = "y"}), Contains("single array"));
}

TEST_CASE("preprocessing of arrays") {
  const test::TemporaryFolder folder;
  const fs::path file = folder / "d.npy";
  write_npy(file, Tensor::of<float>({2, 1, 1, 2}, {0, 255, 51, 102}));
  const auto scaled =
      open_dataset({.path = file, .preprocessing = Preprocessing::parse("{scale: 1/255}")});
  CHECK(scaled->get(1).inputs.at("").equals(Tensor::of<float>({1, 1, 2}, {0.2F, 0.4F})));
  CHECK(open_dataset({.path = file})
            ->get(1)
            .inputs.at("")
            .equals(Tensor::of<float>({1, 1, 2}, {51, 102})));
  CHECK_THAT(message({.path = file, .preprocessing = Preprocessing::parse("imagenet")}),
             Contains("image files only"));
  CHECK_THAT(message({.path = file, .preprocessing = Preprocessing::parse("{mean: [1, 2, 3]}")}),
             Contains("d.npy") && Contains("3 numbers for 1 channels"));
  // Bytes of four dimensions are pixels; of three they could be anything.
  write_npy(file, Tensor::of<uint8_t>({2, 1, 1, 2}, {0, 255, 51, 102}));
  const auto pixels =
      open_dataset({.path = file, .preprocessing = Preprocessing::parse("{scale: 1/255}")});
  CHECK(pixels->get(1).inputs.at("").equals(Tensor::of<float>({1, 1, 2}, {0.2F, 0.4F})));
  write_npy(file, Tensor(DType::uint8, {2, 1, 2}));
  CHECK_THAT(message({.path = file, .preprocessing = Preprocessing::parse("{scale: 1/255}")}),
             Contains("nothing to work on"));
  CHECK(open_dataset({.path = file})->get(0).inputs.at("").dtype() == DType::uint8);
}

TEST_CASE("where there is no data") {
  const test::TemporaryFolder folder;
  CHECK_THAT(message({.path = folder / "none"}), Contains("no such file or folder"));
  CHECK_THAT(message({.path = folder.path()}), Contains("is empty"));
  write_file(folder / "readme.txt", "x");
  CHECK_THAT(message({.path = folder.path()}), Contains("no images in") && Contains("labels.csv"));
  CHECK_THAT(message({.path = folder / "readme.txt"}), Contains("no data set that qtool reads"));
  CHECK_THAT(message({.path = folder.path(), .split = "train"}), Contains("no split \"train\""));
  CHECK_THAT(message({.path = folder.path(), .labels = "y"}), Contains("no labels \"y\""));
}

TEST_CASE("provenance tells data apart, and not where it lies") {
  const test::TemporaryFolder first;
  const test::TemporaryFolder second;
  for (const auto* folder : {&first, &second}) {
    put_image(*folder / "set/cat/b.png");
    put_image(*folder / "set/dog/a.png", "gray.png");
    write_npy(*folder / "x.npy", Tensor::of<float>({2}, {1, 2}));
  }
  const auto provenance = [](const fs::path& path) {
    return open_dataset({.path = path})->provenance();
  };
  const Json one = provenance(first / "set");
  CHECK(one == provenance(second / "set/"));
  CHECK(one["kind"] == "class folders");
  CHECK(one["path"] == "set");
  CHECK(one["samples"] == 2);
  CHECK(one["sha256_of"] == "names and sizes");
  const std::string list = "cat/b.png " + std::to_string(fs::file_size(kGolden / "rgb.png")) +
                           "\ndog/a.png " + std::to_string(fs::file_size(kGolden / "gray.png")) +
                           "\n";
  CHECK(one["sha256"] == sha256(std::as_bytes(std::span(list))));
  put_image(second / "set/dog/c.png");
  CHECK(one != provenance(second / "set"));
  const std::string content = read_file(first / "x.npy");
  CHECK(provenance(first / "x.npy") == Json{{"kind", "npy"},
                                            {"path", "x.npy"},
                                            {"samples", 2},
                                            {"sha256_of", "content"},
                                            {"sha256", sha256(std::as_bytes(std::span(content)))}});
}

TEST_CASE("the real CIFAR-10", "[assets]") {
  QTOOL_NEED_ASSETS();
  const auto test = open_dataset({.path = kAssets / "cifar10", .split = "test"});
  const auto train = open_dataset({.path = kAssets / "cifar10", .split = "train"});
  CHECK(test->size() == 10000);
  CHECK(train->size() == 20000);
  std::ifstream file(kAssets / "cifar10/test_batch.bin", std::ios::binary);
  std::vector<size_t> seen(10);
  for (size_t i = 0; i < 20; ++i) {
    std::string record(3073, '\0');
    file.read(record.data(), 3073);
    const Sample sample = test->get(i);
    REQUIRE(sample.label == static_cast<unsigned char>(record[0]));
    const auto values = sample.inputs.at("").data<float>();
    for (size_t p = 0; p < 3072; ++p)
      REQUIRE(values[p] == static_cast<float>(static_cast<unsigned char>(record[p + 1])));
  }
  for (size_t i = 0; i < test->size(); ++i) ++seen[static_cast<size_t>(*test->get(i).label)];
  CHECK(seen == std::vector<size_t>(10, 1000));  // CIFAR-10's test set is balanced
}

TEST_CASE("the real photographs", "[assets]") {
  QTOOL_NEED_ASSETS();
  const auto images = open_dataset(
      {.path = kAssets / "imagenet_500", .preprocessing = Preprocessing::parse("imagenet")});
  REQUIRE(images->size() == 500);
  CHECK(images->labelled());
  CHECK(*images->class_count() <= 1000);
  CHECK(images->get(0).id == "images/000b7d55b6184b08.jpg");
  CHECK(images->get(0).label == 388);
  CHECK(images->get(1).label == 326);
  CHECK(images->get(499).inputs.at("").shape() == Shape{3, 224, 224});
}

TEST_CASE("the real keyword clips", "[assets]") {
  QTOOL_NEED_ASSETS();
  const auto clips = open_dataset({.path = kAssets / "kws_dscnn.npz"});
  REQUIRE(clips->size() == 600);
  CHECK(clips->get(0).inputs.at("input").shape() == Shape{1, 49, 10});
  CHECK(clips->class_count() == 12);
}
