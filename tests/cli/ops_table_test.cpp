// SPDX-License-Identifier: Apache-2.0
// README's table of ops is what the records say.
#include <map>

#include "catch.h"
#include "ops/op_def.h"
#include "ops/qoperator.h"
#include "quant/target.h"
#include "support/file.h"
#include "support/text.h"

using namespace qtool;

namespace {

constexpr const char* kBegin = "<!-- ops: checked by tests/cli/ops_table_test.cpp -->\n";
constexpr const char* kEnd = "<!-- /ops -->\n";

std::string kernel(const OpDef& def) {
  if (const QOperator* form = find_qoperator(def.key)) return "that of " + form->real.type;
  return def.lower != nullptr ? "fast" : "reference";
}

std::string by_record(const OpDef& def) {
  if (def.qdq == QdqRole::quantize) return "makes codes";
  if (def.qdq == QdqRole::dequantize) return "reads codes";
  if (def.quant.behaviour == Behaviour::compute || computes_codes(def.key))
    return "computes on codes";
  if (def.quant.behaviour == Behaviour::move_data) return "moves codes";
  return def.quant.keeps != nullptr ? "joins its producer" : "float";
}

std::string by_target(const OpDef& def, const Target& target) {
  if (def.qdq != QdqRole::none || computes_codes(def.key)) return "";
  if (const auto found = target.computes.find(def.key); found != target.computes.end()) {
    return found->second.when == Eagerness::always ? "always" : "between codes";
  }
  if (std::ranges::find(target.moves, def.key) != target.moves.end()) return "between codes";
  return def.quant.keeps != nullptr && target.remove_activations ? "with its producer" : "float";
}

std::string table() {
  std::map<std::string, std::vector<const OpDef*>> by_op;
  for (const OpDef& def : builtin_ops().all()) by_op[to_string(def.key)].push_back(&def);
  const Target target = load_target("ort-cpu");
  std::string text =
      "| op | since opset | kernel | in a quantized model | quantized for `ort-cpu` "
      "|\n|---|---|---|---|---|\n";
  for (auto& [op, versions] : by_op) {
    std::ranges::sort(versions, {}, &OpDef::since_version);
    std::vector<std::string> opsets;
    for (const OpDef* def : versions) opsets.push_back(std::to_string(def->since_version));
    const OpDef& newest = *versions.back();
    text += fmt::format("| {} | {} | {} | {} | {} |\n", op, join(opsets, ", "), kernel(newest),
                        by_record(newest), by_target(newest, target));
  }
  return text;
}

}  // namespace

TEST_CASE("README's table of ops is that of the records") {
  const std::string readme = read_file(QTOOL_SOURCE_DIR "/README.md");
  const size_t begin = readme.find(kBegin);
  const size_t end = readme.find(kEnd);
  REQUIRE(begin != std::string::npos);
  REQUIRE(end != std::string::npos);
  const size_t start = begin + std::string(kBegin).size();
  const std::string expected = table();
  if (readme.substr(start, end - start) != expected) {
    FAIL_CHECK("README.md should have, between its two comments:\n" << expected);
  }
}
