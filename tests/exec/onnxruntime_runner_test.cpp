// SPDX-License-Identifier: Apache-2.0
#include "exec/onnxruntime_runner.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "catch.h"
#include "support/file.h"

using namespace qtool;
namespace fs = std::filesystem;

namespace {

const fs::path kNodeTests = "/usr/share/libonnx-testdata/data/node";

struct Variable {
  explicit Variable(const char* value) {
    const char* before = std::getenv("QTOOL_ORT_LIBRARY");
    if (before != nullptr) before_ = before;
    setenv("QTOOL_ORT_LIBRARY", value, 1);
  }
  ~Variable() {
    if (before_) {
      setenv("QTOOL_ORT_LIBRARY", before_->c_str(), 1);
    } else {
      unsetenv("QTOOL_ORT_LIBRARY");
    }
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  std::optional<std::string> before_;
};

std::optional<fs::path> library() { return find_onnxruntime({}, QTOOL_SOURCE_DIR); }

std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    CHECK(exit_code(error.kind()) == 1);
    return error.what();
  }
  FAIL("no error");
  return {};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

#define NEED_LIBRARY() \
  if (!library()) QTOOL_SKIP("no ONNX Runtime library: run scripts/setup to install it")
#define NEED_NODE_TESTS() \
  if (!fs::exists(kNodeTests)) QTOOL_SKIP("no libonnx-testdata: run scripts/setup to install it")

TEST_CASE("ONNX Runtime runs a small model") {
  NEED_LIBRARY();
  NEED_NODE_TESTS();
  const auto runner =
      open_onnxruntime({.library = *library(), .model = kNodeTests / "test_relu/model.onnx"});
  REQUIRE(runner->inputs().size() == 1);
  CHECK(runner->inputs()[0].name == "x");
  CHECK(runner->inputs()[0].dtype == DType::float32);
  CHECK(runner->inputs()[0].dims == Shape{3, 4, 5});
  REQUIRE(runner->outputs().size() == 1);
  CHECK(runner->outputs()[0].name == "y");
  CHECK(contains(runner->description(), "ONNX Runtime 1."));
  CHECK(contains(runner->description(), "all optimizations, 1 thread"));

  Tensor x(DType::float32, {3, 4, 5});
  for (int i = 0; i < 60; ++i) x.data<float>()[static_cast<size_t>(i)] = static_cast<float>(i - 30);
  TensorMap feeds;
  feeds.emplace("x", std::move(x));
  const TensorMap outputs = runner->run(feeds);
  REQUIRE(outputs.size() == 1);
  const Tensor& y = outputs.at("y");
  REQUIRE(y.shape() == Shape{3, 4, 5});
  for (int i = 0; i < 60; ++i) {
    CHECK(y.data<float>()[static_cast<size_t>(i)] == static_cast<float>(std::max(0, i - 30)));
  }
  CHECK(feeds.at("x").data<float>()[0] == -30.0F);
}

TEST_CASE("ONNX Runtime: types, scalars and several inputs come through") {
  NEED_LIBRARY();
  NEED_NODE_TESTS();
  SECTION("a boolean result of two inputs") {
    const auto runner =
        open_onnxruntime({.library = *library(), .model = kNodeTests / "test_less/model.onnx"});
    REQUIRE(runner->inputs().size() == 2);
    CHECK(runner->outputs()[0].dtype == DType::boolean);
    Tensor ones(DType::float32, {3, 4, 5});
    std::ranges::fill(ones.data<float>(), 1.0F);
    TensorMap feeds;
    feeds.emplace("x", Tensor(DType::float32, {3, 4, 5}));
    feeds.emplace("y", std::move(ones));
    const TensorMap outputs = runner->run(feeds);
    const auto less = outputs.at("less").data<bool>();
    CHECK(less.size() == 60);
    CHECK(std::ranges::count(less, true) == 60);
  }
  SECTION("quantization by a scalar scale, ties to even") {
    const auto runner = open_onnxruntime(
        {.library = *library(), .model = kNodeTests / "test_quantizelinear/model.onnx"});
    REQUIRE(runner->inputs().size() == 3);
    CHECK(runner->inputs()[1].dims.empty());
    TensorMap feeds;
    feeds.emplace("x", Tensor::of<float>({6}, {0, 2, 3, 1000, -254, -1000}));
    feeds.emplace("y_scale", Tensor::scalar<float>(2));
    feeds.emplace("y_zero_point", Tensor::scalar<uint8_t>(128));
    const TensorMap outputs = runner->run(feeds);
    // 3 / 2 = 1.5 rounds to 2; the last three saturate or land on code 1.
    CHECK(outputs.at("y").equals(Tensor::of<uint8_t>({6}, {128, 129, 130, 255, 1, 0})));
  }
}

TEST_CASE("ONNX Runtime runs resnet20") {
  NEED_LIBRARY();
  QTOOL_NEED_ASSETS();
  const fs::path model = fs::path(QTOOL_ASSETS) / "models/resnet20_cifar10.onnx";
  const auto optimization =
      GENERATE(OnnxRuntimeOptions::Optimization::off, OnnxRuntimeOptions::Optimization::basic,
               OnnxRuntimeOptions::Optimization::extended, OnnxRuntimeOptions::Optimization::all);
  const auto runner = open_onnxruntime(
      {.library = *library(), .model = model, .threads = 2, .optimization = optimization});
  REQUIRE(runner->inputs().size() == 1);
  const RunnerValue& input = runner->inputs()[0];
  CHECK(input.dims == Shape{-1, 3, 32, 32});
  for (const int64_t batch : {1, 3}) {
    TensorMap feeds;
    feeds.emplace(input.name, Tensor(DType::float32, {batch, 3, 32, 32}));
    const TensorMap outputs = runner->run(feeds);
    REQUIRE(outputs.size() == 1);
    const Tensor& logits = outputs.begin()->second;
    REQUIRE(logits.shape() == Shape{batch, 10});
    for (const float logit : logits.data<float>()) CHECK(std::isfinite(logit));
  }
}

TEST_CASE("ONNX Runtime writes the graph that it runs") {
  NEED_LIBRARY();
  NEED_NODE_TESTS();
  const test::TemporaryFolder folder;
  const OnnxRuntimeOptions options{.library = *library(),
                                   .model = kNodeTests / "test_relu/model.onnx",
                                   .optimization = OnnxRuntimeOptions::Optimization::extended,
                                   .optimized_model = folder / "optimized.onnx"};
  open_onnxruntime(options);
  const auto again = open_onnxruntime({.library = *library(), .model = options.optimized_model});
  CHECK(again->inputs()[0].name == "x");
}

TEST_CASE("ONNX Runtime: what it refuses is one clear error") {
  NEED_LIBRARY();
  NEED_NODE_TESTS();
  const test::TemporaryFolder folder;
  const fs::path relu = kNodeTests / "test_relu/model.onnx";

  SECTION("a broken file") {
    write_file(folder / "broken.onnx", "this is not a model");
    const std::string text = message_of(
        [&] { open_onnxruntime({.library = *library(), .model = folder / "broken.onnx"}); });
    CHECK(contains(text, "broken.onnx: ONNX Runtime 1."));
    CHECK(contains(text, "Protobuf parsing failed"));
  }
  SECTION("a missing file") {
    const std::string text = message_of(
        [&] { open_onnxruntime({.library = *library(), .model = folder / "missing.onnx"}); });
    CHECK(contains(text, "missing.onnx"));
  }
  SECTION("feeds that do not fit") {
    const auto runner = open_onnxruntime({.library = *library(), .model = relu});
    TensorMap feeds;
    const std::string missing = message_of([&] { runner->run(feeds); });
    CHECK(contains(missing, "model.onnx: ONNX Runtime"));
    CHECK(contains(missing, "no data for the input \"x\""));
    feeds.emplace("x", Tensor(DType::float32, {3, 4, 5}));
    feeds.emplace("z", Tensor(DType::float32, {3, 4, 5}));
    CHECK(contains(message_of([&] { runner->run(feeds); }), "Invalid input name: z"));
    feeds.clear();
    feeds.emplace("x", Tensor(DType::float32, {3, 4, 6}));
    const std::string shape = message_of([&] { runner->run(feeds); });
    CHECK(contains(shape, "index: 2 Got: 6 Expected: 5"));
    CHECK(!contains(shape, "\n"));
    feeds.clear();
    feeds.emplace("x", Tensor(DType::float64, {3, 4, 5}));
    CHECK(contains(message_of([&] { runner->run(feeds); }), "tensor(double)"));
    feeds.clear();
    feeds.emplace("x", Tensor::of_strings({1}, {"text"}));
    CHECK(contains(message_of([&] { runner->run(feeds); }), "type string"));
    // The session is as good as before.
    feeds.clear();
    feeds.emplace("x", Tensor(DType::float32, {3, 4, 5}));
    CHECK(runner->run(feeds).at("y").size() == 60);
  }
}

TEST_CASE("ONNX Runtime: a library that is none") {
  const test::TemporaryFolder folder;
  write_file(folder / "text.so", "not an object file");
  CHECK(contains(message_of([&] { open_onnxruntime({.library = folder / "text.so"}); }),
                 "cannot load ONNX Runtime"));
  CHECK(contains(message_of([&] { open_onnxruntime({.library = "libm.so.6"}); }),
                 "has no OrtGetApiBase"));
}

TEST_CASE("ONNX Runtime is looked for in order") {
  const test::TemporaryFolder root;
  const fs::path inside =
      root / "tests/ort/node_modules/onnxruntime-node/bin/napi-v6/linux/x64/libonnxruntime.so.1";
  fs::create_directories(inside.parent_path());
  write_file(inside, "");
  write_file(root / "flag", "");
  write_file(root / "variable", "");
  {
    const Variable unset("");
    CHECK(find_onnxruntime({}, root.path()) == inside);
    CHECK(find_onnxruntime(root / "flag", root.path()) == root / "flag");
  }
  {
    const Variable set((root / "variable").c_str());
    CHECK(find_onnxruntime({}, root.path()) == root / "variable");
    CHECK(find_onnxruntime(root / "flag", root.path()) == root / "flag");
  }
  const Variable wrong((root / "absent").c_str());
  CHECK(contains(message_of([&] { find_onnxruntime({}, root.path()); }), "QTOOL_ORT_LIBRARY"));
  CHECK(contains(message_of([&] { find_onnxruntime(root / "absent"); }), "--ort-library"));
}
