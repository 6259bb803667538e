// SPDX-License-Identifier: Apache-2.0
// Damaged files end in an Error or are read, and large ones do not end up in memory.
#include <fstream>

#include "catch.h"
#include "data/image.h"
#include "data/open.h"
#include "onnx_io/onnx_io.h"
#include "support/file.h"
#include "support/rng.h"

using namespace qtool;
namespace fs = std::filesystem;

namespace {

/// Cut at any place, and with any few bytes changed.
std::string damaged(const std::string& good, Rng& rng) {
  std::string bad = good;
  const auto size = static_cast<uint32_t>(bad.size());
  for (uint64_t changes = rng.below(4); changes > 0; --changes)
    bad[rng.below(size)] = static_cast<char>(rng.below(256));
  if (rng.below(3) == 0) bad.resize(rng.below(size));
  return bad;
}

/// Opens and reads everything; only an Error that is no bug may come out.
void read_all(const DataSpec& spec) {
  try {
    const auto data = open_dataset(spec);
    for (size_t i = 0; i < std::min<size_t>(data->size(), 100); ++i) (void)data->get(i);
    (void)data->provenance();
  } catch (const Error& error) {
    CHECK(error.kind() != Error::Kind::internal);
    CHECK(!std::string(error.what()).empty());
  }
}

uint64_t resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::stoull(line.substr(6)) * 1024;
  }
  return 0;
}

}  // namespace

TEST_CASE("damaged files of every kind end in an error that is no bug") {
  const test::TemporaryFolder folder;
  fs::create_directory(folder / "test_data_set_0");
  struct Kind {
    fs::path file;
    fs::path open;
    std::string content;
  };
  const std::string tensor = serialize_tensor(Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, 6}), "x");
  const std::vector<Kind> kinds{
      {"a.idx", "a.idx", std::string("\0\0\x8\3\0\0\0\2\0\0\0\2\0\0\0\2", 16) + "abcdefgh"},
      {"b.csv", "b.csv", "x.0,x.1,label\n1,2.5,0\n\"3\",-4e3,7\n"},
      {"c.csv", "c.csv", "file,label\na.png,0\n"},
      {"test_data_set_0/input_0.pb", "test_data_set_0", tensor},
  };
  Rng rng(7);
  for (const Kind& kind : kinds) {
    INFO(kind.file);
    for (int round = 0; round < 400; ++round) {
      // write_file would wait for the disk.
      std::ofstream(folder / kind.file, std::ios::binary) << damaged(kind.content, rng);
      read_all({.path = folder / kind.open});
    }
  }
}

TEST_CASE("damaged bitmaps end in an error that is no bug") {
  std::string good = "BM";
  for (const uint32_t number :
       {0U, 0U, 62U, 40U, 3U, 2U, 0x00080001U, 0U, 0U, 0U, 0U, 0U, 0U, 0x00010203U, 0x00040506U})
    for (int i = 0; i < 4; ++i) good += static_cast<char>(number >> (8 * i));
  good += std::string("\0\1\0\0\1\0\1\0", 8);
  Rng rng(8);
  CHECK(decode_image(std::as_bytes(std::span(good))).pixels.size() == 18);
  for (int round = 0; round < 5000; ++round) {
    const std::string bad = damaged(good, rng);
    try {
      (void)decode_image(std::as_bytes(std::span(bad)));
    } catch (const Error& error) {
      if (error.kind() != Error::Kind::input) FAIL_CHECK(error.what());
    }
  }
}

TEST_CASE("files of records are read record by record, not held") {
  const test::TemporaryFolder folder;
  constexpr size_t kRecords = 10'000;  // 30.7 MB
  write_file(folder / "test_batch.bin", std::string(kRecords * 3073, '\1'));
  const std::string labels = folder / "labels.txt";
  std::string text;
  for (size_t i = 0; i < kRecords; ++i) text += "1\n";
  write_file(labels, text);
  for (const bool raw : {false, true}) {
    DataSpec spec{.path = folder / "test_batch.bin"};
    if (raw) {
      spec.shape = {3073};
      spec.dtype = "uint8";
      spec.labels = labels;
    }
    const uint64_t before = resident_bytes();
    const auto data = open_dataset(spec);
    REQUIRE(data->size() == kRecords);
    for (size_t i = 0; i < kRecords; ++i) (void)data->get(i);
    (void)data->provenance();
#ifndef __SANITIZE_ADDRESS__  // keeps freed memory to catch its use
    CHECK(resident_bytes() < before + 10'000'000);
#else
    static_cast<void>(before);
#endif
  }
}
