// SPDX-License-Identifier: Apache-2.0
#include "tensor/npy.h"

#include <algorithm>
#include <cstring>

#include "catch.h"
#include "support/file.h"
#include "support/rng.h"

using namespace qtool;
using Catch::Contains;

namespace {

const std::filesystem::path kGolden =
    std::filesystem::path(QTOOL_SOURCE_DIR) / "tests/tensor/golden";

Tensor parse(const std::string& content) {
  size_t at = 0;
  return read_npy(content.size(), [&](std::byte* to, size_t count) {
    REQUIRE(at + count <= content.size());
    std::memcpy(to, content.data() + at, count);
    at += count;
  });
}

/// A version 1 file from its parts.
std::string file(const std::string& header, const std::string& elements) {
  std::string text("\x93NUMPY\x01\x00", 8);
  text += static_cast<char>(header.size() & 255);
  text += static_cast<char>(header.size() >> 8);
  return text + header + elements;
}

std::string message(const std::string& content) {
  try {
    parse(content);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

/// What make_goldens.py put there.
void check_formula(const Tensor& tensor, const Shape& shape) {
  REQUIRE(tensor.shape() == shape);
  const std::vector<double> values = to_doubles(tensor);
  for (size_t i = 0; i < values.size(); ++i) {
    const auto index = static_cast<double>(i);
    const double expected = tensor.dtype() == DType::boolean ? static_cast<double>(i % 2)
                            : is_signed(tensor.dtype())      ? 3 * index - 7
                                                             : 3 * index;
    REQUIRE(values[i] == expected);
  }
}

}  // namespace

TEST_CASE("archives written by NumPy: every type, byte order and storage order") {
  for (const char* archive : {"stored.npz", "deflated.npz"}) {
    const TensorMap arrays = read_npz(kGolden / archive);
    REQUIRE(arrays.size() == 12 * 4 + 3);
    const std::vector<std::pair<std::string, DType>> types{
        {"f2", DType::float16}, {"f4", DType::float32}, {"f8", DType::float64},
        {"i1", DType::int8},    {"i2", DType::int16},   {"i4", DType::int32},
        {"i8", DType::int64},   {"u1", DType::uint8},   {"u2", DType::uint16},
        {"u4", DType::uint32},  {"u8", DType::uint64},  {"b1", DType::boolean}};
    for (const auto& [key, dtype] : types) {
      for (const char* kind : {"little_", "big_", "fortran_", "big_fortran_"}) {
        CAPTURE(archive, kind, key);
        const Tensor& tensor = arrays.at(kind + key);
        REQUIRE(tensor.dtype() == dtype);
        check_formula(tensor, {2, 3, 4});
      }
    }
    check_formula(arrays.at("scalar"), {});
    check_formula(arrays.at("vector"), {5});
    CHECK(arrays.at("empty").shape() == Shape{3, 0, 2});
  }
}

TEST_CASE("versions 1, 2 and 3") {
  for (const char* archive : {"version1.npz", "version2.npz", "version3.npz"}) {
    check_formula(read_npz(kGolden / archive).at("x"), {2, 3});
  }
  check_formula(read_npy(kGolden / "version1.npy"), {2, 3});
}

TEST_CASE("a written array is byte for byte NumPy's") {
  const test::TemporaryFolder folder;
  write_npy(folder / "x.npy", Tensor::of<float>({2, 3}, {-7, -4, -1, 2, 5, 8}));
  CHECK(read_file(folder / "x.npy") == read_file(kGolden / "version1.npy"));
}

TEST_CASE("what is written reads back, and equal tensors make equal archives") {
  const test::TemporaryFolder folder;
  TensorMap tensors = read_npz(kGolden / "deflated.npz");
  tensors.emplace("layer/weight", Tensor::of<double>({1}, {0.1}));
  write_npz(folder / "a.npz", tensors);
  write_npz(folder / "b.npz", tensors);
  const TensorMap again = read_npz(folder / "a.npz");
  REQUIRE(again.size() == tensors.size());
  for (const auto& [key, tensor] : tensors) CHECK(again.at(key).equals(tensor));
  CHECK(read_file(folder / "a.npz") == read_file(folder / "b.npz"));
  for (const auto& [key, tensor] : tensors) {
    write_npy(folder / "x.npy", tensor);
    REQUIRE(read_npy(folder / "x.npy").equals(tensor));
  }
}

TEST_CASE("types that NumPy lacks are refused before anything is written") {
  const test::TemporaryFolder folder;
  CHECK_THROWS_WITH(write_npy(folder / "x.npy", Tensor(DType::bfloat16, {1})),
                    Contains("bfloat16"));
  TensorMap tensors;
  tensors.emplace("w", Tensor(DType::int4, {2}));
  CHECK_THROWS_WITH(write_npz(folder / "x.npz", tensors),
                    Contains("array \"w\"") && Contains("int4"));
  CHECK_FALSE(std::filesystem::exists(folder / "x.npy"));
  CHECK_FALSE(std::filesystem::exists(folder / "x.npz"));
  tensors.clear();
  tensors.emplace("w", Tensor(DType::int8, {2}));
  CHECK_THROWS_WITH(write_npz(folder / "none/x.npz", tensors), Contains("none/x.npz"));
}

TEST_CASE("headers in other spellings") {
  const std::string four("\x01\x00\x02\x00", 4);
  const auto check = [&](const std::string& header) {
    CAPTURE(header);
    CHECK(to_int64s(parse(file(header, four))) == std::vector<int64_t>{1, 2});
  };
  check("{'shape':(2,),'fortran_order':False,'descr':'<i2'}");
  check("{\"descr\": \"=i2\", \"fortran_order\": True, \"shape\": (2L,)}\n");
  check("  { 'descr' : '<i2' , 'fortran_order' : False , 'shape' : ( 1 , 2 ) , } \n");
}

TEST_CASE("booleans are 0 or 1 whatever the byte") {
  const Tensor tensor =
      parse(file("{'descr': '|b1', 'fortran_order': False, 'shape': (3,)}", {"\x00\x02\xFF", 3}));
  CHECK(static_cast<int>(tensor.raw()[1]) == 1);
  CHECK(static_cast<int>(tensor.raw()[2]) == 1);
}

TEST_CASE("bad files are told apart") {
  const std::string tail = ", 'fortran_order': False, 'shape': (2,)}";
  CHECK_THAT(message(""), Contains("not a NumPy array"));
  CHECK_THAT(message("PK\x03\x04 something"), Contains("not a NumPy array"));
  CHECK_THAT(message(std::string("\x93NUMPY\x04\x00\x00\x00", 10)), Contains("version 4"));
  CHECK_THAT(message(std::string("\x93NUMPY\x01\x00\xFF", 9)), Contains("ends within its header"));
  CHECK_THAT(message(std::string("\x93NUMPY\x02\x00\xFF\xFF\xFF\xFF", 12)),
             Contains("claims 4294967295"));
  CHECK_THAT(message(file("{'descr': '<f4'" + tail, "1234567")),
             Contains("8 bytes") && Contains("truncated"));
  CHECK_THAT(message(file("{'descr': '<f4'" + tail, "123456789")), Contains("but 9 follow"));
  CHECK_THAT(message(file("{'descr': '|O'" + tail, "")), Contains("'|O'") && Contains("astype"));
  CHECK_THAT(message(file("{'descr': '<U5'" + tail, "")), Contains("'<U5'"));
  CHECK_THAT(message(file("{'descr': '<c8'" + tail, "")), Contains("'<c8'"));
  CHECK_THAT(message(file("{'descr': [('a', '<f4')]" + tail, "")), Contains("several fields"));
  CHECK_THAT(message(file("{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}", "")),
             Contains("True or False"));
  CHECK_THAT(message(file("{'descr': '<f4', 'shape': (2,)}", "")), Contains("lacks"));
  CHECK_THAT(message(file("{'descr': '<f4', 'descr': '<f4'" + tail, "")), Contains("twice"));
  CHECK_THAT(message(file("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", "")),
             Contains("at least 0"));
  CHECK_THAT(message(file(
                 "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", "")),
             Contains("extent"));
  CHECK_THAT(message(file(
                 "{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904,)}", "")),
             Contains("too large"));
  CHECK_THAT(
      message(file("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}", "")),
      Contains("truncated"));
  CHECK_THAT(message(file("{'descr': '<f4'" + tail + " + 1", "12345678")),
             Contains("unexpected text"));
  CHECK_THAT(message(file("__import__('os').system('true')", "")), Contains("expected '{'"));
}

TEST_CASE("bad archives name the file and the array") {
  const test::TemporaryFolder folder;
  CHECK_THROWS_WITH(read_npz(folder / "none.npz"), Contains("none.npz"));
  write_file(folder / "text.npz", "no archive");
  CHECK_THROWS_WITH(read_npz(folder / "text.npz"), Contains("text.npz") && Contains("archive"));
  // One flipped bit of the elements: the checksum tells.
  std::string bytes = read_file(kGolden / "version1.npz");
  bytes[30 + 5 + 128 + 3] ^= 1;
  write_file(folder / "flipped.npz", bytes);
  CHECK_THROWS_WITH(read_npz(folder / "flipped.npz"),
                    Contains("flipped.npz") && Contains("array \"x\""));
}

TEST_CASE("damaged files never do more than throw") {
  const test::TemporaryFolder folder;
  Rng rng(11);
  const std::string archive = read_file(kGolden / "version1.npz");
  const std::string array = read_file(kGolden / "version1.npy");
  for (int round = 0; round < 500; ++round) {
    std::string bytes = round % 2 == 0 ? archive : array;
    for (uint32_t i = 0, changes = 1 + rng.below(4); i < changes; ++i) {
      bytes[rng.below(static_cast<uint32_t>(bytes.size()))] = static_cast<char>(rng.below(256));
    }
    if (rng.below(4) == 0) bytes.resize(rng.below(static_cast<uint32_t>(bytes.size())));
    try {
      if (round % 2 == 0) {
        write_file(folder / "x.npz", bytes);
        read_npz(folder / "x.npz");
      } else {
        parse(bytes);
      }
    } catch (const Error& error) {
      REQUIRE(error.kind() != Error::Kind::internal);
    }
  }
}

TEST_CASE("the keyword clips of the assets", "[assets]") {
  QTOOL_NEED_ASSETS();
  const TensorMap arrays = read_npz(std::filesystem::path(QTOOL_ASSETS) / "data/kws_dscnn.npz");
  CHECK(arrays.at("input").shape() == Shape{600, 1, 49, 10});
  CHECK(arrays.at("input").dtype() == DType::float32);
  CHECK(arrays.at("labels").shape() == Shape{600});
  CHECK(arrays.at("labels").dtype() == DType::int64);
}
