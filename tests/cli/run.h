// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "support/json.h"

namespace qtool::test {

/// What one run of the program left behind.
struct Outcome {
  int code = -1;  ///< exit code; 128 + N where signal N ended it
  std::string out;
  std::string err;
  uint64_t peak_bytes = 0;  ///< resident memory
};

/// Runs qtool with these arguments and waits; nothing on its standard input.
Outcome run(const std::vector<std::string>& arguments);

/// The same, but kills it as soon as `ready` says so, if it has not ended before.
void run_and_kill(const std::vector<std::string>& arguments, const std::function<bool()>& ready);

/// run() with --json, which must give exit code 0 and one JSON document on stdout.
Json run_json(std::vector<std::string> arguments, int code = 0);

/// The model and the data that the repository ships.
std::string shipped(const std::string& file);
std::vector<std::string> train_data();  ///< --data ... --preprocess ...
std::vector<std::string> test_data();

/// An .npy file of two black images for the shipped model. It is a single array: without labels.
std::string blank_images();

/// A calibrated and quantized copy of the shipped model, made once by this process.
struct Quantized {
  std::filesystem::path table;
  std::filesystem::path plan;
  std::filesystem::path model;
};
const Quantized& quantized();

template <class... Lists>
std::vector<std::string> words(std::vector<std::string> first, const Lists&... rest) {
  (first.insert(first.end(), rest.begin(), rest.end()), ...);
  return first;
}

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Names of the files in a folder, sorted.
std::vector<std::string> files_in(const std::filesystem::path& folder);

}  // namespace qtool::test
