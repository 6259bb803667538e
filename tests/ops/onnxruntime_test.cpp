// SPDX-License-Identifier: Apache-2.0
// ONNX Runtime is asked the cases of whole families too, those that it has kernels for: a second
// opinion on what was worked out by hand, and the only one on the rest.
#include <cstdio>
#include <map>

#include "catch.h"
#include "exec/agree.h"
#include "exec/model.h"
#include "exec/onnxruntime_runner.h"
#include "exec/session.h"
#include "onnx_io/onnx_io.h"
#include "ops/data_movement_cases.h"
#include "support/text.h"

using namespace qtool;
using namespace qtool::test;
namespace fs = std::filesystem;

namespace {

/// Where ONNX Runtime differs, and why qtool does not follow.
const std::map<std::string, std::string> kDiffers = {
    {"Range-17 from the first to the last", "it counts in double"},
    {"OneHot-9 before negative indices", "opset 9 says that all of them are off"},
    {"HannWindow-17 one", "0 / 0; NumPy and SciPy give 1"},
    {"GridSample-20 not numbers", "it takes NaN for -1"},
    {"MeanVarianceNormalization-13 constant", "its variance of equal numbers is negative"},
    {"NonZero-17 scalar", "a scalar has no axes, so its indices have no rows"},
};

/// What it leaves unwritten.
constexpr std::string_view kUnwritten = "MatMulInteger-17 nothing to add";

/// What ONNX Runtime gives, or why it gives nothing.
struct Opinion {
  std::vector<Tensor> results;
  std::string refusal;
};

Opinion opinion_of(const OpCase& item, const fs::path& library, const fs::path& file) {
  CaseGraph made = build(item, Form::constants);
  const Facts facts = infer_facts(made.graph, builtin_ops());
  for (const ValueId output : made.outputs) {
    made.graph.set_type(output, {facts[output].type.dtype, std::nullopt});
  }
  Opinion opinion;
  try {
    save_model(made.graph, file);
    const auto runner = open_onnxruntime(
        {.library = library, .model = file, .optimization = OnnxRuntimeOptions::Optimization::off});
    TensorMap named = runner->run(made.feeds);
    for (const ValueId id : made.outputs) {
      opinion.results.push_back(std::move(named.at(made.graph.value(id).name)));
    }
  } catch (const Error& error) {
    opinion.refusal = error.what();
  }
  return opinion;
}

std::vector<Tensor> own_results(const OpCase& item) {
  const CaseGraph made = build(item, Form::constants);
  Session session(made.graph, builtin_ops(), {.backend = Backend::reference});
  TensorMap named = session.run(made.feeds);
  std::vector<Tensor> results;
  for (const ValueId id : made.outputs) {
    results.push_back(std::move(named.at(made.graph.value(id).name)));
  }
  return results;
}

}  // namespace

TEST_CASE("ONNX Runtime gives the same for the cases that it takes") {
  const auto library = find_onnxruntime({}, QTOOL_SOURCE_DIR);
  if (!library) QTOOL_SKIP("no ONNX Runtime library: run scripts/setup to install it");
  const TemporaryFolder folder;
  std::vector<std::string> problems;
  int compared = 0;
  int refused = 0;
  std::vector<OpCase> cases = data_movement_cases();
  for (auto* const family :
       {conv_transpose_cases, layer_norm_cases, response_norm_cases, lp_pool_cases, recurrent_cases,
        integer_product_cases, qoperator_cases}) {
    for (OpCase& item : family()) cases.push_back(std::move(item));
  }
  for (const OpCase& item : cases) {
    const std::string label = fmt::format("{}-{} {}", item.op, item.opset, item.name);
    if (!item.error.empty() || label == kUnwritten) continue;
    const Opinion theirs = opinion_of(item, *library, folder / "case.onnx");
    if (!theirs.refusal.empty()) {
      ++refused;
      if (std::getenv("QTOOL_TEST_EFFORT") != nullptr)
        std::printf("%s: %s\n", label.c_str(), theirs.refusal.c_str());
      continue;
    }
    ++compared;
    const std::vector<Tensor> ours = own_results(item);
    std::string text;
    for (size_t i = 0; i < ours.size() && text.empty(); ++i) {
      // Its kernels on codes round their parameters first: one code.
      const bool codes = item.op.starts_with("com.microsoft.");
      text = difference(ours[i], theirs.results[i], 1e-4, codes ? 1 : 1e-4);
    }
    const bool listed = kDiffers.contains(label);
    if (!text.empty() && !listed) problems.push_back(label + ": " + text);
    if (text.empty() && listed) problems.push_back(label + ": agrees, but is listed");
  }
  std::printf("ONNX Runtime: %d cases compared, %d that it refuses\n", compared, refused);
  CHECK(compared > 100);
  CHECK_THAT(join(problems, "\n"), Catch::Equals(""));
}

TEST_CASE("ONNX Runtime moves codes to the same places") {
  const auto library = find_onnxruntime({}, QTOOL_SOURCE_DIR);
  if (!library) QTOOL_SKIP("no ONNX Runtime library: run scripts/setup to install it");
  const TemporaryFolder folder;
  const Grid grid{0.03F, 120, false};
  struct Move {
    const char* op;
    std::vector<Constant> more;
    CaseAttributes attributes;
    int outputs = 1;
  };
  const Attribute two = int64_t{2};
  const Constant halves = f32({4}, {1, 1, 2, 0.5F});
  const Move moves[] = {
      {"DepthToSpace", {}, {{"blocksize", two}}},
      {"SpaceToDepth", {}, {{"blocksize", two}}},
      {"Tile", {list({1, 2, 1, 3})}, {}},
      {"Expand", {list({2, 2, 4, 6, 8})}, {}},
      {"Gather", {list({3, 0, 1})}, {{"axis", int64_t{1}}}},
      {"Resize", {nullptr, halves}, {}},
      {"Resize",
       {nullptr, halves},
       {{"coordinate_transformation_mode", text("asymmetric")}, {"nearest_mode", text("floor")}}},
      {"Split", {list({1, 3})}, {{"axis", int64_t{1}}}, 2},
  };
  for (const Move& move : moves) {
    CAPTURE(move.op);
    Model m(19);
    m.graph.model.ir_version = 9;
    std::vector<ValueId> inputs{m.qdq(m.input("x", {2, 4, 6, 8}), grid)};
    for (const Constant& constant : move.more)
      inputs.push_back(constant == nullptr ? ValueId::none : m.constant(constant));
    const ValueId first = m.add(move.op, inputs, move.attributes, move.outputs);
    const NodeId node = m.graph.value(first).producer;
    for (const ValueId result : std::vector<ValueId>(m.graph.node(node).outputs)) {
      const ValueId output = m.output(m.qdq(result, grid));
      m.graph.set_type(output, {DType::float32, std::nullopt});
    }
    save_model(m.graph, folder / "move.onnx");
    const auto runner = open_onnxruntime({.library = *library, .model = folder / "move.onnx"});
    const TensorMap feeds = random_feeds(m.graph);
    const TensorMap theirs = runner->run(feeds);
    const TensorMap ours = run_on(m.graph, Backend::onednn, feeds);
    for (const auto& [name, tensor] : ours)
      CHECK(difference(tensor, theirs.at(name), 0, 1e-6) == "");
  }
}
