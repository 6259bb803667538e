// SPDX-License-Identifier: Apache-2.0
// `qtool qat` on the shipped model, few samples and epochs.
#include <algorithm>

#include <csignal>

#include <sys/resource.h>

#include "catch.h"
#include "exec/onnxruntime_runner.h"
#include "onnx_io/onnx_io.h"
#include "run.h"
#include "support/file.h"
#include "support/text.h"
#include "tensor/npy.h"

using namespace qtool;
using namespace qtool::test;
namespace fs = std::filesystem;

namespace {

using Words = std::vector<std::string>;

const std::string kModel = shipped("glyphs_cnn.onnx");

Words qat(const fs::path& output, const Words& more) {
  return words({"qat", kModel, "--epochs", "2", "--samples", "320", "-o", output}, train_data(),
               more);
}

Words validated(const fs::path& output, const Words& more) {
  return qat(output, words({"--val", shipped("glyphs_test.npz"), "--val-samples", "500"}, more));
}

double top1(const fs::path& model, const Words& more = {}) {
  const Json json = run_json(words({"eval", model, "--samples", "500"}, test_data(), more));
  return json.at("metrics").at("top1").get<double>();
}

void check_refused(const Words& arguments, int code, const Words& said) {
  const Outcome outcome = run(arguments);
  INFO("$ qtool " << join(arguments, " ") << "\n" << outcome.out << outcome.err);
  CHECK(outcome.code == code);
  CHECK(outcome.out.empty());
  CHECK(!has(outcome.err, "bug"));
  for (const std::string& part : said) {
    INFO("should say: " << part);
    CHECK(has(outcome.err, part));
  }
}

}  // namespace

TEST_CASE("qat: the exported model has the accuracy of the last validation, here and elsewhere") {
  const TemporaryFolder folder;
  const fs::path output = folder / "q.onnx";
  const fs::path plan = folder / "plan.json";
  const fs::path log = folder / "log.jsonl";
  const Json json =
      run_json(validated(output, {"--bits", "w4a4", "--distill", "--plan", plan, "--log", log}));
  CHECK(json.at("schema") == "qtool.qat/1");
  CHECK(json.at("epochs").size() == 2);
  const double accuracy = json.at("accuracy").get<double>();
  CHECK(accuracy >= json.at("ptq_accuracy").get<double>() - 0.01);
  CHECK(accuracy > 0.9);
  CHECK(top1(output) == Approx(accuracy).margin(0.001));
  CHECK(split(read_file(log), '\n').at(0) == json.at("epochs").at(0).dump());
  CHECK(files_in(folder.path()) == Words{"log.jsonl", "plan.json", "q.onnx"});
  // The plan alone gives the grids again; its weights are those of the float file, not trained.
  CHECK(run({"ptq", kModel, "--from-plan", plan, "-o", folder / "again.onnx"}).code == 0);
  const auto library = find_onnxruntime({}, QTOOL_SOURCE_DIR);
  if (!library) QTOOL_SKIP("no ONNX Runtime library: run scripts/setup to install it");
  CHECK(top1(output, {"--runner", "onnxruntime", "--ort-library", *library}) ==
        Approx(accuracy).margin(0.004));
}

TEST_CASE("qat: the same bytes with one and two threads; other seeds give others") {
  const TemporaryFolder folder;
  const auto bytes = [&](const Words& more) {
    const fs::path output = folder / "q.onnx";
    const Outcome outcome =
        run(qat(output, words({"--bits", "w4a4", "--augment", "crop:1"}, more)));
    INFO(outcome.err);
    REQUIRE(outcome.code == 0);
    return read_file(output);
  };
  const std::string one = bytes({"--threads", "1"});
  CHECK(bytes({"--threads", "2"}) == one);
  CHECK(bytes({"--seed", "2"}) != one);
}

