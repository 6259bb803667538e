// SPDX-License-Identifier: Apache-2.0
// Models that are large, that lie in several files, or whose inputs have open extents.
#include <sys/resource.h>

#include "onnx_io/messages.h"
#include "run.h"
#include "support/file.h"

using namespace qtool;
using namespace qtool::test;
namespace fs = std::filesystem;

namespace {

constexpr int64_t kSide = 5000;

/// `layers` products with matrices of 100 MB each, all in big.bin, which is one hole.
std::string large_model(const fs::path& folder, int64_t layers) {
  std::string graph = "name: 'big' ";
  std::string initializers;
  const int64_t bytes = kSide * kSide * 4;
  for (int64_t k = 0; k < layers; ++k) {
    const std::string n = std::to_string(k);
    graph += "node { input: 'h" + n + "' input: 'w" + n + "' output: 'h" + std::to_string(k + 1) +
             "' op_type: 'MatMul' } ";
    initializers += "initializer { name: 'w" + n +
                    "' data_type: 1 dims: 5000 dims: 5000 data_location: EXTERNAL "
                    "external_data { key: 'location' value: 'big.bin' } "
                    "external_data { key: 'offset' value: '" +
                    std::to_string(k * bytes) + "' } } ";
  }
  const auto value = [](const std::string& name) {
    return "{ name: '" + name +
           "' type { tensor_type { elem_type: 1 shape { dim { dim_value: 1 } dim { dim_value: 5000 "
           "} } } } } ";
  };
  graph += initializers + "input " + value("h0") + "output " + value("h" + std::to_string(layers));
  const fs::path path = folder / "big.onnx";
  write_file(path, model_of(graph).SerializeAsString());
  write_file(folder / "big.bin", "");
  fs::resize_file(folder / "big.bin", static_cast<uintmax_t>(layers * bytes));
  return path;
}

/// A window of 4 over an input of open length, and an If whose body has a Relu.
constexpr const char* kOpenGraph = R"(
  name: 'open'
  input { name: 'x' type { tensor_type { elem_type: 1
    shape { dim { dim_value: 1 } dim { dim_value: 1 } dim { dim_param: 'length' } } } } }
  output { name: 'y' type { tensor_type { elem_type: 1 } } }
  initializer { name: 'w' data_type: 1 dims: 2 dims: 1 dims: 4
    float_data: [1, 2, 3, 4, -1, -2, -3, -4] }
  initializer { name: 'yes' data_type: 9 int32_data: 1 }
  node { input: 'x' input: 'w' output: 'c' op_type: 'Conv' name: 'conv' }
  node { input: 'yes' output: 'y' op_type: 'If' name: 'if'
    attribute { name: 'then_branch' type: GRAPH g { name: 'then'
      node { input: 'c' output: 't' op_type: 'Relu' }
      output { name: 't' type { tensor_type { elem_type: 1 } } } } }
    attribute { name: 'else_branch' type: GRAPH g { name: 'else'
      node { input: 'c' output: 'e' op_type: 'Neg' }
      output { name: 'e' type { tensor_type { elem_type: 1 } } } } } } )";

std::string open_model(const fs::path& folder) {
  const fs::path path = folder / "open.onnx";
  write_file(path, model_of(kOpenGraph).SerializeAsString());
  return path;
}

}  // namespace

TEST_CASE("3 GB of external data are inspected in little memory") {
  const TemporaryFolder folder;
  const std::string model = large_model(folder.path(), 30);
  const Json json = run_json({"inspect", model});
  CHECK(json.at("model").at("bytes").get<uint64_t>() == 30 * 100'000'000ULL + fs::file_size(model));
  CHECK(json.at("parameters") == 750'000'000);
  CHECK(json.at("macs") == 750'000'000);
  // Of all children that this process has waited for.
  rusage usage{};
  REQUIRE(getrusage(RUSAGE_CHILDREN, &usage) == 0);
  CHECK(usage.ru_maxrss < 200 * 1024);
}

TEST_CASE("other external data are another model") {
  const TemporaryFolder folder;
  const std::string model = large_model(folder.path(), 1);
  const auto hash = [&] { return run_json({"inspect", model}).at("model").at("sha256"); };
  const Json before = hash();
  std::string weights = read_file(folder / "big.bin");
  weights[12345] = 1;
  write_file(folder / "big.bin", weights);
  CHECK(hash() != before);
}

TEST_CASE("ptq writes external data on request") {
  const TemporaryFolder folder;
  const std::string inside = folder / "inside.onnx";
  const std::string outside = folder / "outside.onnx";
  for (const auto& [output, more] : {std::pair{inside, std::vector<std::string>{}},
                                     std::pair{outside, words({"--external-data"})}}) {
    const Json json = run_json(
        words({"ptq", shipped("glyphs_cnn.onnx"), "--calibration", quantized().table, "-o", output},
              more));
    uint64_t bytes = fs::file_size(output);
    if (!more.empty()) bytes += fs::file_size(output + ".data");
    CHECK(json.at("bytes") == bytes);
  }
  CHECK(fs::file_size(outside) < fs::file_size(inside) / 2);
  CHECK(!fs::exists(inside + ".data"));
  const auto accuracy = [&](const std::string& model) {
    return run_json(words({"eval", model, "--samples", "200"}, test_data())).at("metrics");
  };
  CHECK(accuracy(outside) == accuracy(inside));
}

TEST_CASE("inspect: open extents and bodies") {
  const TemporaryFolder folder;
  const std::string model = open_model(folder.path());
  const Json open = run_json({"inspect", model});
  CHECK(open.at("macs") == 0);
  CHECK(open.at("nodes_of_unknown_macs") == 1);
  CHECK(open.at("body_ops") == Json{{"Relu", 1}, {"Neg", 1}});
  const Outcome text = run({"inspect", model});
  CHECK(has(text.out, "MACs unknown"));
  CHECK(has(text.out, "1 Neg, 1 Relu"));
  const Json settled = run_json({"inspect", model, "--shape", "x=1,1,10"});
  CHECK(settled.at("macs") == 2 * 7 * 4);
  CHECK(settled.at("nodes_of_unknown_macs") == 0);
  CHECK(run({"inspect", model, "--shape", "x=1,2,10"}).code == 2);
  CHECK(run({"inspect", model, "--shape", "z=1"}).code == 2);
}

TEST_CASE("random data for open extents") {
  const TemporaryFolder folder;
  const std::string model = open_model(folder.path());
  const std::string output = folder / "q.onnx";
  const Outcome guessed = run({"ptq", model, "--data", "random:2", "-o", output});
  CHECK(guessed.code == 1);
  CHECK(has(guessed.err, "open extents are taken as 1; --shape x="));
  CHECK(!fs::exists(output));
  const Outcome told =
      run({"ptq", model, "--data", "random:2", "--shape", "x=1,1,16", "-o", output});
  INFO(told.err);
  CHECK(told.code == 0);
  CHECK(!has(told.err, "open extents"));
  const Outcome compared =
      run({"compare", model, output, "--data", "random:2", "--shape", "x=1,1,16"});
  INFO(compared.err);
  CHECK(compared.code == 0);
  const Outcome mixed =
      run({"ptq", model, "--data", "some.raw", "--shape", "x=1,1,16", "-o", output});
  CHECK(mixed.code == 2);
  CHECK(has(mixed.err, "random:N"));
}
