// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "catch.h"
#include "exec/onnxruntime_runner.h"
#include "run.h"
#include "support/text.h"

using namespace qtool;
using namespace qtool::test;

namespace {

bool system_says(const std::string& flag) {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("flags")) return has(line + ' ', ' ' + flag + ' ');
  }
  return false;
}

}  // namespace

TEST_CASE("doctor tells the instruction sets that the system tells") {
  const Json json = run_json({"doctor"});
  CHECK(json.at("schema") == "qtool.doctor/1");
  const Json& isa = json.at("isa");
  CHECK(isa.at("AVX2") == (system_says("avx2") && system_says("fma")));
  CHECK(isa.at("AVX-512 VNNI") == system_says("avx512_vnni"));
  CHECK(isa.at("AVX-512 BF16") == system_says("avx512_bf16"));
  CHECK(isa.at("AMX-INT8") == system_says("amx_int8"));
  CHECK(json.at("hardware_threads") == sysconf(_SC_NPROCESSORS_ONLN));
  CHECK(json.at("cores").get<int>() <= json.at("hardware_threads").get<int>());
}

TEST_CASE("doctor tries the runners, and names the targets and the libraries") {
  const Json json = run_json({"doctor"});
  for (const char* runner : {"onednn", "reference"})
    CHECK(json.at("runners").at(runner).at("works") == true);
  const Json& target = json.at("targets").at("ort-cpu");
  const bool vnni = system_says("avx512_vnni") || system_says("avx_vnni");
  CHECK(target.at("speed") == (vnni ? "fast" : "slow"));
  for (const char* library : {"oneDNN", "onnx", "protobuf"})
    CHECK(!json.at("libraries").at(library).get<std::string>().empty());
}

TEST_CASE("doctor says what is missing and how to get it, and goes on") {
  const Json json = run_json({"doctor", "--ort-library", "/nowhere/libonnxruntime.so.1"});
  CHECK(json.at("runners").at("onnxruntime").at("works") == false);
  const std::string advice = json.at("advice").dump();
  CHECK(has(advice, "/nowhere/libonnxruntime.so.1"));
  const Outcome text = run({"doctor", "--ort-library", "/nowhere/libonnxruntime.so.1"});
  CHECK(text.code == 0);
  CHECK(has(text.out, "What to do:"));
  CHECK(has(text.out, "/nowhere/libonnxruntime.so.1"));
}

TEST_CASE("doctor finds ONNX Runtime and its version") {
  const auto library = find_onnxruntime({}, QTOOL_SOURCE_DIR);
  if (!library) QTOOL_SKIP("no ONNX Runtime library: run scripts/setup to install it");
  const Json runner =
      run_json({"doctor", "--ort-library", *library}).at("runners").at("onnxruntime");
  CHECK(runner.at("works") == true);
  CHECK(has(runner.at("detail").get<std::string>(), onnxruntime_version(*library)));
}

TEST_CASE("a report says which runner it measured") {
  const auto library = find_onnxruntime({}, QTOOL_SOURCE_DIR);
  if (!library) QTOOL_SKIP("no ONNX Runtime library: run scripts/setup to install it");
  const std::vector<std::string> line{"report",
                                      shipped("glyphs_cnn.onnx"),
                                      quantized().model,
                                      "--runs",
                                      "3",
                                      "--runner",
                                      "onnxruntime",
                                      "--ort-library",
                                      *library};
  const Json json = run_json(line);
  CHECK(json.at("bench").at("runner") == "onnxruntime");
  const Json& versions = json.at("provenance").at("versions");
  CHECK(has(versions.at("ONNX Runtime").get<std::string>(), onnxruntime_version(*library)));
  CHECK(!versions.contains("oneDNN"));
  const Outcome text = run(line);
  CHECK(has(text.out, "run by onnxruntime"));
  CHECK(!has(text.out, "oneDNN"));
}