TEST_CASE("qat: a table made before gives the model that calibrating itself gives") {
  const TemporaryFolder folder;
  const fs::path table = folder / "table.json";
  REQUIRE(run(words({"calibrate", kModel, "--samples", "320", "-o", table}, train_data())).code ==
          0);
  REQUIRE(run(qat(folder / "one.onnx", {"--calibration", table})).code == 0);
  REQUIRE(run(qat(folder / "two.onnx", {})).code == 0);
  CHECK(read_file(folder / "one.onnx") == read_file(folder / "two.onnx"));
}

TEST_CASE("qat: killed and resumed, the same model as in one go") {
  const TemporaryFolder folder;
  const Words flags{"--bits",    "w4a4",          "--epochs",
                    "6",         "--progressive", "w5a5:2,w8a5:2",
                    "--ema",     "0.9",           "--accumulate",
                    "2",         "--augment",     "resized-crop:0.6,jitter:0.2,mixup:0.4",
                    "--damping", "0.01",          "--freeze-oscillating",
                    "0.03"};
  const auto line = [&](const std::string& name, const Words& more) {
    Words all = words({"qat", kModel, "--samples", "640", "-o", folder / (name + ".onnx")},
                      train_data(), flags, more);
    return all;
  };
  const Words whole = line("whole", {"--log", folder / "whole.jsonl", "--log-steps"});
  REQUIRE(run(whole).code == 0);
  const fs::path checkpoint = folder / "state.npz";
  const Words kept{"--checkpoint", checkpoint, "--log", folder / "cut.jsonl", "--log-steps"};
  run_and_kill(line("cut", kept), [&] { return fs::exists(checkpoint); });
  REQUIRE(fs::exists(checkpoint));
  const Outcome resumed = run(line("cut", words(kept, Words{"--resume"})));
  INFO(resumed.err);
  REQUIRE(resumed.code == 0);
  CHECK(has(resumed.out, "resumed after epoch"));
  CHECK(read_file(folder / "cut.onnx") == read_file(folder / "whole.onnx"));
  CHECK(read_file(folder / "cut.jsonl") == read_file(folder / "whole.jsonl"));
  const std::vector<std::string> log = split(read_file(folder / "whole.jsonl"), '\n');
  REQUIRE(log.size() == 6 * (10 + 1) + 1);  // 640 samples in batches of 64; empty after the last
  const Json third = Json::parse(log.at(2));
  CHECK(third.at("step") == 3);
  CHECK(third.at("epoch") == 1);
  CHECK(third.at("loss").get<double>() > 0);
  CHECK_FALSE(Json::parse(log.at(10)).contains("step"));
  // A finished training has nothing left to do; with other flags it cannot go on.
  CHECK(run(line("cut", words(kept, Words{"--resume"}))).code == 0);
  check_refused(line("cut", words(kept, Words{"--resume", "--lr", "0.5"})), 1,
                {"state.npz", "lr 0.01", "0.5", "--resume"});
}

TEST_CASE("qat learns from labels, scores, outputs and features; a dry run writes nothing") {
  const TemporaryFolder folder;
  const fs::path output = folder / "q.onnx";
  for (const char* loss : {"cross-entropy,distill:0.5", "bce", "mse", "l1", "features"}) {
    INFO(loss);
    const Json json =
        run_json(qat(output, {"--bits", "w4a4", "--edges-too", "--loss", loss, "--lr", "0.003"}));
    const Json epochs = json.at("epochs");
    CHECK(epochs.at(1).at("loss").get<double>() < epochs.at(0).at("loss").get<double>());
  }
  fs::remove(output);
  const Words dry{"qat", kModel, "--epochs", "4", "--samples", "320", "--dry-run"};
  const Outcome told = run(words(dry, train_data()));
  INFO(told.err);
  CHECK(told.code == 0);
  for (const char* part : {"weights", "scales", "20 steps in 4 epochs", "memory", "per epoch"}) {
    INFO(part << " in " << told.out);
    CHECK(has(told.out, part));
  }
  const Json json = run_json(words(dry, train_data()));
  CHECK(json.at("steps") == 20);
  // What its file holds: all but the batch norms', which folding takes in.
  CHECK(json.at("weights").get<int64_t>() > 80000);
  CHECK(json.at("memory_bytes").get<double>() > 8 * json.at("weights").get<double>());
  CHECK(files_in(folder.path()).empty());
}

