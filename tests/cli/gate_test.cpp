// SPDX-License-Identifier: Apache-2.0
#include "catch.h"
#include "run.h"
#include "support/file.h"

using namespace qtool;
using namespace qtool::test;

namespace {

Outcome report(const std::vector<std::string>& gates) {
  return run(words({"report", shipped("glyphs_cnn.onnx"), quantized().model, "--no-bench"}, gates));
}

}  // namespace

TEST_CASE("gates: 0 where all hold, 3 where one fails, each with its value") {
  const Outcome held = report({"--gate", "size_ratio<=0.45", "--gate", "file_bytes<=200000"});
  CHECK(held.code == 0);
  CHECK(has(held.out, "size_ratio<=0.45"));
  CHECK(has(held.out, "file_bytes<=200000"));
  const Outcome failed = report({"--gate", "size_ratio<=0.45", "--gate", "size_ratio<=0.01"});
  CHECK(failed.code == 3);
  CHECK(has(failed.out, "size_ratio<=0.01"));
  CHECK(has(failed.out, "FAIL"));
}

TEST_CASE("gates: what was not measured is no pass") {
  const Outcome unknown = report({"--gate", "top1_drop<=1"});
  CHECK(unknown.code == 3);
  CHECK(has(unknown.out, "top1_drop<=1"));
}

TEST_CASE("gates from a file") {
  const TemporaryFolder folder;
  write_file(folder / "gates", "# size only\nsize_ratio <= 0.45\n");
  CHECK(report({"--gates", folder / "gates"}).code == 0);
  write_file(folder / "gates", "size_ratio <= 0.45\n\nsize_ratio <= 0.01\n");
  CHECK(report({"--gates", folder / "gates"}).code == 3);
  write_file(folder / "gates", "size_ratio <= 0.45\nsizeratio <= 1\n");
  const Outcome wrong = report({"--gates", folder / "gates"});
  CHECK(wrong.code == 2);
  CHECK(has(wrong.err, "2"));
  CHECK(has(wrong.err, "size_ratio"));
}

TEST_CASE("gates: a wrong name is said before any work") {
  const Outcome outcome =
      run({"report", "absent.onnx", "absent.int8.onnx", "--gate", "top1_drp<=1"});
  CHECK(outcome.code == 2);
  CHECK(has(outcome.err, "top1_drp"));
  CHECK(has(outcome.err, "top1_drop"));
}
