// SPDX-License-Identifier: Apache-2.0
// What report --json writes, against the schema in lib/report/schema. The checker knows the few
// keywords that the schema uses and refuses any other, so that none is skipped silently.
#include <regex>
#include <set>

#include "catch.h"
#include "report/example.h"
#include "support/text.h"

using namespace qtool;

namespace {

bool has_type(const Json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "null") return value.is_null();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  throw input_error("the schema names a type \"" + type + '"');
}

class Checker {
 public:
  explicit Checker(const Json& root) : root_(root) {}

  std::vector<std::string> defects;

  void check(const Json& value, const Json& schema, const std::string& where) {
    for (const auto& [keyword, rule] : schema.items()) apply(value, schema, keyword, rule, where);
  }

 private:
  void apply(const Json& value, const Json& schema, const std::string& keyword, const Json& rule,
             const std::string& where) {
    static const std::set<std::string> silent{"$schema", "$id", "$defs", "title", "description"};
    if (silent.contains(keyword)) return;
    if (keyword == "$ref") {
      check(value, root_.at(Json::json_pointer(rule.get<std::string>().substr(1))), where);
    } else if (keyword == "allOf") {
      for (const Json& part : rule) check(value, part, where);
    } else if (keyword == "type") {
      const Json types = rule.is_array() ? rule : Json::array({rule});
      bool any = false;
      for (const Json& type : types) any = any || has_type(value, type.get<std::string>());
      expect(any, where + ": not of type " + rule.dump());
    } else if (keyword == "const") {
      expect(value == rule, where + ": not " + rule.dump());
    } else if (keyword == "required") {
      for (const Json& key : rule) {
        expect(value.contains(key.get<std::string>()), where + ": no " + key.dump());
      }
    } else if (keyword == "properties") {
      for (const auto& [key, part] : rule.items()) {
        if (value.is_object() && value.contains(key)) check(value[key], part, where + '/' + key);
      }
    } else if (keyword == "additionalProperties") {
      for (const auto& [key, item] : value.items()) {
        if (!schema.value("properties", Json::object()).contains(key))
          check(item, rule, where + '/' + key);
      }
    } else if (keyword == "items") {
      for (size_t i = 0; i < value.size(); ++i)
        check(value[i], rule, where + '/' + std::to_string(i));
    } else if (keyword == "minimum") {
      expect(!value.is_number() || value.get<double>() >= rule.get<double>(),
             where + ": too small");
    } else if (keyword == "maximum") {
      expect(!value.is_number() || value.get<double>() <= rule.get<double>(),
             where + ": too large");
    } else if (keyword == "pattern") {
      expect(std::regex_search(value.get<std::string>(), std::regex(rule.get<std::string>())),
             where + ": pattern");
    } else {
      throw input_error("the checker does not know the keyword \"" + keyword + '"');
    }
  }

  void expect(bool holds, const std::string& defect) {
    if (!holds) defects.push_back(defect);
  }

  const Json& root_;
};

Json schema() {
  return read_json(std::string(QTOOL_SOURCE_DIR) + "/lib/report/schema/report-1.schema.json");
}

std::string defects(const Json& report) {
  const Json root = schema();
  Checker checker(root);
  checker.check(report, root, "");
  return join(checker.defects, "; ");
}

/// Every key that a definition lists, with those of the definitions that it builds on.
std::set<std::string> listed_keys(const Json& root, const Json& definition) {
  std::set<std::string> keys;
  for (const auto& [key, part] : definition.at("properties").items()) keys.insert(key);
  for (const Json& part : definition.value("allOf", Json::array())) {
    const Json& base = root.at(Json::json_pointer(part.at("$ref").get<std::string>().substr(1)));
    keys.merge(listed_keys(root, base));
  }
  return keys;
}

ReportRecord full_report() {
  ReportRecord report = test::example_report();
  report.reference.metrics.nan_samples = 1;
  Fidelity broken;
  broken.nonfinite = 3;
  report.candidates[0].outputs.push_back({"broken", broken});
  report.gates = evaluate(test::gates_of({"top1_drop<=1.0", "speedup>=9", "sqnr_db>=1"}), report);
  return report;
}

}  // namespace

TEST_CASE("what report writes is what the schema says") {
  CHECK(defects(to_json(full_report())) == "");
  CHECK(defects(to_json(ReportRecord())) == "");
}

TEST_CASE("the schema lists every key that report writes") {
  const Json root = schema();
  const Json report = to_json(full_report());
  const auto all_listed = [&](const Json& object, const char* definition) {
    const auto keys = listed_keys(root, *definition == 0 ? root : root.at("$defs").at(definition));
    for (const auto& [key, value] : object.items()) {
      CAPTURE(definition, key);
      CHECK(keys.contains(key));
    }
  };
  const Json& candidate = report.at("candidates")[0];
  all_listed(report, "");
  all_listed(report.at("bench"), "conditions");
  all_listed(report.at("float"), "model");
  all_listed(report.at("float").at("metrics"), "metrics");
  all_listed(report.at("provenance"), "provenance");
  all_listed(candidate, "candidate");
  all_listed(candidate.at("delta"), "delta");
  for (const Json& layer : candidate.at("layers")) {
    all_listed(layer, "layer");
    if (layer.contains("histogram")) all_listed(layer.at("histogram"), "histogram");
  }
  for (const Json& output : candidate.at("outputs")) all_listed(output, "output");
  for (const Json& kept : candidate.at("kept_float")) all_listed(kept, "kept");
  for (const Json& gate : report.at("gates")) all_listed(gate, "gate");
}

TEST_CASE("the checker sees what is wrong") {
  Json report = to_json(full_report());
  report["float"].erase("file_bytes");
  report["candidates"][0]["delta"]["cosine"] = 2;
  report["candidates"][0]["layers"][0]["tensor"] = 7;
  report["gates"][0]["value"] = "0.03";
  report["schema"] = "other";
  const std::string found = defects(report);
  CHECK_THAT(found, Catch::Contains("/float: no \"file_bytes\""));
  CHECK_THAT(found, Catch::Contains("/candidates/0/delta/cosine: too large"));
  CHECK_THAT(found, Catch::Contains("/candidates/0/layers/0/tensor: not of type"));
  CHECK_THAT(found, Catch::Contains("/gates/0/value: not of type"));
  CHECK_THAT(found, Catch::Contains("/schema: not"));
}
