// SPDX-License-Identifier: Apache-2.0
// Every op in float16: which of them ONNX has in it is asked of ONNX Runtime, which checks types
// when it loads a model.
#include <cstdio>

#include "catch.h"
#include "exec/agree.h"
#include "exec/onnxruntime_runner.h"
#include "exec/session.h"
#include "onnx_io/onnx_io.h"
#include "ops/op_case.h"
#include "passes/half_precision.h"
#include "passes/pipelines.h"
#include "support/text.h"

using namespace qtool;
using namespace qtool::test;
namespace fs = std::filesystem;

namespace {

/// "", or why ONNX Runtime does not load it.
std::string refusal(const Graph& graph, const fs::path& library, const fs::path& file) {
  try {
    save_model(graph, file);
    open_onnxruntime(
        {.library = library, .model = file, .optimization = OnnxRuntimeOptions::Optimization::off});
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("float16: every op that was converted runs, and ONNX Runtime takes its types") {
  const auto library = find_onnxruntime({}, QTOOL_SOURCE_DIR);
  const TemporaryFolder folder;
  std::vector<std::string> problems;
  int converted = 0;
  int loaded = 0;
  for (const OpCase& item : all_cases()) {
    if (!item.error.empty() || item.opset < 13) continue;
    CaseGraph made = build(item, Form::constants);
    const Facts facts = infer_facts(made.graph, builtin_ops());
    for (const ValueId output : made.outputs)
      made.graph.set_type(output, {facts[output].type.dtype, std::nullopt});
    const Graph before = made.graph;
    const std::string label = fmt::format("{}-{} {}", item.op, item.opset, item.name);
    try {
      if (to_float16(made.graph, builtin_ops(), {}).converted == 0) continue;
      ++converted;
      for (const std::string& defect : verify(made.graph))
        problems.push_back(label + ": " + defect);
      Graph prepared = made.graph;
      run_pipeline(prepared, preparation_pipeline(), {builtin_ops()});
      Session session(prepared, builtin_ops(), {});
      session.run(made.feeds);
    } catch (const Error& error) {
      problems.push_back(label + ": " + error.what());
      continue;
    }
    if (!library || !refusal(before, *library, folder / "case.onnx").empty()) continue;
    ++loaded;
    if (const auto why = refusal(made.graph, *library, folder / "case.onnx"); !why.empty())
      problems.push_back(label + ": " + why);
  }
  std::printf("float16: %d cases converted, %d of them asked of ONNX Runtime\n", converted, loaded);
  CHECK(converted > 500);
  CHECK_THAT(join(problems, "\n"), Catch::Equals(""));
}
