// SPDX-License-Identifier: Apache-2.0
#include "ops/op_case.h"
#include "support/rng.h"

namespace qtool::test {

namespace {

Constant bytes(const Shape& shape, uint64_t seed) {
  Tensor tensor(DType::uint8, shape);
  Rng rng(seed);
  for (uint8_t& byte : tensor.data<uint8_t>()) byte = static_cast<uint8_t>(rng.below(256));
  return make_constant(std::move(tensor));
}

CaseAttributes attributes(int64_t k, int64_t n, int64_t bits, int64_t block) {
  return {{"K", k}, {"N", n}, {"bits", bits}, {"block_size", block}};
}

OpCase packed(std::string name, CaseAttributes of, std::vector<Constant> inputs,
              std::vector<Constant> expected = {}, std::string error = {}) {
  return {.name = std::move(name),
          .op = "com.microsoft.MatMulNBits",
          .attributes = std::move(of),
          .inputs = std::move(inputs),
          .constants = {1, 2, 3, 4, 5},
          .expected = std::move(expected),
          .error = std::move(error)};
}

/// 0x98 holds the codes 8 and 9: without zero points 0 and 1.
Constant ones_and_zeros() {
  Tensor tensor(DType::uint8, {1, 1, 8});
  for (uint8_t& byte : tensor.data<uint8_t>()) byte = 0x98;
  return make_constant(std::move(tensor));
}

}  // namespace

std::vector<OpCase> matmul_nbits_cases() {
  const Constant a = f32({1, 3}, {1, 10, 100});
  const Constant scale = f32({1}, {0.5F});
  const auto three = attributes(3, 1, 4, 16);
  return {
      packed("low bits first, zero point 8, a block that is not full", three,
             {a, ones_and_zeros(), scale}, {f32({1, 1}, {5})}),
      packed("a zero point", three, {a, ones_and_zeros(), scale, u8({1}, {7})},
             {f32({1, 1}, {60.5F})}),
      packed("blocks of two rows, 4 bits", attributes(40, 3, 4, 16),
             {noise({2, 5, 40}), bytes({3, 3, 8}, 1), noise({9}, 2)}),
      packed("with zero points, an odd number of blocks", attributes(40, 3, 4, 16),
             {noise({7, 40}), bytes({3, 3, 8}, 3), noise({9}, 4), bytes({6}, 5)}),
      packed("8 bits", attributes(32, 5, 8, 32),
             {noise({4, 32}), bytes({5, 1, 32}, 6), noise({5}, 7), bytes({5}, 8)}),
      packed("blocks of 0", attributes(3, 1, 4, 0), {a, ones_and_zeros(), scale}, {},
             "powers of two"),
      packed("rows of another length", attributes(4, 1, 4, 16), {a, ones_and_zeros(), scale}, {},
             "K is 4"),
      packed("too few codes", attributes(3, 2, 4, 16), {a, ones_and_zeros(), f32({2}, {1, 1})}, {},
             "bytes of codes"),
      packed("too few scales", attributes(17, 1, 4, 16),
             {noise({1, 17}), bytes({1, 2, 8}, 1), scale}, {}, "scales"),
  };
}

}  // namespace qtool::test
