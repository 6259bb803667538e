// SPDX-License-Identifier: Apache-2.0
#include "tensor/tensor.h"

#include <cmath>
#include <limits>

#include "catch.h"

using namespace qtool;

// The sanitizers otherwise end the program where memory is asked for that no machine has.
extern "C" const char* __asan_default_options() { return "allocator_may_return_null=1"; }
extern "C" const char* __tsan_default_options() { return "allocator_may_return_null=1"; }

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

template <class To, class From>
std::vector<To> cast_all(std::initializer_list<From> values) {
  const Tensor tensor = Tensor::of<From>({static_cast<int64_t>(values.size())}, values);
  const Tensor result = cast(tensor, dtype_of<To>);
  return {result.data<To>().begin(), result.data<To>().end()};
}

}  // namespace

TEST_CASE("element counts are checked") {
  CHECK(element_count({}) == 1);
  CHECK(element_count({2, 3, 4}) == 24);
  CHECK(element_count({2, 0, 4}) == 0);
  CHECK_THROWS_AS(element_count({2, -1}), Error);
  CHECK_THROWS_AS(element_count({int64_t{1} << 32, int64_t{1} << 31}), Error);
  CHECK_THROWS_AS(storage_bytes(DType::float32, int64_t{1} << 60), Error);
  CHECK(storage_bytes(DType::int4, 3) == 2);
  CHECK(storage_bytes(DType::float64, 3) == 24);
  CHECK_THROWS_AS(Tensor(DType::float32, {int64_t{1} << 50}), Error);
}

TEST_CASE("shapes as text, strides, broadcasting") {
  CHECK(to_string(Shape{}) == "[]");
  CHECK(to_string(Shape{1, 3, 224}) == "[1,3,224]");
  CHECK(row_major_strides({2, 3, 4}) == std::vector<int64_t>{12, 4, 1});
  CHECK(broadcast({2, 3}, {2, 3}) == Shape{2, 3});
  CHECK(broadcast({}, {4}) == Shape{4});
  CHECK(broadcast({8, 1, 6, 1}, {7, 1, 5}) == Shape{8, 7, 6, 5});  // NumPy's own example
  CHECK(broadcast({1}, {0}) == Shape{0});
  CHECK_FALSE(broadcast({2}, {3}));
  CHECK_FALSE(broadcast({0}, {3}));
  CHECK_FALSE(broadcast({2, 1}, {8, 4, 3}));
}

TEST_CASE("tensors own aligned zeros, move, clone and compare") {
  Tensor tensor(DType::float32, {2, 3});
  CHECK(reinterpret_cast<uintptr_t>(tensor.raw()) % 64 == 0);
  for (const float value : tensor.data<float>()) CHECK(value == 0);
  tensor.data<float>()[4] = 7;
  const Tensor copy = tensor.clone();
  CHECK(copy.equals(tensor));
  tensor.data<float>()[4] = 8;
  CHECK_FALSE(copy.equals(tensor));
  CHECK(copy.data<float>()[4] == 7);
  const Tensor moved = std::move(tensor).reshaped({3, 2});
  CHECK(moved.shape() == Shape{3, 2});
  CHECK(moved.view().as<float>()[4] == 8);
  CHECK_FALSE(moved.equals(copy));
  CHECK(Tensor().clone().dtype() == DType::undefined);
  CHECK(Tensor::scalar<int64_t>(5).shape().empty());
}

TEST_CASE("wrong use of a tensor is a reported bug") {
  Tensor tensor(DType::float32, {2});
  CHECK_THROWS_AS(tensor.data<double>(), Error);
  CHECK_THROWS_AS(tensor.strings(), Error);
  CHECK_THROWS_AS(std::move(tensor).reshaped({3}), Error);
  CHECK_THROWS_AS(Tensor::of<float>({3}, {1.F, 2.F}), Error);
}

TEST_CASE("a tensor in foreign memory keeps its owner and is read-only") {
  auto owner = std::make_shared<std::vector<float>>(std::vector<float>{1, 2, 3});
  const std::weak_ptr<std::vector<float>> watch = owner;
  {
    Tensor tensor = Tensor::in_place(DType::float32, {3}, std::as_bytes(std::span(*owner)), owner);
    owner.reset();
    CHECK_FALSE(watch.expired());
    CHECK(std::as_const(tensor).data<float>()[2] == 3);
    CHECK_THROWS_AS(tensor.raw(), Error);
    Tensor copy = tensor.clone();
    copy.data<float>()[0] = 9;
    CHECK(std::as_const(tensor).data<float>()[0] == 1);
  }
  CHECK(watch.expired());
}

