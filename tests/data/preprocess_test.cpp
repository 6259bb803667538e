// SPDX-License-Identifier: Apache-2.0
#include "data/preprocess.h"

#include <cmath>

#include "catch.h"
#include "support/file.h"

using namespace qtool;
using Catch::Contains;

namespace {

/// Two rows of two pixels.
const Image kFour{2, 2, {0, 1, 2, 10, 11, 12, 100, 110, 120, 253, 254, 255}};

std::vector<float> values(const Tensor& tensor) { return to_floats(tensor); }

std::string message(const std::string& text) {
  try {
    Preprocessing::parse(text);
  } catch (const Error& error) {
    // The command line is wrong where the text itself is, a file where it names one.
    const bool file = text.find('/') != std::string::npos && !text.starts_with('{');
    CHECK(error.kind() == (file ? Error::Kind::input : Error::Kind::usage));
    return std::string(error.what()) + " | " + error.advice();
  }
  return "no error";
}

}  // namespace

TEST_CASE("without steps the pixels come as floats in planes") {
  const Tensor tensor = preprocess(kFour, Preprocessing::parse("none"));
  CHECK(tensor.shape() == Shape{3, 2, 2});
  CHECK(values(tensor) == std::vector<float>{0, 10, 100, 253, 1, 11, 110, 254, 2, 12, 120, 255});
}

TEST_CASE("colour order and layout") {
  CHECK(values(preprocess(kFour, Preprocessing::parse("{color: bgr}"))) ==
        std::vector<float>{2, 12, 120, 255, 1, 11, 110, 254, 0, 10, 100, 253});
  const Tensor tensor = preprocess(kFour, Preprocessing::parse("{color: bgr, layout: nhwc}"));
  CHECK(tensor.shape() == Shape{2, 2, 3});
  CHECK(values(tensor) == std::vector<float>{2, 1, 0, 12, 11, 10, 120, 110, 100, 255, 254, 253});
}

TEST_CASE("scale, mean and std, in the order of the colours") {
  // Caffe's way: BGR, mean of blue first.
  const Tensor caffe =
      preprocess(kFour, Preprocessing::parse("{color: bgr, mean: [104, 117, 123], layout: nhwc}"));
  CHECK(values(caffe) ==
        std::vector<float>{-102, -116, -123, -92, -106, -113, 16, -7, -23, 151, 137, 130});
  const Tensor halves =
      preprocess(kFour, Preprocessing::parse("{scale: 0.5, mean: 2, std: [1, 2, 4]}"));
  CHECK(values(halves) ==
        std::vector<float>{-2, 3, 48, 124.5, -0.75, 1.75, 26.5, 62.5, -0.25, 1, 14.5, 31.375});
}

TEST_CASE("the presets compute what they say") {
  const Preprocessing imagenet = Preprocessing::parse("imagenet");
  CHECK(std::get<ShorterSide>(imagenet.resize->to).pixels == 256);
  CHECK(imagenet.resize->filter == Filter::bilinear);
  CHECK(imagenet.crop == Extent{224, 224});
  const double mean[] = {0.485, 0.456, 0.406};
  const double std[] = {0.229, 0.224, 0.225};
  const Preprocessing cifar = Preprocessing::parse("cifar10");
  CHECK_FALSE(cifar.resize);
  CHECK_FALSE(cifar.crop);
  const Preprocessing tf = Preprocessing::parse("imagenet-tf");
  for (int x = 0; x < 256; ++x) {
    for (size_t c = 0; c < 3; ++c) {
      const double exact = (x / 255.0 - mean[c]) / std[c];
      REQUIRE(imagenet.value(x, c) == Approx(exact).epsilon(1e-7).margin(1e-9));
      REQUIRE(cifar.value(x, c) == imagenet.value(x, c));
      REQUIRE(tf.value(x, c) == Approx(x / 127.5 - 1).epsilon(1e-7).margin(1e-9));
    }
  }
  CHECK(tf.value(0, 0) == -1);
  CHECK(tf.value(255, 0) == 1);
}

TEST_CASE("resizing and cropping an image") {
  const Image image{300, 400, std::vector<uint8_t>(300 * 400 * 3, 7)};
  CHECK(preprocess(image, Preprocessing::parse("imagenet")).shape() == Shape{3, 224, 224});
  CHECK(preprocess(image, Preprocessing::parse("{resize: 30, layout: nhwc}")).shape() ==
        Shape{30, 40, 3});
  CHECK(preprocess(image, Preprocessing::parse("{resize: [24, 32]}")).shape() == Shape{3, 24, 32});
  CHECK(preprocess(image, Preprocessing::parse("{crop: [100, 200]}")).shape() ==
        Shape{3, 100, 200});
  CHECK_THROWS_WITH(preprocess(image, Preprocessing::parse("{crop: 301}")), Contains("301x301"));
  CHECK_THROWS_WITH(preprocess(kFour, Preprocessing::parse("{mean: [1, 2]}")),
                    Contains("\"mean\" has 2 numbers for 3"));
}

