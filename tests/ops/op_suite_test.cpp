// SPDX-License-Identifier: Apache-2.0
// Asks every case of every list: does inference name the type that comes out, does the reference
// give what was worked out by hand, does the compiled session agree with the reference?
#include <set>

#include "catch.h"
#include "exec/session.h"
#include "ops/op_case.h"
#include "ops/op_def.h"
#include "support/text.h"

using namespace qtool;
using namespace qtool::test;

namespace {

constexpr Form kForms[] = {Form::fed, Form::constants, Form::channels_last, Form::folded};
constexpr const char* kFormNames[] = {"fed", "constants", "channels_last", "folded"};

std::string label(const OpCase& item, Form form) {
  return item.op + "-" + std::to_string(item.opset) + " " + item.name + " (" +
         kFormNames[static_cast<int>(form)] + ")";
}

const OpDef& record(const OpCase& item) {
  const OpDef* def =
      builtin_ops().find(op_key(item), item.op.find('.') == std::string::npos ? item.opset : 1);
  QTOOL_CHECK(def != nullptr, item.op + " is not registered");
  return *def;
}

std::vector<Tensor> outputs_of(const CaseGraph& made, Backend backend) {
  Session session(made.graph, builtin_ops(), {.backend = backend});
  TensorMap named = session.run(made.feeds);
  std::vector<Tensor> results;
  for (const ValueId id : made.outputs) {
    results.push_back(std::move(named.at(made.graph.value(id).name)));
  }
  return results;
}

/// "", or how the inferred type contradicts the result.
std::string type_problem(const TensorType& inferred, const Tensor& result, bool complete) {
  const std::string both =
      to_string(inferred) + " for " + std::string(name(result.dtype())) + to_string(result.shape());
  if (inferred.dtype != result.dtype()) return both;
  if (!inferred.shape) return complete ? both : "";
  if (inferred.shape->size() != result.shape().size()) return both;
  for (size_t d = 0; d < inferred.shape->size(); ++d) {
    const Dim& dim = (*inferred.shape)[d];
    if (dim.value ? *dim.value != result.shape()[d] : complete) return both;
  }
  return "";
}

/// "", or what is wrong with the results.
std::string result_problem(const OpCase& item, Form form) {
  const CaseGraph made = build(item, form);
  const Facts facts = infer_facts(made.graph, builtin_ops());
  const std::vector<Tensor> reference = outputs_of(made, Backend::reference);
  const std::vector<Tensor> lowered = outputs_of(made, Backend::onednn);
  const Tolerance tolerance = record(item).tolerance;
  for (size_t i = 0; i < reference.size(); ++i) {
    // What depends on an input's elements is only known where that input is a constant.
    auto text = type_problem(facts[made.outputs[i]].type, reference[i],
                             form != Form::fed && !item.open_shape);
    if (!text.empty()) return "inferred " + text;
    if (i < item.expected.size()) {
      text = difference(reference[i], *item.expected[i], item.near, item.near);
      if (!text.empty()) return "reference: " + text;
    }
    text = difference(lowered[i], reference[i], tolerance.relative, tolerance.absolute);
    if (!text.empty()) return "lowered: " + text;
  }
  return "";
}

/// "", or what is wrong with the refusal of a case that must be refused.
std::string error_problem(const OpCase& item, Form form, Backend backend) {
  try {
    outputs_of(build(item, form), backend);
  } catch (const Error& error) {
    const std::string message = error.what();
    if (message.find(item.error) == std::string::npos) return "says " + message;
    if (message.find("tested") == std::string::npos) return "does not name the node: " + message;
    const bool bug = error.kind() == Error::Kind::internal;
    return bug ? "calls it a bug: " + message : "";
  }
  return "is accepted";
}

std::string problem(const OpCase& item, Form form) {
  if (!item.error.empty()) {
    const std::string text = error_problem(item, form, Backend::reference);
    return text.empty() ? error_problem(item, form, Backend::onednn) : text;
  }
  try {
    return result_problem(item, form);
  } catch (const std::exception& error) {
    return std::string("throws ") + error.what();
  }
}

}  // namespace

TEST_CASE("Every case gives what was worked out by hand, on both backends, in every form") {
  std::vector<std::string> problems;
  for (const OpCase& item : all_cases()) {
    for (const Form form : kForms) {
      if (std::string text = problem(item, form); !text.empty()) {
        problems.push_back(label(item, form) + ": " + text);
      }
    }
  }
  CAPTURE(all_cases().size());
  CHECK_THAT(join(problems, "\n"), Catch::Equals(""));
}

TEST_CASE("Every registered op has cases, and one that was worked out by hand") {
  std::set<std::pair<OpKey, int>> asked;
  std::set<std::pair<OpKey, int>> worked;
  for (const OpCase& item : all_cases()) {
    const OpDef& def = record(item);
    asked.emplace(def.key, def.since_version);
    if (!item.expected.empty()) worked.emplace(def.key, def.since_version);
  }
  for (const OpDef& def : builtin_ops().all()) {
    CAPTURE(def.key.type, def.since_version);
    CHECK(asked.contains({def.key, def.since_version}));
    CHECK(worked.contains({def.key, def.since_version}));
  }
}