TEST_CASE("casting floats to integers truncates and saturates") {
  CHECK(cast_all<int8_t>({1.9, -1.9, 127.5, 200.0, -128.9, -300.0, kInfinity, -kInfinity, kNaN}) ==
        std::vector<int8_t>{1, -1, 127, 127, -128, -128, 127, -128, 0});
  CHECK(cast_all<uint8_t>({-0.5F, 254.99F, 255.0F, 256.0F}) ==
        std::vector<uint8_t>{0, 254, 255, 255});
  CHECK(cast_all<int64_t>({0x1p63, -0x1p63, 0x1p62, -0x1p64}) ==
        std::vector<int64_t>{INT64_MAX, INT64_MIN, int64_t{1} << 62, INT64_MIN});
  CHECK(cast_all<int32_t>({0x1p31F, -0x1p31F, 2147483520.0F}) ==
        std::vector<int32_t>{INT32_MAX, INT32_MIN, 2147483520});
  CHECK(cast_all<uint64_t>({0x1p64F, -1.0F}) == std::vector<uint64_t>{UINT64_MAX, 0});
}

TEST_CASE("casting to and from boolean, halves and between integers") {
  CHECK(cast_all<bool>({0.0F, -0.0F, 0.25F, -3.0F}) == std::vector<bool>{false, false, true, true});
  CHECK(cast_all<float>({true, false}) == std::vector<float>{1, 0});
  CHECK(cast_all<int8_t>({300, -1, 128}) == std::vector<int8_t>{44, -1, -128});  // modulo 2^8
  CHECK(cast_all<Float16>({1.0F, 65520.0F, 0x1p-25F}) ==
        std::vector<Float16>{{0x3C00}, {0x7C00}, {0x0000}});
  CHECK(cast_all<int32_t>(
            {Float16{0xC500}, BFloat16::from(9).bits == 0 ? Float16{} : Float16{0x3C00}}) ==
        std::vector<int32_t>{-5, 1});
  CHECK(cast_all<BFloat16>({int32_t{3}}) == std::vector<BFloat16>{{0x4040}});
  CHECK_THROWS_AS(cast(Tensor::of_strings({1}, {"a"}), DType::float32), Error);
  CHECK_THROWS_AS(cast(Tensor::scalar(1.0F), DType::complex64), Error);
}

TEST_CASE("wide numbers are rounded to a half once") {
  // Rounding to float first would put these on a tie of float16 (bfloat16) and lose the last step.
  CHECK(cast_all<Float16>({1 + 0x1p-11 + 0x1p-40}) == std::vector<Float16>{{0x3C01}});
  CHECK(cast_all<Float16>({1 + 0x1p-11}) == std::vector<Float16>{{0x3C00}});
  CHECK(cast_all<Float16>({-(1 + 3 * 0x1p-11 - 0x1p-40)}) == std::vector<Float16>{{0xBC01}});
  CHECK(cast_all<BFloat16>({1 + 0x1p-8 + 0x1p-40}) == std::vector<BFloat16>{{0x3F81}});
  CHECK(cast_all<BFloat16>({int64_t{(1 << 30) + (1 << 22) + 1}}) ==
        std::vector<BFloat16>{{0x4E81}});
  CHECK(cast_all<Float16>({kInfinity, -0.0, 1e300}) ==
        std::vector<Float16>{{0x7C00}, {0x8000}, {0x7C00}});
}

TEST_CASE("4-bit elements are packed low half first") {
  const Tensor wide = Tensor::of<int32_t>({5}, {-8, 7, -1, 3, 100});
  const Tensor packed = cast(wide, DType::int4);
  REQUIRE(packed.bytes() == 3);
  CHECK(packed.raw()[0] == std::byte{0x78});
  CHECK(packed.raw()[1] == std::byte{0x3F});
  CHECK(packed.raw()[2] == std::byte{0x07});  // saturated; the unused half is zero
  CHECK(to_int64s(packed) == std::vector<int64_t>{-8, 7, -1, 3, 7});
  const Tensor unsigned_packed = cast(wide, DType::uint4);
  CHECK(to_int64s(unsigned_packed) == std::vector<int64_t>{0, 7, 0, 3, 15});
  CHECK(to_floats(packed) == std::vector<float>{-8, 7, -1, 3, 7});
  CHECK(cast(packed, DType::int8).data<int8_t>()[0] == -8);
}

TEST_CASE("elements as doubles, floats and integers") {
  const Tensor halves = Tensor::of<Float16>({2}, {Float16{0x3E00}, Float16{0xC000}});
  CHECK(to_doubles(halves) == std::vector<double>{1.5, -2});
  CHECK(to_int64s(halves) == std::vector<int64_t>{1, -2});
  CHECK(to_floats(Tensor::of<uint8_t>({2}, {uint8_t{255}, uint8_t{0}})) ==
        std::vector<float>{255, 0});
  CHECK_THROWS_AS(to_doubles(Tensor::of_strings({1}, {"a"})), Error);
}
