// SPDX-License-Identifier: Apache-2.0
// quantize, dequantize and fake_quantize against the scalar functions and indices worked out anew.
#include <cstring>
#include <limits>

#include "catch.h"
#include "numerics/affine.h"
#include "support/rng.h"

using namespace qtool;

namespace {

Tensor random_tensor(const Shape& shape, Rng& rng) {
  Tensor tensor(DType::float32, shape);
  for (float& value : tensor.data<float>()) value = 3 * rng.normal();
  if (tensor.size() > 4) {
    tensor.data<float>()[1] = std::numeric_limits<float>::quiet_NaN();
    tensor.data<float>()[2] = std::numeric_limits<float>::infinity();
    tensor.data<float>()[3] = -0.0F;
  }
  return tensor;
}

QuantParams random_params(QuantType type, size_t count, std::optional<int> axis, int64_t block,
                          Rng& rng) {
  std::vector<float> scales;
  std::vector<int32_t> zero_points;
  for (size_t i = 0; i < count; ++i) {
    scales.push_back(0.01F + rng.uniform());
    const auto codes = static_cast<uint32_t>(type.highest() - type.lowest() + 1);
    zero_points.push_back(type.lowest() + static_cast<int32_t>(rng.below(codes)));
  }
  return checked_params(type, scales, zero_points, axis, block);
}

/// ONNX's words, one coordinate after another: the scale of an element has the element's
/// coordinates where it has a dimension at all, divided by the block size along the axis.
size_t scale_index(const Shape& shape, int64_t element, const QuantParams& params) {
  if (!params.axis) return 0;
  std::vector<int64_t> place(shape.size());
  for (size_t d = shape.size(); d-- > 0;) {
    place[d] = element % shape[d];
    element /= shape[d];
  }
  const auto axis = static_cast<size_t>(*params.axis);
  if (params.block_size == 0) return static_cast<size_t>(place[axis]);
  int64_t index = 0;
  for (size_t d = 0; d < shape.size(); ++d) {
    const bool along = d == axis;
    const int64_t extent =
        along ? (shape[d] + params.block_size - 1) / params.block_size : shape[d];
    index = index * extent + (along ? place[d] / params.block_size : place[d]);
  }
  return static_cast<size_t>(index);
}

void check_against_scalar(const Tensor& real, const QuantParams& params) {
  const Tensor codes = quantize(real, params);
  const Tensor back = dequantize(codes, params);
  const Tensor fake = fake_quantize(real, params);
  REQUIRE(codes.dtype() == params.type.storage());
  REQUIRE(codes.shape() == real.shape());
  REQUIRE(fake.equals(back));
  const auto integers = to_int64s(codes);
  for (int64_t i = 0; i < real.size(); ++i) {
    const auto e = static_cast<size_t>(i);
    const size_t s = scale_index(real.shape(), i, params);
    const int32_t code =
        quantize_value(real.data<float>()[e], params.scale[s], params.zero_point[s],
                       params.type.lowest(), params.type.highest());
    CAPTURE(i, s);
    REQUIRE(integers[e] == code);
    REQUIRE(back.data<float>()[e] == dequantize_value(code, params.scale[s], params.zero_point[s]));
  }
}

}  // namespace

TEST_CASE("per tensor, per channel, blocked, for all grids") {
  Rng rng(3);
  const std::vector<QuantType> types{{8, true, false},  {8, false, false}, {4, true, false},
                                     {4, false, false}, {2, true, true},   {3, false, false},
                                     {7, true, false},  {9, false, false}, {16, true, false}};
  const std::vector<Shape> shapes{{},     {1},          {7},      {0},      {3, 0, 2},
                                  {5, 4}, {2, 6, 3, 5}, {64, 33}, {1, 1, 1}};
  for (const QuantType& type : types) {
    for (const Shape& shape : shapes) {
      CAPTURE(to_string(type), to_string(shape));
      const Tensor real = random_tensor(shape, rng);
      check_against_scalar(real, random_params(type, 1, {}, 0, rng));
      for (int axis = 0; axis < static_cast<int>(shape.size()); ++axis) {
        const int64_t extent = shape[static_cast<size_t>(axis)];
        check_against_scalar(real, random_params(type, static_cast<size_t>(extent), axis, 0, rng));
        for (const int64_t block : {int64_t{1}, int64_t{2}, int64_t{4}, int64_t{100}}) {
          Shape blocked = shape;
          blocked[static_cast<size_t>(axis)] = (extent + block - 1) / block;
          const auto scales = static_cast<size_t>(element_count(blocked));
          check_against_scalar(real, random_params(type, scales, axis, block, rng));
        }
      }
    }
  }
}

TEST_CASE("4-bit codes are packed two to a byte, the first in the low half") {
  const Tensor real = Tensor::of<float>({5}, {-8, 7, 1, -1, 3});
  const QuantParams params = checked_params({4, true, false}, {1}, {0});
  const Tensor codes = quantize(real, params);
  CHECK(codes.dtype() == DType::int4);
  const std::vector<uint8_t> bytes{0x78, 0xF1, 0x03};
  REQUIRE(codes.bytes() == bytes.size());
  CHECK(std::memcmp(codes.raw(), bytes.data(), bytes.size()) == 0);
  CHECK(dequantize(codes, params).equals(real));
}

TEST_CASE("codes of a small grid may stand in a wider type") {
  const Tensor codes = Tensor::of<int8_t>({3}, {-8, 0, 7});
  const Tensor real = dequantize(codes, checked_params({4, true, false}, {0.5F}, {-1}));
  CHECK(real.equals(Tensor::of<float>({3}, {-3.5F, 0.5F, 4})));
}

TEST_CASE("parameters that do not fit the tensor are a bug of the caller") {
  const Tensor real(DType::float32, {2, 3});
  const QuantType type;
  for (const QuantParams& params :
       {checked_params(type, {1, 1, 1}, {0, 0, 0}, 0), checked_params(type, {1}, {0}, 2),
        checked_params(type, {1, 1}, {0, 0}, 1, 2)}) {
    CHECK_THROWS_AS(quantize(real, params), Error);
    CHECK_THROWS_AS(fake_quantize(real, params), Error);
  }
}