TEST_CASE("qat starts from a model that ptq made") {
  const TemporaryFolder folder;
  const fs::path quantized = folder / "int8.onnx";
  REQUIRE(run(words({"ptq", kModel, "--samples", "320", "-o", quantized}, train_data())).code == 0);
  const Words tuning{"--epochs",
                     "1",
                     "--samples",
                     "320",
                     "--bits",
                     "w4a4",
                     "--distill",
                     "--val-samples",
                     "500",
                     "--val",
                     shipped("glyphs_test.npz")};
  const Outcome outcome =
      run(words({"qat", quantized, "-o", folder / "q.onnx", "--json"}, train_data(), tuning));
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  CHECK(has(outcome.err, "are taken out"));
  const Json json = Json::parse(outcome.out);
  // What the int8 model approximates is what the float file has, but for its weights' rounding.
  CHECK(json.at("float_accuracy").get<double>() == Approx(top1(kModel)).margin(0.006));
  CHECK(json.at("accuracy").get<double>() > 0.9);
  CHECK(top1(folder / "q.onnx") == Approx(json.at("accuracy").get<double>()).margin(0.001));
}

TEST_CASE("qat with every quantizer: what is exported is what was validated") {
  const TemporaryFolder folder;
  const auto accuracy = [&](const Words& more) {
    INFO(join(more, " "));
    const Json json = run_json(validated(folder / "q.onnx", words({"--bits", "w5a5"}, more)));
    const double found = json.at("accuracy").get<double>();
    CHECK(found > 0.88);
    CHECK(top1(folder / "q.onnx") == Approx(found).margin(0.001));
  };
  accuracy({"--quantizer", "ewgs"});
  accuracy({"--quantizer", "pact"});
  accuracy({"--quantizer", "dorefa"});
  accuracy({"--target", "tidl"});
}

TEST_CASE("qat ends early: no better accuracy, no time left") {
  const TemporaryFolder folder;
  const fs::path output = folder / "q.onnx";
  const auto train = [&](const Words& more) {
    return run(words({"qat", kModel, "--samples", "64", "-o", output}, train_data(), more));
  };
  const Outcome early = train({"--val", shipped("glyphs_test.npz"), "--val-samples", "100",
                               "--epochs", "50", "--lr", "0", "--early-stop", "2"});
  INFO(early.err);
  CHECK(early.code == 0);
  CHECK(has(early.out, "ended early"));
  CHECK(has(early.out, "epoch 3/50"));
  CHECK(!has(early.out, "epoch 4/50"));
  const Outcome timed = train({"--epochs", "1000000", "--time-budget", "0.5s"});
  CHECK(timed.code == 0);
  CHECK(has(timed.out, "the time is over"));
}

