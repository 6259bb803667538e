// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "catch.h"
#include "exec/onnxruntime_runner.h"
#include "onnx_io/onnx_io.h"
#include "run.h"
#include "support/file.h"

using namespace qtool;
using namespace qtool::test;
namespace fs = std::filesystem;

namespace {

struct Shipped {
  const char* model;
  const char* train;
  const char* test;
};
constexpr Shipped kShipped[] = {{"glyphs_cnn.onnx", "glyphs_train.npz", "glyphs_test.npz"},
                                {"tunes_former.onnx", "tunes_train.npz", "tunes_test.npz"}};

std::vector<std::string> data_of(const std::string& model, const char* file) {
  std::vector<std::string> data{"--data", shipped(file)};
  if (model.starts_with("glyphs"))
    data.insert(data.end(), {"--preprocess", shipped("glyphs.yaml")});
  return data;
}

double top1(const std::string& file, const std::vector<std::string>& data,
            const std::vector<std::string>& more = {}) {
  return run_json(words({"eval", file, "--samples", "500"}, data, more))
      .at("metrics")
      .at("top1")
      .get<double>();
}

}  // namespace

TEST_CASE("modes: both shipped models, here and in ONNX Runtime") {
  struct Mode {
    const char* name;
    double drop;   ///< of top-1, at most
    double ratio;  ///< of the file, at most
  };
  const auto library = find_onnxruntime({}, QTOOL_SOURCE_DIR);
  const TemporaryFolder folder;
  for (const Shipped& model : kShipped) {
    const std::string source = shipped(model.model);
    const auto data = data_of(model.model, model.test);
    const double whole = top1(source, data);
    for (const Mode& mode :
         {Mode{"dynamic", 0.01, 0.45}, Mode{"float16", 0.002, 0.6}, Mode{"bfloat16", 0.006, 0.6}}) {
      INFO(model.model << " " << mode.name);
      const std::string made = folder / "made.onnx";
      const Json said = run_json({"ptq", source, "--mode", mode.name, "-o", made});
      CHECK(said.at("mode") == mode.name);
      CHECK(said.at("converted").get<int>() > 0);
      CHECK(said.at("bytes") == fs::file_size(made));
      CHECK(static_cast<double>(fs::file_size(made)) <
            mode.ratio * static_cast<double>(fs::file_size(source)));
      const double ours = top1(made, data);
      CHECK(ours >= whole - mode.drop);
      if (!library) continue;
      const double theirs =
          top1(made, data, {"--runner", "onnxruntime", "--ort-library", library->string()});
      CHECK(theirs == Approx(ours).margin(0.004));
    }
  }
  if (!library) QTOOL_SKIP("no ONNX Runtime library: run scripts/setup to install it");
}

TEST_CASE("modes: 16-bit activations are stored so, and lose less") {
  const auto library = find_onnxruntime({}, QTOOL_SOURCE_DIR);
  const TemporaryFolder folder;
  for (const Shipped& model : kShipped) {
    INFO(model.model);
    const std::string source = shipped(model.model);
    const auto train = data_of(model.model, model.train);
    const auto test = data_of(model.model, model.test);
    const auto error = [&](const char* bits, const std::string& file) {
      REQUIRE(
          run(words({"ptq", source, "--samples", "64", "--bits", bits, "-o", file}, train)).code ==
          0);
      return run_json(words({"eval", file, "--reference", source, "--samples", "200"}, test))
          .at("metrics")
          .at("sqnr_db")
          .get<double>();
    };
    const std::string wide = folder / "wide.onnx";
    CHECK(error("a16w8", wide) > error("a8w8", folder / "usual.onnx") + 1);
    const Graph graph = load_model(wide);
    CHECK(graph.model.opset() == 21);
    int quantizers = 0;
    for (const NodeId id : graph.nodes()) {
      if (graph.node(id).op.type != "QuantizeLinear") continue;
      ++quantizers;
      CHECK(graph.constant(graph.node(id).inputs.at(2))->dtype() == DType::uint16);
    }
    CHECK(quantizers > 0);
    if (!library) continue;
    CHECK(top1(wide, test, {"--runner", "onnxruntime", "--ort-library", library->string()}) ==
          Approx(top1(wide, test)).margin(0.004));
  }
  if (!library) QTOOL_SKIP("no ONNX Runtime library: run scripts/setup to install it");
}

TEST_CASE("modes: float16 keeps what data show to overflow") {
  const TemporaryFolder folder;
  const std::string source = shipped("glyphs_cnn.onnx");
  const std::string made = folder / "made.onnx";
  // Without any scaling the pixels reach 255; a thousand times that does not fit.
  const Outcome outcome =
      run({"ptq", source, "--mode", "float16", "--data", shipped("glyphs_train.npz"), "--samples",
           "20", "--preprocess", "{scale: 1000}", "-o", made});
  INFO(outcome.out << outcome.err);
  CHECK(outcome.code == 0);
  CHECK(has(outcome.out, "float16 ends at 65504"));
  CHECK(!has(outcome.err, "were not checked"));
  const Outcome blind = run({"ptq", source, "--mode", "float16", "--dry-run"});
  CHECK(has(blind.err, "activations were not checked"));
}

