// SPDX-License-Identifier: Apache-2.0
// onnx::checker on files: exit code 1 and the reason where one is no valid model.
#include <onnx/checker.h>

#include <cstdio>
#include <exception>

int main(int argc, char** argv) {
  int failures = 0;
  for (int i = 1; i < argc; ++i) {
    try {
      onnx::checker::check_model(std::string(argv[i]));
    } catch (const std::exception& error) {
      std::printf("%s: %s\n", argv[i], error.what());
      ++failures;
    }
  }
  return failures == 0 ? 0 : 1;
}