TEST_CASE("qat refuses what the command line cannot mean") {
  const TemporaryFolder folder;
  const fs::path output = folder / "q.onnx";
  check_refused(words({"qat", kModel, "--epochs", "1"}, train_data()), 2, {"-o", "--dry-run"});
  check_refused({"qat", kModel, "-o", output, "--epochs", "1"}, 2, {"--data"});
  check_refused(words({"qat", kModel, "-o", output}, train_data()), 2, {"--epochs"});
  check_refused(words({"qat", kModel, "-o", output, "--epochs", "0"}, train_data()), 2,
                {"--epochs", "0"});
  check_refused(qat(output, {"--optimizer", "rmsprop"}), 2, {"--optimizer", "rmsprop", "adamw"});
  check_refused(qat(output, {"--schedule", "linear"}), 2, {"--schedule", "linear", "cosine"});
  check_refused(qat(output, {"--bits", "w1a4"}), 2, {"w1a4", "w4a4"});
  check_refused(qat(output, {"--bits", "4"}), 2, {"\"4\"", "w4a4"});
  check_refused(qat(output, {"--augment", "rotate"}), 2, {"rotate", "crop:4"});
  check_refused(qat(output, {"--augment", "mixup:0.2", "--loss", "bce"}), 2, {"mixup", "bce"});
  check_refused(qat(output, {"--batch", "0"}), 2, {"--batch"});
  check_refused(qat(output, {"--lr", "fast"}), 2, {"--lr", "fast"});
  check_refused(qat(output, {"--lr", "-1"}), 2, {"--lr"});
  check_refused(qat(output, {"--resume"}), 2, {"--resume", "--checkpoint"});
  check_refused(qat(output, {"--quantizer", "pact", "--damping", "0.1"}), 2, {"--damping", "lsq"});
  check_refused(qat(output, {"--quantizer", "binary"}), 2, {"binary", "dorefa"});
  check_refused(qat(output, {"--loss", "hinge"}), 2, {"hinge", "distill"});
  check_refused(qat(output, {"--loss", "mse", "--distill"}), 2, {"--distill"});
  check_refused(qat(output, {"--progressive", "w4a4:2"}), 2, {"w4a4:2", "2 epochs of 2"});
  check_refused(qat(output, {"--progressive", "w4a4"}), 2, {"\"w4a4\"", "w4a4:4"});
  check_refused(qat(output, {"--early-stop", "2"}), 2, {"--early-stop", "--val"});
  check_refused(qat(output, {"--time-budget", "10"}), 2, {"--time-budget", "10m"});
  check_refused(qat(output, {"--time-budget", "1m", "--progressive", "w6a6:1"}), 2,
                {"--time-budget", "--progressive"});
  check_refused(qat(output, {"--ema", "1"}), 2, {"--ema"});
  check_refused(qat(output, {"--accumulate", "0"}), 2, {"--accumulate"});
  check_refused(qat(output, {"--freeze", "no_such_node"}), 2, {"--freeze \"no_such_node"});
  check_refused(qat(output, {"--plan", output}), 2, {"--plan"});
  check_refused(qat(kModel, {}), 2, {"-o", "glyphs_cnn.onnx"});
  check_refused(qat(folder / "no" / "q.onnx", {}), 1, {"no"});
  CHECK(files_in(folder.path()).empty());
}

TEST_CASE("qat refuses data that it cannot learn from, and leaves earlier outputs alone") {
  const TemporaryFolder folder;
  const fs::path output = folder / "q.onnx";
  write_file(output, "an earlier model");
  write_file(folder / "blank.npy", blank_images());
  const Words blank{"qat", kModel, "--epochs", "1", "-o", output, "--data", folder / "blank.npy"};
  check_refused(blank, 1, {"blank.npy has no labels", "--distill"});
  check_refused(qat(output, {"--val", folder / "blank.npy"}), 1, {"blank.npy has no labels"});
  check_refused(qat(output, {"--val", folder / "absent.npz"}), 1, {"absent.npz"});
  check_refused(
      words({"qat", kModel, "--epochs", "1", "--samples", "6001", "-o", output}, train_data()), 2,
      {"6001", "6000"});
  fs::create_directory(folder / "empty");
  check_refused({"qat", kModel, "--epochs", "1", "-o", output, "--data", folder / "empty"}, 1,
                {"empty"});
  fs::remove(folder / "empty");
  TensorMap none;
  none.emplace("image", Tensor(DType::float32, {0, 28, 28}));
  none.emplace("labels", Tensor(DType::int64, {0}));
  write_npz(folder / "none.npz", none);
  check_refused({"qat", kModel, "--epochs", "1", "-o", output, "--data", folder / "none.npz"}, 1,
                {"none.npz"});
  fs::remove(folder / "none.npz");
  check_refused(qat(output, {"--calibration", kModel}), 1, {"glyphs_cnn.onnx"});
  check_refused(qat(output, {"--lr", "1e30", "--clip-norm", "0"}), 1, {"diverged", "epoch 1"});
  CHECK(read_file(output) == "an earlier model");
  CHECK(files_in(folder.path()) == Words{"blank.npy", "q.onnx"});
}

