// SPDX-License-Identifier: Apache-2.0
// ONNX's own test cases (Debian's libonnx-testdata): every one runs on both backends and gives the
// recorded outputs, or stands in refused.txt with the reason.
#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <set>
#include <stdexcept>

#include "catch.h"
#include "exec/session.h"
#include "onnx_io/onnx_io.h"
#include "onnx_io/versions.h"
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

/// The tensor of a file; bfloat16 is recorded as uint16.
Tensor read_tensor(const fs::path& path, const TensorType& type) {
  const std::string bytes = read_file(path);
  Tensor tensor = parse_tensor(std::as_bytes(std::span(bytes)));
  if (type.dtype != DType::bfloat16 || tensor.dtype() != DType::uint16) return tensor;
  Tensor halves(DType::bfloat16, tensor.shape());
  std::copy_n(tensor.raw(), tensor.bytes(), halves.raw());
  return halves;
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
    const Value& input = graph.value(inputs[i]);
    Tensor tensor = read_tensor(file, input.type);
    const std::string& name = input.name;
    shapes.emplace(name, tensor.shape());
    feeds.emplace(name, std::move(tensor));
  }
  Session session(graph, builtin_ops(), {.backend = backend, .input_shapes = shapes});
  const TensorMap results = session.run(feeds);
  for (size_t i = 0; i < graph.outputs().size(); ++i) {
    const Value& output = graph.value(graph.outputs()[i]);
    const Tensor wanted = read_tensor(folder / fmt::format("output_{}.pb", i), output.type);
    const std::string& name = output.name;
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

/// "1.12.0" as {1, 12, 0}.
std::array<int, 3> version(const std::string& text) {
  std::array<int, 3> numbers{};
  std::sscanf(text.c_str(), "%d.%d.%d", &numbers[0], &numbers[1], &numbers[2]);
  return numbers;
}

/// Whether lines under such a heading are meant for the installed test data.
bool counts(const std::string& heading) {
  char which[8] = {};
  char limit[16] = {};
  if (std::sscanf(heading.c_str(), "[ONNX %7s %15[0-9.]]", which, limit) != 2)
    throw std::runtime_error("refused.txt: no heading: " + heading);
  const bool reached = version(onnx_version()) >= version(limit);
  return std::string_view(which) == "from" ? reached : !reached;
}

struct Refusal {
  std::string cases;  ///< a folder's name, * stands for anything
  std::string piece;  ///< of the message
  bool met = false;
};

/// Lines of "cases: piece"; # starts a comment.
std::vector<Refusal> listed_refusals() {
  std::ifstream file(QTOOL_SOURCE_DIR "/tests/conformance/refused.txt");
  std::vector<Refusal> list;
  bool taken = true;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with('[')) taken = counts(line);
    const size_t colon = line.find(": ");
    if (!taken || line.empty() || line[0] == '#' || colon == std::string::npos) continue;
    list.push_back({line.substr(0, colon), line.substr(colon + 2)});
  }
  return list;
}

Refusal* find(std::vector<Refusal>& list, const std::string& name) {
  const auto found = std::ranges::find_if(list, [&](const Refusal& refusal) {
    return fnmatch(refusal.cases.c_str(), name.c_str(), 0) == 0;
  });
  return found == list.end() ? nullptr : &*found;
}

struct Count {
  int passed = 0;
  int refused = 0;
};

}  // namespace

TEST_CASE("ONNX's test cases give the recorded outputs or are refused for a listed reason") {
  if (!fs::exists(kRoot)) QTOOL_SKIP("no test cases of ONNX: install libonnx-testdata");
  std::vector<Refusal> refusals = listed_refusals();
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
      Refusal* const refusal = find(refusals, name);
      if (text.empty()) {
        ++count.passed;
        if (refusal != nullptr) problems.push_back(name + ": passes, but is listed as refused");
      } else if (refusal != nullptr && text.find(refusal->piece) != std::string::npos) {
        ++count.refused;
      } else {
        problems.push_back(name + ": " + text);
      }
      if (refusal != nullptr) refusal->met = true;
    }
    std::cout << fmt::format("{}: {} of {} passed, {} refused for listed reasons\n", suite,
                             count.passed, folders.size(), count.refused);
    CHECK(count.passed > 0);
  }
  for (const Refusal& refusal : refusals) {
    if (!refusal.met) problems.push_back(refusal.cases + ": is listed, but was not met");
  }
  CHECK_THAT(join(problems, "\n"), Catch::Equals(""));
}