TEST_CASE("modes: flags that mean nothing in a mode are refused") {
  const TemporaryFolder folder;
  const std::string source = shipped("glyphs_cnn.onnx");
  const std::string made = folder / "made.onnx";
  const auto refused = [&](const std::vector<std::string>& flags, const std::string& said) {
    const Outcome outcome = run(words({"ptq", source, "-o", made}, flags));
    INFO(outcome.err);
    CHECK(outcome.code == 2);
    CHECK(has(outcome.err, said));
    CHECK(!fs::exists(made));
  };
  refused({"--mode", "dynamic", "--data", shipped("glyphs_train.npz")}, "takes no --data");
  refused({"--mode", "dynamic", "--bits", "w4"}, "--bits belongs to --mode static");
  refused({"--mode", "float16", "--calibration", "t.json"}, "--calibration belongs");
  refused({"--mode", "bfloat16", "--half-io"}, "--half-io belongs to --mode float16");
  refused({"--half-io", "--data", "x"}, "--half-io belongs to --mode float16");
  refused({"--mode", "float8"}, "float8");
  const Outcome nothing =
      run({"ptq", source, "--mode", "dynamic", "--exclude", "Conv", "Gemm", "-o", made});
  INFO(nothing.err);
  CHECK(nothing.code == 1);
  CHECK(has(nothing.err, "nothing for --mode dynamic to convert"));
  CHECK(!fs::exists(made));
}

TEST_CASE(
    "weight-only: Q/DQ and MatMulNBits, here and in ONNX Runtime; GPTQ is nearer than nearest and "
    "HQQ") {
  const auto library = find_onnxruntime({}, QTOOL_SOURCE_DIR);
  const TemporaryFolder folder;
  const std::string source = shipped("tunes_former.onnx");
  const std::string made = folder / "made.onnx";
  const std::vector<std::string> test{"--data", shipped("tunes_test.npz"), "--samples", "200"};
  const auto sqnr = [&](const std::vector<std::string>& flags) {
    const Outcome ptq = run(words({"ptq", source, "--mode", "weight-only", "-o", made}, flags));
    INFO(ptq.err);
    REQUIRE(ptq.code == 0);
    const auto measured = [&](const std::vector<std::string>& more) {
      return run_json(words({"eval", made, "--reference", source}, test, more))
          .at("outputs")
          .at(0)
          .at("sqnr_db")
          .get<double>();
    };
    const double ours = measured({});
    if (library) {
      const double theirs =
          measured({"--runner", "onnxruntime", "--ort-library", library->string()});
      // ONNX Runtime makes a MatMulNBits of its own of Q/DQ, which rounds activations to 8 bits:
      // 4 dB of 48, next to nothing of 28.
      const bool wide = flags.at(1) == "w8";
      const bool packed = std::ranges::find(flags, "matmul-nbits") != flags.end();
      CHECK(theirs == Approx(ours).margin(packed ? 0.05 : wide ? 6 : 0.5));
    }
    return ours;
  };
  for (const char* format : {"qdq", "matmul-nbits"}) {
    INFO(format);
    const double nearest =
        sqnr({"--bits", "w4", "--block", "32", "--weights", "minmax", "--format", format});
    const double hqq =
        sqnr({"--bits", "w4", "--block", "32", "--method", "hqq", "--format", format});
    const double gptq = sqnr({"--bits", "w4", "--block", "32", "--method", "gptq", "--format",
                              format, "--data", shipped("tunes_train.npz"), "--samples", "64"});
    CHECK(nearest > 20);
    CHECK(gptq > nearest + 2);
    CHECK(gptq > hqq + 2);
    CHECK(sqnr({"--bits", "w8", "--format", format}) > 40);
  }
  const auto refused = [&](const std::vector<std::string>& flags, const std::string& said) {
    const Outcome outcome = run(words({"ptq", source, "-o", made}, flags));
    CHECK(outcome.code == 2);
    CHECK(has(outcome.err, said));
  };
  refused({"--mode", "weight-only", "--block", "24"}, "power of two");
  refused({"--mode", "weight-only", "--method", "gptq"}, "--data");
  refused({"--mode", "weight-only", "--format", "qoperator"}, "qoperator");
  refused(words({"--block", "32"}, test), "--block");
}

TEST_CASE("ptq --pack halves the file of 4-bit weights, and changes no result") {
  const TemporaryFolder folder;
  const std::string model = shipped("glyphs_cnn.onnx");
  const auto made = [&](const std::vector<std::string>& more) {
    const std::vector<std::string> flags{
        "--calibration", quantized().table, "--bits", "w4a8", "-o", folder / "q.onnx"};
    return run(words({"ptq", model}, flags, more));
  };
  REQUIRE(made({}).code == 0);
  const auto plain = fs::file_size(folder / "q.onnx");
  const Json metrics = run_json(words({"eval", folder / "q.onnx"}, test_data())).at("metrics");
  const Outcome packed = made({"--pack"});
  REQUIRE(packed.code == 0);
  CHECK(has(packed.out, "constants in 4-bit ones"));
  CHECK(static_cast<double>(fs::file_size(folder / "q.onnx")) < 0.75 * static_cast<double>(plain));
  CHECK(load_model(folder / "q.onnx").model.opset() == 21);
  CHECK(run_json(words({"eval", folder / "q.onnx"}, test_data())).at("metrics") == metrics);
  const Outcome refused = made({"--pack", "--format", "qoperator"});
  CHECK(refused.code == 2);
  CHECK(has(refused.err, "--pack"));
}
