// SPDX-License-Identifier: Apache-2.0
// Kernels of several broadcast operands against an odometer: comparisons, selection, folds, casts.
#include <cmath>
#include <limits>

#include "catch.h"
#include "kernels/host/elementwise.h"
#include "kernels/host/reduce.h"
#include "kernels/run.h"
#include "support/rng.h"

using namespace qtool;

namespace {

struct Operand {
  std::vector<int64_t> strides;
  int64_t elements = 1;

  /// Broadcast in a third of the dimensions.
  Operand(Rng& rng, const Shape& extents) : strides(extents.size(), 0) {
    for (size_t d = extents.size(); d-- > 0;) {
      if (rng.below(3) == 0) continue;
      strides[d] = elements;
      elements *= std::max<int64_t>(extents[d], 1);
    }
  }

  /// Where the operand's element for the output's i-th is.
  size_t place(const Shape& extents, int64_t i) const {
    int64_t at = 0;
    for (size_t d = extents.size(); d-- > 0;) {
      at += i % extents[d] * strides[d];
      i /= extents[d];
    }
    return static_cast<size_t>(at);
  }

  std::vector<float> values(Rng& rng) const {
    std::vector<float> list(static_cast<size_t>(elements));
    for (float& value : list) value = static_cast<float>(rng.below(5)) - 2;  // many equals
    return list;
  }
};

Shape random_extents(Rng& rng) {
  Shape extents;
  const uint32_t rank = rng.below(5);
  for (uint32_t d = 0; d < rank; ++d) extents.push_back(rng.below(30) == 0 ? 0 : 1 + rng.below(20));
  return extents;
}

bool compared(CompareOp op, float a, float b) {
  switch (op) {
    case CompareOp::equal: return a == b;
    case CompareOp::greater: return a > b;
    case CompareOp::greater_or_equal: return a >= b;
    case CompareOp::less: return a < b;
    case CompareOp::less_or_equal: return a <= b;
  }
  return false;
}

}  // namespace

TEST_CASE("Comparisons and selections of broadcast operands") {
  Rng rng(31);
  for (int round = 0; round < 300; ++round) {
    const Shape extents = random_extents(rng);
    const Operand a(rng, extents);
    const Operand b(rng, extents);
    const Operand c(rng, extents);
    const std::vector<float> x = a.values(rng);
    const std::vector<float> z = b.values(rng);
    const auto op = static_cast<CompareOp>(rng.below(5));
    const auto count = static_cast<size_t>(element_count(extents));
    const auto flags = std::make_unique<bool[]>(count + 1);
    test::run(*make_compare(op, DType::float32, extents, a.strides, b.strides).kernel,
              {x.data(), z.data()}, {flags.get()});
    const auto condition = std::make_unique<bool[]>(static_cast<size_t>(c.elements));
    for (int64_t i = 0; i < c.elements; ++i) condition[static_cast<size_t>(i)] = rng.below(2) == 0;
    std::vector<float> chosen(count);
    test::run(*make_select(4, extents, c.strides, a.strides, b.strides).kernel,
              {condition.get(), x.data(), z.data()}, {chosen.data()});
    CAPTURE(round, to_string(extents));
    for (size_t i = 0; i < count; ++i) {
      const auto at = static_cast<int64_t>(i);
      const float p = x[a.place(extents, at)];
      const float q = z[b.place(extents, at)];
      REQUIRE(flags[i] == compared(op, p, q));
      REQUIRE(chosen[i] == (condition[c.place(extents, at)] ? p : q));
    }
  }
}

TEST_CASE("Folds over two to five broadcast operands, with what comes behind") {
  Rng rng(32);
  for (int round = 0; round < 300; ++round) {
    const Shape extents = random_extents(rng);
    const auto count = static_cast<size_t>(element_count(extents));
    std::vector<Operand> operands;
    std::vector<std::vector<float>> values;
    std::vector<std::vector<int64_t>> strides;
    std::vector<const void*> pointers;
    const size_t arity = 2 + rng.below(4);
    for (size_t k = 0; k < arity; ++k) {
      operands.emplace_back(rng, extents);
      values.push_back(operands.back().values(rng));
      strides.push_back(operands.back().strides);
    }
    for (const auto& list : values) pointers.push_back(list.data());
    const std::vector<PostOp> half{{PostOp::Kind::linear, 0.5F, 1}};
    std::vector<float> y(count);
    void* const out = y.data();
    const MadeKernel made = make_fold(BinaryOp::subtract, extents, strides, half);
    REQUIRE(made.kernel != nullptr);
    made.kernel->run({pointers, {&out, 1}, nullptr});
    CAPTURE(round, arity, to_string(extents));
    for (size_t i = 0; i < count; ++i) {
      const auto at = static_cast<int64_t>(i);
      float wanted = values[0][operands[0].place(extents, at)];
      for (size_t k = 1; k < arity; ++k) wanted -= values[k][operands[k].place(extents, at)];
      REQUIRE(y[i] == wanted / 2 + 1);
    }
  }
}

TEST_CASE("Casts of many elements, and types that cannot be cast") {
  std::vector<float> x(100003);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 1000) / 2 - 200;
  std::vector<int8_t> y(x.size());
  test::run(*make_cast(DType::float32, DType::int8, static_cast<int64_t>(x.size())).kernel,
            {x.data()}, {y.data()});
  for (size_t i = 0; i < x.size(); ++i) {
    REQUIRE(y[i] == static_cast<int>(std::fmin(std::fmax(std::trunc(x[i]), -128.0F), 127.0F)));
  }
  for (const DType dtype : {DType::string, DType::complex64, DType::complex128, DType::int4,
                            DType::float8e4m3fn, DType::float4e2m1}) {
    CHECK(make_cast(DType::float32, dtype, 1).kernel == nullptr);
    CHECK(make_cast(dtype, DType::float32, 1).kernel == nullptr);
  }
}
