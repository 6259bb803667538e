// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "data/sources/sources.h"
#include "support/file.h"

using namespace qtool;
using Catch::Contains;

namespace {

struct Table {
  test::TemporaryFolder folder;
  std::vector<LabelRow> read(const std::string& content) {
    write_file(folder / "labels.csv", content);
    return read_labels(folder / "labels.csv");
  }
  std::string message(const std::string& content) {
    try {
      read(content);
    } catch (const Error& error) {
      CHECK(error.kind() == Error::Kind::input);
      return error.what();
    }
    return "no error";
  }
};

}  // namespace

TEST_CASE("tables of labels in the forms that occur") {
  Table table;
  const auto check = [&](const std::string& content, const std::string& file, int64_t label,
                         size_t line) {
    CAPTURE(content);
    const auto rows = table.read(content);
    REQUIRE(rows.size() == 1);
    CHECK(rows[0].file == file);
    CHECK(rows[0].label == label);
    CHECK(rows[0].line == line);
  };
  check("file,label\na.jpg,3\n", "a.jpg", 3, 2);
  check("file,label\r\na.jpg,3\r\n", "a.jpg", 3, 2);
  check(
      "\xEF\xBB\xBF"
      "file,label\n\na.jpg,3",
      "a.jpg", 3, 3);
  check("author,label,file\n\"Smith, \"\"J\"\"\", 7 , b/a.jpg \n", "b/a.jpg", 7, 2);
  check("a.jpg,16777215\n", "a.jpg", 16777215, 1);
  check("\"a,b.jpg\",0\n", "a,b.jpg", 0, 1);
  CHECK(table.read("").empty());
  CHECK(table.read("file,label\n").empty());
}

TEST_CASE("wrong tables are told with file and line") {
  Table table;
  CHECK_THAT(table.message("file,label\na.jpg,3\nb.jpg,x\n"),
             Contains("labels.csv:3: ") && Contains("\"x\" is not an integer"));
  CHECK_THAT(table.message("file,label\na.jpg,1.5\n"),
             Contains("labels.csv:2: ") && Contains("1.5"));
  CHECK_THAT(table.message("file,label\na.jpg,-1\n"),
             Contains("labels.csv:2: ") && Contains("outside of 0 to"));
  CHECK_THAT(table.message("file,label\na.jpg,16777216\n"), Contains("outside"));
  CHECK_THAT(table.message("file,label\na.jpg,99999999999999999999\n"), Contains("not an integer"));
  CHECK_THAT(table.message("file,label\na.jpg\n"),
             Contains("labels.csv:2: ") && Contains("1 fields"));
  CHECK_THAT(table.message("file,class\na.jpg,2\n"),
             Contains("labels.csv:1: ") && Contains("\"label\""));
  CHECK_THAT(table.message("file,label\na.jpg,1\nb.jpg,1\na.jpg,1\n"),
             Contains("labels.csv:4: ") && Contains("line 2"));
  CHECK_THAT(table.message("file,label\n../a.jpg,1\n"),
             Contains("labels.csv:2: ") && Contains("not inside"));
  CHECK_THAT(table.message("file,label\nb/../../a.jpg,1\n"), Contains("not inside"));
  CHECK_THAT(table.message("file,label\n/etc/passwd,1\n"), Contains("not inside"));
  CHECK_THAT(table.message("file,label\n,1\n"), Contains("no name"));
  CHECK_THAT(table.message("file,label\n\"a.jpg,1\n"), Contains("quote"));
}
