// SPDX-License-Identifier: Apache-2.0
#include "support/error.h"

#include "catch.h"

using namespace qtool;

TEST_CASE("An error prints its frames from the outside in, then the advice") {
  Error error = input_error("the weight is not a constant", "Fold it with --fold.");
  error.within("node \"conv1\"").within("pass fold_batch_norm").within("model.onnx");
  CHECK(std::string(error.what()) ==
        "model.onnx: pass fold_batch_norm: node \"conv1\": the weight is not a constant\n"
        "  Fold it with --fold.");
  CHECK(error.message() == "the weight is not a constant");
  CHECK(error.advice() == "Fold it with --fold.");
}

TEST_CASE("An error without frames or advice is its message") {
  CHECK(std::string(unsupported_error("no If").what()) == "no If");
}

TEST_CASE("The kind of an error decides the exit code") {
  CHECK(exit_code(usage_error("").kind()) == 2);
  CHECK(exit_code(input_error("").kind()) == 1);
  CHECK(exit_code(unsupported_error("").kind()) == 1);
  CHECK(exit_code(Error::Kind::internal) == 70);
}

TEST_CASE("a frame that was said last is not said again") {
  Error error = input_error("no such node");
  error.within("model.onnx").within("model.onnx").within("eval");
  CHECK(std::string(error.what()) == "eval: model.onnx: no such node");
}

TEST_CASE("within_frame adds frames to what passes through, and only then makes them") {
  int made = 0;
  const auto frame = [&](const char* text) {
    return [&made, text] {
      ++made;
      return std::string(text);
    };
  };
  CHECK(within_frame(frame("unused"), [] { return 7; }) == 7);
  CHECK(made == 0);
  try {
    within_frame(frame("outer"),
                 [&] { within_frame(frame("inner"), [] { throw usage_error("oops"); }); });
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(std::string(error.what()) == "outer: inner: oops");
    CHECK(error.kind() == Error::Kind::usage);
  }
  CHECK(made == 2);
  CHECK_THROWS_AS(within_frame(frame("foreign"), []() -> int { throw std::string("text"); }),
                  std::string);
}

TEST_CASE("A broken invariant is a bug of qtool with a place") {
  const int line = __LINE__ + 2;
  try {
    QTOOL_CHECK(1 > 2, "numbers");
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == Error::Kind::internal);
    const std::string wanted = "error_test.cpp:" + std::to_string(line) + ": 1 > 2: numbers";
    CHECK(error.message().find(wanted) != std::string::npos);
    CHECK(error.advice().find("bug") != std::string::npos);
  }
}