TEST_CASE("a disk that is full ends qat; files that were there stay as they were") {
  const TemporaryFolder folder;
  const Words outputs{"q.onnx", "plan.json", "state.npz"};
  for (const std::string& name : outputs) write_file(folder / name, "from before");
  // No file grows beyond that: less than the model, then more than that and less than the state.
  for (const rlim_t bytes : {40000, 200000}) {
    struct rlimit before = {};
    getrlimit(RLIMIT_FSIZE, &before);
    const struct rlimit now = {bytes, before.rlim_max};
    auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &now);
    const Outcome outcome = run(qat(folder / "q.onnx", {"--checkpoint", folder / "state.npz"}));
    setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
    INFO(outcome.err);
    CHECK(outcome.code == 1);
    CHECK(has(outcome.err, bytes == 40000 ? "q.onnx" : "state.npz"));
    CHECK(has(outcome.err, "cannot write"));
    CHECK(read_file(folder / "state.npz") == "from before");
    CHECK((read_file(folder / "q.onnx") == "from before") == (bytes == 40000));
  }
  CHECK(files_in(folder.path()) == Words{"plan.json", "q.onnx", "state.npz"});
}

TEST_CASE("qat refuses models that it cannot train") {
  const TemporaryFolder folder;
  const fs::path output = folder / "q.onnx";
  const auto train = [&](const std::string& model, const Words& more = {}) {
    return words({"qat", folder / model, "--epochs", "1", "--samples", "64", "-o", output},
                 train_data(), more);
  };
  const auto edited = [&](const std::string& name, const auto& edit) {
    Graph graph = load_model(kModel);
    edit(graph);
    save_model(graph, folder / name);
  };
  const auto first_of = [](const Graph& graph, const char* op) {
    for (const NodeId id : graph.topological_order()) {
      if (graph.node(id).op.type == op) return id;
    }
    FAIL(op);
    return NodeId::none;
  };
  // Four classes fewer than there are labels.
  edited("six.onnx", [&](Graph& graph) {
    const NodeId gemm = first_of(graph, "Gemm");
    for (const int slot : {1, 2}) {
      const ValueId id = graph.node(gemm).inputs.at(static_cast<size_t>(slot));
      const auto values = graph.constant(id)->data<float>();
      Shape shape = graph.constant(id)->shape();
      const size_t axis =
          slot == 1 && graph.node(gemm).attributes.integer("transB", 0) == 0 ? 1 : 0;
      REQUIRE(shape[axis] == 10);
      shape[axis] = 6;
      Tensor fewer(DType::float32, shape);
      std::copy_n(values.begin(), fewer.size(), fewer.data<float>().begin());
      graph.set_constant(id, make_constant(std::move(fewer)));
    }
    graph.set_type(graph.outputs()[0],
                   TensorType(DType::float32, std::vector<Dim>{Dim{{}, "N"}, Dim{6, {}}}));
  });
  check_refused(train("six.onnx"), 1, {"the label", "the model has 6 classes"});
  // An activation without a gradient, unless all before it is frozen.
  edited("hardmax.onnx", [&](Graph& graph) {
    graph.set_op(first_of(graph, "Relu"), {"", "Hardmax"});
  });
  check_refused(train("hardmax.onnx"), 1, {"hardmax.onnx", "Hardmax has no gradient", "--freeze"});
  const Graph hardmax = load_model(folder / "hardmax.onnx");
  const std::string conv = hardmax.node(first_of(hardmax, "Conv")).name;
  const Outcome frozen = run(train("hardmax.onnx", {"--freeze", conv, "--freeze", "Hardmax"}));
  INFO(frozen.err);
  CHECK(frozen.code == 0);
  write_file(folder / "text.onnx", "no model");
  check_refused(train("text.onnx"), 1, {"text.onnx"});
}
