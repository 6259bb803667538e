// SPDX-License-Identifier: Apache-2.0
// Elements by hand against the rules in onnx.proto.
#include <cstring>

#include "messages.h"
#include "support/file.h"

using namespace qtool;
using test::bytes_of;
using test::message;

namespace {

Tensor tensor_of(const std::string& text) {
  return parse_tensor(bytes_of(message<onnx::TensorProto>(text).SerializeAsString()));
}

std::string raw_of(const Tensor& tensor) {
  return {reinterpret_cast<const char*>(tensor.raw()), tensor.bytes()};
}

std::string error_of(const std::string& text) {
  try {
    tensor_of(text);
  } catch (const Error& error) {
    CHECK(error.kind() == Error::Kind::input);
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("elements in typed fields", "[onnx_io]") {
  CHECK(tensor_of("data_type: 1 dims: [2] float_data: [1.5, -2]")
            .equals(Tensor::of<float>({2}, {1.5F, -2.0F})));
  CHECK(tensor_of("data_type: 11 double_data: 0.1").equals(Tensor::scalar(0.1)));
  CHECK(tensor_of("data_type: 7 dims: [2] int64_data: [-1, 9223372036854775807]")
            .equals(Tensor::of<int64_t>({2}, {-1, INT64_MAX})));
  CHECK(tensor_of("data_type: 6 int32_data: -2147483648").equals(Tensor::scalar(INT32_MIN)));
  CHECK(tensor_of("data_type: 3 dims: [2] int32_data: [-128, 127]")
            .equals(Tensor::of<int8_t>({2}, {-128, 127})));
  CHECK(tensor_of("data_type: 2 int32_data: 255").equals(Tensor::scalar<uint8_t>(255)));
  CHECK(tensor_of("data_type: 5 int32_data: -32768").equals(Tensor::scalar<int16_t>(-32768)));
  CHECK(tensor_of("data_type: 4 int32_data: 65535").equals(Tensor::scalar<uint16_t>(65535)));
  CHECK(tensor_of("data_type: 12 uint64_data: 4294967295").equals(Tensor::scalar(UINT32_MAX)));
  CHECK(tensor_of("data_type: 13 uint64_data: 18446744073709551615")
            .equals(Tensor::scalar(UINT64_MAX)));
  CHECK(raw_of(tensor_of("data_type: 9 dims: [3] int32_data: [0, 1, 2]")) ==
        std::string("\0\1\1", 3));
  // 1.0 is 0x3C00 in binary16 and 0x3F80 in bfloat16: as bits.
  CHECK(tensor_of("data_type: 10 int32_data: 15360").data<Float16>()[0].to_float() == 1.0F);
  CHECK(tensor_of("data_type: 16 int32_data: 16256").data<BFloat16>()[0].to_float() == 1.0F);
  CHECK(tensor_of("data_type: 8 dims: [2] string_data: ['a', '']").strings() ==
        std::vector<std::string>{"a", ""});
  CHECK(tensor_of("data_type: 14 dims: [1] float_data: [1, 2]").bytes() == 8);
  CHECK(tensor_of("data_type: 15 dims: [1] double_data: [1, 2]").bytes() == 16);
}

TEST_CASE("element types that the installed onnx library may not know", "[onnx_io]") {
  CHECK(raw_of(tensor_of("data_type: 17 dims: [2] int32_data: [56, 255]")) == "\x38\xff");
  // Two to an int32, the first in the low half: 3 elements take 2 numbers.
  const Tensor packed = tensor_of("data_type: 22 dims: [3] int32_data: [0x81, 0x07]");
  CHECK(packed.dtype() == DType::int4);
  CHECK(to_int64s(packed) == std::vector<int64_t>{1, -8, 7});
  CHECK(to_int64s(tensor_of(R"(data_type: 21 dims: [3] raw_data: "\x81\x07")")) ==
        std::vector<int64_t>{1, 8, 7});
  CHECK(tensor_of(R"(data_type: 23 dims: [4] raw_data: "\x12\x34")").dtype() == DType::float4e2m1);
  for (int type = 17; type <= 23; ++type) {
    const std::string head = "data_type: " + std::to_string(type) + " dims: [4] ";
    const Tensor tensor =
        tensor_of(head + (type < 21 ? "int32_data: [1, 2, 3, 4]" : "int32_data: [1, 2]"));
    CHECK(parse_tensor(bytes_of(serialize_tensor(tensor))).equals(tensor));
  }
}

TEST_CASE("elements in raw_data, small and large", "[onnx_io]") {
  CHECK(tensor_of(R"(data_type: 1 raw_data: "\x00\x00\x80\x3f")").equals(Tensor::scalar(1.0F)));
  CHECK(raw_of(tensor_of(R"(data_type: 9 dims: [2] raw_data: "\x80\x00")")) ==
        std::string("\1\0", 2));
  CHECK(tensor_of("data_type: 1 dims: [0, 3]").size() == 0);
  onnx::TensorProto large;
  large.set_data_type(onnx::TensorProto::DOUBLE);
  large.add_dims(5000);
  std::vector<double> elements(5000);
  for (size_t i = 0; i < elements.size(); ++i) elements[i] = static_cast<double>(i) / 7;
  large.set_raw_data(elements.data(), elements.size() * sizeof(double));
  const Tensor tensor = parse_tensor(bytes_of(large.SerializeAsString()));
  CHECK(std::ranges::equal(tensor.data<double>(), elements));
  CHECK(reinterpret_cast<uintptr_t>(tensor.raw()) % alignof(double) == 0);
}

TEST_CASE("a tensor is written with its name", "[onnx_io]") {
  onnx::TensorProto proto;
  REQUIRE(proto.ParseFromString(serialize_tensor(Tensor::of<int16_t>({1, 2}, {1, -1}), "t")));
  CHECK(proto.name() == "t");
  CHECK(proto.data_type() == onnx::TensorProto::INT16);
  CHECK(proto.dims_size() == 2);
  CHECK(proto.raw_data() == std::string("\1\0\xff\xff", 4));
  REQUIRE(proto.ParseFromString(serialize_tensor(Tensor::of_strings({1}, {"x"}))));
  CHECK(proto.string_data(0) == "x");
  CHECK(!proto.has_raw_data());
}

TEST_CASE("tensors that do not add up are refused", "[onnx_io]") {
  CHECK(error_of("data_type: 1 dims: [3] raw_data: 'abcd'") ==
        "float[3] takes 12 bytes; the file has 4");
  CHECK(error_of("data_type: 1 dims: [1] raw_data: 'abcde'") ==
        "float[1] takes 4 bytes; the file has 5");
  CHECK(error_of("data_type: 22 dims: [3] raw_data: 'abc'") ==
        "int4[3] takes 2 bytes; the file has 3");
  CHECK(error_of("data_type: 7 dims: [2]") == "int64[2] takes 2 numbers; the file has 0");
  CHECK(error_of("data_type: 14 dims: [2] float_data: [1, 2]") ==
        "complex64[2] takes 4 numbers; the file has 2");
  CHECK(error_of("data_type: 8 dims: [2] string_data: 'a'") ==
        "string[2] takes 2 strings; the file has 1");
  CHECK(error_of("data_type: 8 dims: [1] raw_data: 'a'") == "strings cannot be in raw_data");
  CHECK(error_of("data_type: 3 dims: [1] int32_data: 128") ==
        "its number 0 is 128, which does not fit int8");
  CHECK(error_of("data_type: 12 dims: [1] uint64_data: 4294967296") ==
        "its number 0 is 4294967296, which does not fit uint32");
  CHECK(error_of("data_type: 1 dims: [1] int32_data: 1") ==
        "its elements are stored twice, or in a field that is not for float");
  CHECK(error_of("data_type: 1 dims: [1] float_data: 1 raw_data: 'abcd'") ==
        "its elements are stored twice, or in a field that is not for float");
  CHECK(error_of("data_type: 1 dims: [-1] raw_data: ''") == "the shape [-1] has a negative extent");
  CHECK(error_of("data_type: 1 dims: [4294967296, 4294967296]") ==
        "the shape [4294967296,4294967296] has too many elements");
  CHECK(error_of("data_type: 11 dims: [2305843009213693952]") ==
        "a tensor of 2305843009213693952 elements is too large");
  CHECK(error_of("data_type: 1 dims: [1099511627776]") ==
        "float[1099511627776] takes 1099511627776 numbers; the file has 0");
  CHECK(error_of("data_type: 99 dims: [1]") ==
        "its element type has the number 99, which qtool does not know");
  CHECK(error_of("dims: [1]") == "its element type has the number 0, which qtool does not know");
  CHECK(error_of("data_type: 1 dims: [1] data_location: EXTERNAL external_data { key: 'location' "
                 "value: 'x' }") == "it has external data, which is not read here");
  CHECK_THROWS_AS(parse_tensor({}), Error);
  CHECK_THROWS_AS(parse_tensor(bytes_of("\x0a\xff garbage")), Error);
}