TEST_CASE("YAML, file and JSON say the same") {
  const test::TemporaryFolder folder;
  const std::string path = (folder / "p.yaml").string();
  write_file(
      path,
      "# the steps of a model\nresize:\n  shorter: 256\n  filter: bicubic\ncrop: 224\ncolor: bgr\n"
      "layout: nhwc\nscale: 1/255\nmean: [0.5, 0.25, 1e-1]\nstd: 2\n");
  const Preprocessing from_file = Preprocessing::parse(path);
  CHECK(from_file == Preprocessing::parse(
                         "{resize: {shorter: 256, filter: bicubic}, crop: [224, 224], color: bgr, "
                         "layout: nhwc, scale: \"1/255\", mean: [0.5, 0.25, 0.1], std: [2]}"));
  CHECK(from_file.scale == 1.0 / 255);
  CHECK(from_file.std == std::vector<double>{2});
  const Json json = from_file.to_json();
  CHECK(
      json.dump() ==
      R"({"color":"bgr","crop":[224,224],"layout":"nhwc","mean":[0.5,0.25,0.1],"resize":{"filter":"bicubic","shorter":256},)"
      R"("scale":0.00392156862745098,"std":[2.0]})");
  CHECK(Preprocessing::from_json(Json::parse(to_text(json))) == from_file);
  for (const Preset& preset : presets()) {
    CHECK(Preprocessing::from_json(Json::parse(to_text(preset.steps.to_json()))) == preset.steps);
    CHECK(Preprocessing::parse(preset.name) == preset.steps);
    CHECK_FALSE(preset.summary.empty());
  }
  CHECK(Preprocessing::parse("{}") == Preprocessing{});
}

TEST_CASE("what is wrong in a preprocessing is said with the nearest right word") {
  CHECK_THAT(message("imagnet"),
             Contains("\"imagnet\" is neither a preset") && Contains("Did you mean \"imagenet\""));
  CHECK_THAT(message("{resise: 256}"),
             Contains("unknown key \"resise\"") && Contains("Did you mean \"resize\""));
  CHECK_THAT(message("{resize: {shortest: 256}}"),
             Contains("resize: unknown key \"shortest\"") && Contains("\"shorter\""));
  CHECK_THAT(message("{resize: {filter: bilinear}}"), Contains("either \"shorter\" or \"size\""));
  CHECK_THAT(message("{resize: {shorter: 2, size: 3}}"),
             Contains("either \"shorter\" or \"size\""));
  CHECK_THAT(message("{resize: {shorter: 256, filter: bicubc}}"),
             Contains("\"bicubc\"") && Contains("Did you mean \"bicubic\""));
  CHECK_THAT(message("{resize: 0}"), Contains("1 to 16384"));
  CHECK_THAT(message("{resize: 1e3}"), Contains("1 to 16384"));
  CHECK_THAT(message("{crop: [1, 2, 3]}"), Contains("[height, width]"));
  CHECK_THAT(message("{resize: 100, crop: 224}"), Contains("crop of 224x224"));
  CHECK_THAT(message("{resize: [100, 300], crop: [200, 200]}"), Contains("crop of 200x200"));
  CHECK_THAT(message("{color: gbr}"), Contains("expected rgb or bgr"));
  CHECK_THAT(message("{layout: NCHW}"), Contains("expected nchw or nhwc"));
  CHECK_THAT(message("{scale: 0}"), Contains("\"scale\" is 0"));
  CHECK_THAT(message("{scale: 1/0}"), Contains("\"1/0\""));
  CHECK_THAT(message("{scale: .inf}"), Contains("\"scale\""));
  CHECK_THAT(message("{mean: x}"), Contains("\"mean\""));
  CHECK_THAT(message("{mean: []}"), Contains("list of numbers"));
  CHECK_THAT(message("{std: [1, 0, 1]}"), Contains("above 0"));
  CHECK_THAT(message("{std: 1, std: 2}"), Contains("\"std\" is there twice"));
  CHECK_THAT(message("{mean: [1, 2}"), Contains("not valid YAML"));
  CHECK_THAT(message("{mean: ~}"), Contains("\"mean\" is null"));
}

TEST_CASE("files that are no preprocessing") {
  const test::TemporaryFolder folder;
  write_file(folder / "list.yaml", "- 1\n- 2\n");
  CHECK_THAT(message((folder / "list.yaml").string()),
             Contains("list.yaml") && Contains("expected a mapping"));
  write_file(folder / "bad.yaml", "scale: 1\nmean: [\n");
  CHECK_THAT(message((folder / "bad.yaml").string()), Contains("bad.yaml") && Contains("line 3"));
  // Each alias doubles what the one before unfolds to.
  std::string bomb = "a0: &a0 [1, 1]\n";
  for (int i = 1; i < 60; ++i) {
    const std::string last = std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + last + ", *a" + last +
            "]\n";
  }
  write_file(folder / "bomb.yaml", bomb);
  CHECK_THAT(message((folder / "bomb.yaml").string()), Contains("more than 10000 values"));
  write_file(folder / "deep.yaml", "mean: " + std::string(20000, '['));
  CHECK_THAT(message((folder / "deep.yaml").string()), Contains("deep.yaml"));
  write_file(folder / "self.yaml", "mean: &a [*a]\n");
  CHECK_THAT(message((folder / "self.yaml").string()), Contains("self.yaml"));
  CHECK_THAT(message(folder.path().string()), Contains("is a folder"));
}

TEST_CASE("arrays get the same values") {
  Tensor planes = Tensor::of<float>({2, 2, 1, 2}, {0, 2, 4, 6, 8, 10, 12, 14});
  normalize(planes, Preprocessing::parse("{scale: 0.5, mean: [1, 2], std: [1, 2]}"));
  CHECK(values(planes) == std::vector<float>{-1, 0, 0, 0.5, 3, 4, 2, 2.5});
  Tensor pixels = Tensor::of<float>({1, 2, 1, 2}, {0, 2, 4, 6});
  normalize(pixels, Preprocessing::parse("{mean: [1, 2], layout: nhwc}"));
  CHECK(values(pixels) == std::vector<float>{-1, 0, 3, 4});
  CHECK_THROWS_WITH(normalize(pixels, Preprocessing::parse("{std: [1, 2, 3], layout: nhwc}")),
                    Contains("\"std\""));
}
