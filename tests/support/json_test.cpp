// SPDX-License-Identifier: Apache-2.0
#include "support/json.h"

#include <functional>

#include "catch.h"
#include "support/file.h"

using namespace qtool;

namespace {

std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    CHECK(error.kind() == Error::Kind::input);
    return error.message();
  }
  FAIL("no error");
  return {};
}

}  // namespace

TEST_CASE("JSON text has sorted keys, rows of numbers and a final newline") {
  const Json json = {{"zeta", {1.5, -2, 3}},    {"alpha", {{"name", "a\"b"}, {"none", nullptr}}},
                     {"empty", Json::object()}, {"rows", {{1, 2}, {3, 4}}},
                     {"words", {"x", "y"}},     {"nothing", Json::array()}};
  CHECK(to_text(json) == R"({
  "alpha": {
    "name": "a\"b",
    "none": null
  },
  "empty": {},
  "nothing": [],
  "rows": [
    [1,2],
    [3,4]
  ],
  "words": [
    "x",
    "y"
  ],
  "zeta": [1.5,-2,3]
}
)");
  CHECK(Json::parse(to_text(json)) == json);
}

TEST_CASE("JSON files are read back and name what is wrong in them") {
  const test::TemporaryFolder folder;
  const Json json = {{"schema", "qtool.table/1"}, {"values", {0.1, 1e-45, 3}}};
  write_json(folder / "a.json", json);
  CHECK(read_json(folder / "a.json") == json);
  CHECK(read_file(folder / "a.json") == to_text(json));

  write_file(folder / "b.json", "{\n  \"a\": 1,\n  \"b\": oops\n}\n");
  const std::string broken = message_of([&] { read_json(folder / "b.json"); });
  CHECK(broken.find("b.json:3") != std::string::npos);
  CHECK(broken.find("not valid JSON") != std::string::npos);
  write_file(folder / "c.json", "");
  CHECK(message_of([&] { read_json(folder / "c.json"); }).find("c.json:1") != std::string::npos);
  CHECK(message_of([&] { read_json(folder / "d.json"); }).find("d.json") != std::string::npos);
}

TEST_CASE("JSON that is nested without end is refused, not followed") {
  const test::TemporaryFolder folder;
  write_file(folder / "deep.json", std::string(1 << 20, '['));
  CHECK(message_of([&] { read_json(folder / "deep.json"); }).find("deep.json") !=
        std::string::npos);
}

TEST_CASE("JSON members: missing, of the wrong type, of no object") {
  const Json json = {{"count", 3}, {"name", "x"}, {"list", {1, 2}}};
  CHECK(member<int>(json, "count") == 3);
  CHECK(member<std::string>(json, "name") == "x");
  CHECK(member<std::vector<int>>(json, "list") == std::vector<int>{1, 2});
  CHECK(message_of([&] { member<int>(json, "other"); }) == "the key \"other\" is missing");
  CHECK(message_of([&] { member<std::string>(json, "count"); }) ==
        "the key \"count\" has a value of the wrong type: 3");
  CHECK(message_of([&] { member<int>(Json::array(), "count"); }) ==
        "expected an object with the key \"count\"");
}

TEST_CASE("JSON schemas must be the expected one") {
  CHECK_NOTHROW(check_schema({{"schema", "qtool.table/1"}}, "qtool.table/1"));
  CHECK(message_of([] {
          check_schema({{"schema", "qtool.table/2"}}, "qtool.table/1");
        }) == "its schema is \"qtool.table/2\", expected \"qtool.table/1\"");
  CHECK(message_of([] { check_schema(Json::object(), "qtool.table/1"); }) ==
        "the key \"schema\" is missing");
}
