// SPDX-License-Identifier: Apache-2.0
// ONNX's own test cases (Debian's libonnx-testdata): every one runs on both backends and gives the
// recorded outputs, or stands in refused.txt with the reason.
#include <fstream>
#include <iostream>
#include <map>
#include <set>

#include "catch.h"
#include "exec/session.h"
#include "onnx_io/onnx_io.h"
#include "ops/op_case.h"
#include "support/file.h"
#include "support/text.h"

using namespace qtool;
using namespace qtool::test;
namespace fs = std::filesystem;

namespace {

// What onnx.backend.test allows.
constexpr double kRelative = 1e-3;
constexpr double kAbsolute = 1e-7;

constexpr const char* kRoot = "/usr/share/libonnx-testdata/data";

Tensor read_tensor(const fs::path& path) {
  const std::string bytes = read_file(path);
  return parse_tensor(std::as_bytes(std::span(bytes)));
}

/// "", or the first op that is not registered, in bodies too.
std::string unregistered(const Graph& graph, const ModelInfo& model) {
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (builtin_ops().find(node, model) == nullptr) return to_string(node.op);
    for (const auto& entry : node.attributes.entries()) {
      const auto* body = std::get_if<SubgraphPtr>(&entry.value);
      if (body == nullptr) continue;
      if (std::string op = unregistered(**body, model); !op.empty()) return op;
    }
  }
  return {};
}

/// "", or what is wrong with the outputs for one set of recorded inputs.
std::string run_set(const Graph& graph, const fs::path& folder, Backend backend) {
  TensorMap feeds;
  std::map<std::string, Shape> shapes;
  const std::vector<ValueId> inputs = graph.required_inputs();
  for (size_t i = 0; i < inputs.size(); ++i) {
    const fs::path file = folder / fmt::format("input_{}.pb", i);
    if (!fs::exists(file)) continue;
    Tensor tensor = read_tensor(file);
    const std::string& name = graph.value(inputs[i]).name;
    shapes.emplace(name, tensor.shape());
    feeds.emplace(name, std::move(tensor));
  }
  Session session(graph, builtin_ops(), {.backend = backend, .input_shapes = shapes});
  const TensorMap results = session.run(feeds);
  for (size_t i = 0; i < graph.outputs().size(); ++i) {
    const Tensor wanted = read_tensor(folder / fmt::format("output_{}.pb", i));
    const std::string& name = graph.value(graph.outputs()[i]).name;
    const std::string text = difference(results.at(name), wanted, kRelative, kAbsolute);
    if (!text.empty()) return name + ": " + text;
  }
  return {};
}

std::string run_case(const Graph& graph, const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!entry.is_directory()) continue;
    for (const Backend backend : {Backend::reference, Backend::onednn}) {
      try {
        const std::string text = run_set(graph, entry.path(), backend);
        if (!text.empty())
          return (backend == Backend::onednn ? "compiled: " : "reference: ") + text;
      } catch (const Error& error) {
        return error.what();
      }
    }
  }
  return {};
}

/// Lines of "name: piece of the message"; # starts a comment.
std::map<std::string, std::string> refused_cases() {
  std::ifstream file(QTOOL_SOURCE_DIR "/tests/conformance/refused.txt");
  std::map<std::string, std::string> refused;
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.empty() || line[0] == '#' || colon == std::string::npos) continue;
    refused.emplace(line.substr(0, colon), line.substr(colon + 2));
  }
  return refused;
}

struct Count {
  int passed = 0;
  int refused = 0;
};

}  // namespace

TEST_CASE("ONNX's test cases give the recorded outputs or are refused for a listed reason") {
  if (!fs::exists(kRoot)) QTOOL_SKIP("no test cases of ONNX: install libonnx-testdata");
  const auto expected = refused_cases();
  std::set<std::string> listed_and_met;
  std::vector<std::string> problems;
  for (const char* suite : {"node", "simple", "pytorch-operator", "pytorch-converted"}) {
    Count count;
    std::set<fs::path> folders;
    for (const auto& entry : fs::directory_iterator(fs::path(kRoot) / suite))
      folders.insert(entry.path());
    for (const fs::path& folder : folders) {
      const std::string name = folder.filename();
      const Graph graph = load_model(folder / "model.onnx");
      const std::string op = unregistered(graph, graph.model);
      const std::string text = op.empty() ? run_case(graph, folder) : "qtool does not know " + op;
      const auto found = expected.find(name);
      if (text.empty()) {
        ++count.passed;
        if (found != expected.end())
          problems.push_back(name + ": passes, but is listed as refused");
      } else if (found != expected.end() && text.find(found->second) != std::string::npos) {
        ++count.refused;
      } else {
        problems.push_back(name + ": " + text);
      }
      if (found != expected.end()) listed_and_met.insert(name);
    }
    std::cout << fmt::format("{}: {} of {} passed, {} refused for listed reasons\n", suite,
                             count.passed, folders.size(), count.refused);
    CHECK(count.passed > 0);
  }
  for (const auto& [name, reason] : expected) {
    if (!listed_and_met.contains(name)) problems.push_back(name + ": is listed, but was not met");
  }
  CHECK_THAT(join(problems, "\n"), Catch::Equals(""));
}
