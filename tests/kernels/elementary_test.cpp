// SPDX-License-Identifier: Apache-2.0
// The elementary functions of the vector loops against the C library's in double, over all of
// float32's range.
#include <bit>
#include <cmath>
#include <limits>

#include "catch.h"
#include "kernels/host/elementwise.h"
#include "support/rng.h"

using namespace qtool;

namespace {

using Kind = PostOp::Kind;

/// Every 4099th float of each sign, and many between -20 and 20.
std::vector<float> floats() {
  std::vector<float> list;
  for (uint32_t bits = 0; bits < 0x7F800000U; bits += 4099) {
    list.push_back(std::bit_cast<float>(bits));
    list.push_back(-list.back());
  }
  Rng rng(11);
  for (int i = 0; i < 300000; ++i) list.push_back(rng.normal() * (i % 2 == 0 ? 1.0F : 7.0F));
  return list;
}

/// Units in the last place of `wanted` as a float (at least the smallest normal one's).
double unit(double wanted) {
  const double magnitude = std::fmax(std::fabs(wanted), 0x1p-126);
  return std::ldexp(1.0, std::ilogb(magnitude) - 23);
}

struct Worst {
  double units = 0;
  float at = 0;
};

/// Errors count in units of the result, or of `scale(x)` where that is larger.
Worst worst(const PostOp& op, double (*wanted)(double), double (*scale)(double)) {
  const std::vector<float> x = floats();
  std::vector<float> y(x.size());
  apply(op, x.data(), y.data(), static_cast<int64_t>(x.size()));
  Worst result;
  for (size_t i = 0; i < x.size(); ++i) {
    const double exact = wanted(static_cast<double>(x[i]));
    const auto nearest = static_cast<float>(exact);
    if (nearest == y[i] || (std::isnan(nearest) && std::isnan(y[i]))) continue;
    const double larger = std::fmax(std::fabs(exact), std::fabs(scale(static_cast<double>(x[i]))));
    const double units = std::fabs(static_cast<double>(y[i]) - exact) / unit(larger);
    if (!(units <= result.units)) result = {units, x[i]};
  }
  return result;
}

double nothing(double) { return 0; }
double argument(double x) { return x; }
double softplus(double x) { return std::fmax(x, 0) + std::log1p(std::exp(-std::fabs(x))); }

}  // namespace

TEST_CASE("Elementary functions are within a few units in the last place") {
  struct Case {
    const char* name;
    PostOp op;
    double (*wanted)(double);
    double units;
    double (*scale)(double) = nothing;
  };
  for (const Case& item : std::initializer_list<Case>{
           {"exp", {Kind::exp}, std::exp, 2},
           {"log", {Kind::log}, std::log, 2},
           {"erf", {Kind::erf}, std::erf, 4},
           {"tanh", {Kind::tanh}, std::tanh, 4},
           {"sigmoid", {Kind::sigmoid}, [](double x) { return 1 / (1 + std::exp(-x)); }, 4},
           {"softplus", {Kind::softplus}, softplus, 4},
           {"elu", {Kind::elu, 1}, [](double x) { return x < 0 ? std::expm1(x) : x; }, 4},
           {"mish",
            {Kind::mish},
            [](double x) { return x * std::tanh(softplus(x)); },
            8,
            [](double x) { return x * 0x1p-126; }},  // its exp is subnormal there
           {"gelu",
            {Kind::gelu},
            [](double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); },
            4,
            argument},
           {"gelu_tanh",
            {Kind::gelu_tanh},
            [](double x) {
              return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
            },
            4,
            argument}}) {
    const Worst found = worst(item.op, item.wanted, item.scale);
    CAPTURE(item.name, found.units, found.at);
    CHECK(found.units <= item.units);
  }
}

TEST_CASE("Elementary functions at their ends") {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  struct Case {
    Kind kind;
    float low, high;  ///< at the infinities
  };
  for (const auto& [kind, low, high] : std::initializer_list<Case>{{Kind::exp, 0, kInf},
                                                                   {Kind::erf, -1, 1},
                                                                   {Kind::tanh, -1, 1},
                                                                   {Kind::sigmoid, 0, 1},
                                                                   {Kind::softplus, 0, kInf}}) {
    CAPTURE(static_cast<int>(kind));
    CHECK(apply({kind}, -kInf) == low);
    CHECK(apply({kind}, kInf) == high);
    CHECK(std::isnan(apply({kind}, kNan)));
  }
  CHECK(apply({Kind::log}, kInf) == kInf);
  CHECK(apply({Kind::log}, 0) == -kInf);
  CHECK(std::isnan(apply({Kind::log}, -1)));
  CHECK(apply({Kind::elu, 2}, -kInf) == -2);
  for (const Kind kind : {Kind::log, Kind::elu, Kind::selu, Kind::celu, Kind::mish, Kind::gelu,
                          Kind::gelu_tanh, Kind::hard_sigmoid, Kind::shrink, Kind::sign}) {
    CAPTURE(static_cast<int>(kind));
    CHECK(std::isnan(apply({kind, 1, 1}, kNan)));
  }
}
