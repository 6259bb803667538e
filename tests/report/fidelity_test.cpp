// SPDX-License-Identifier: Apache-2.0
#include "report/fidelity.h"

#include <cmath>
#include <limits>

#include "catch.h"
#include "support/rng.h"

using namespace qtool;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

Fidelity compare(Shape shape, std::initializer_list<float> reference,
                 std::initializer_list<float> other) {
  FidelityMetrics metrics;
  metrics.add(Tensor::of<float>(shape, reference), Tensor::of<float>(shape, other));
  return metrics.result();
}

}  // namespace

TEST_CASE("fidelity of a worked example") {
  // sum r^2 = 25, sum q^2 = 18, sum r q = 21, sum (q - r)^2 = 1.
  const Fidelity f = compare({1, 2}, {3, 4}, {3, 3});
  CHECK_FALSE(f.exact);
  CHECK(*f.sqnr_db == Approx(13.979400086720376).epsilon(1e-14));
  CHECK(*f.cosine == Approx(21 / (5 * 4.242640687119285)).epsilon(1e-14));
  CHECK(f.max_abs_error == 1.0);
  CHECK(f.mse == 0.5);
  CHECK(f.agreement == 0.0);  // 4 is the larger of the first, 3 at index 0 of the second
  CHECK(f.nonfinite == 0);
}

TEST_CASE("SQNR is taken over all samples at once, not averaged") {
  // 10 log10((9 + 16) / (0 + 4)); the first sample alone would have no bound.
  const Fidelity f = compare({2, 2}, {3, 0, 0, 4}, {3, 0, 0, 2});
  CHECK(*f.sqnr_db == Approx(7.958800173440752).epsilon(1e-14));
  CHECK(f.agreement == 1.0);
  CHECK(f.mse == 1.0);
  CHECK(f.max_abs_error == 2.0);
}

TEST_CASE("equal outputs are exact and have no SQNR") {
  const Fidelity f = compare({1, 4}, {0, kInf, kNan, 2}, {-0.0F, kInf, kNan, 2});
  CHECK(f.exact);
  CHECK_FALSE(f.sqnr_db);
  CHECK(f.cosine == 1.0);
  CHECK(f.mse == 0.0);
  CHECK(f.max_abs_error == 0.0);
  CHECK(f.agreement == 1.0);
}

TEST_CASE("a NaN or infinity on one side only leaves nothing but its count and the agreement") {
  const Fidelity f = compare({1, 5}, {1, 2, kInf, kNan, 9}, {kNan, kInf, -kInf, 0, 9});
  CHECK(f.nonfinite == 4);
  CHECK_FALSE(f.exact);
  CHECK_FALSE(f.sqnr_db);
  CHECK_FALSE(f.cosine);
  CHECK_FALSE(f.mse);
  CHECK_FALSE(f.max_abs_error);
  CHECK(f.agreement == 0.0);  // index 2 against index 1
}

TEST_CASE("a reference of zeros has neither SQNR nor cosine") {
  const Fidelity f = compare({1, 2}, {0, 0}, {1, 0});
  CHECK_FALSE(f.exact);
  CHECK_FALSE(f.sqnr_db);
  CHECK_FALSE(f.cosine);
  CHECK(f.mse == 0.5);
}

TEST_CASE("outputs without classes have no agreement") {
  CHECK_FALSE(compare({1, 2, 2}, {1, 2, 3, 4}, {1, 2, 3, 5}).agreement);
  CHECK_FALSE(compare({3, 1}, {1, 2, 3}, {1, 2, 3}).agreement);
  CHECK_FALSE(compare({}, {1}, {2}).agreement);
}

TEST_CASE("nothing compared, nothing said") {
  FidelityMetrics metrics;
  CHECK(metrics.result() == Fidelity{});
  metrics.add(Tensor(DType::float32, {0, 10}), Tensor(DType::float32, {0, 10}));
  CHECK(metrics.result() == Fidelity{});
}

TEST_CASE("element types may differ") {
  FidelityMetrics metrics;
  metrics.add(Tensor::of<double>({1, 2}, {3, 4}), Tensor::of<float>({1, 2}, {3, 3}));
  CHECK(*metrics.result().sqnr_db == Approx(13.979400086720376).epsilon(1e-14));
}

TEST_CASE("magnitudes beyond double's squares give no number, not a wrong one") {
  FidelityMetrics metrics;
  metrics.add(Tensor::of<double>({1, 2}, {1e200, 1}), Tensor::of<double>({1, 2}, {2e200, 1}));
  const Fidelity f = metrics.result();
  CHECK_FALSE(f.sqnr_db);
  CHECK_FALSE(f.mse);
  CHECK(f.max_abs_error == 1e200);
}

TEST_CASE("fidelity does not depend on the batch size, and is what the formula says") {
  constexpr int64_t kSamples = 30, kElements = 40;
  Rng rng(11);
  std::vector<float> reference, other;
  long double signal = 0, noise = 0, product = 0, energy = 0;
  for (int64_t i = 0; i < kSamples * kElements; ++i) {
    reference.push_back(rng.normal());
    other.push_back(reference.back() + 0.01F * rng.normal());
    const long double r = reference.back(), q = other.back();
    signal += r * r;
    energy += q * q;
    product += r * q;
    noise += (q - r) * (q - r);
  }
  std::optional<Fidelity> first;
  for (const int64_t batch : {1, 4, 7, 30}) {
    FidelityMetrics metrics;
    for (int64_t begin = 0; begin < kSamples; begin += batch) {
      const int64_t count = std::min(batch, kSamples - begin);
      const auto part = [&](const std::vector<float>& all) {
        return Tensor::of<float>({count, kElements},
                                 std::span(all).subspan(static_cast<size_t>(begin * kElements),
                                                        static_cast<size_t>(count * kElements)));
      };
      metrics.add(part(reference), part(other));
    }
    CHECK(metrics.samples() == kSamples);
    if (!first) first = metrics.result();
    CHECK(metrics.result() == *first);
  }
  CHECK(*first->sqnr_db ==
        Approx(static_cast<double>(10 * std::log10(signal / noise))).epsilon(1e-12));
  CHECK(*first->cosine ==
        Approx(static_cast<double>(product / std::sqrt(signal * energy))).epsilon(1e-12));
  CHECK(*first->mse == Approx(static_cast<double>(noise / (kSamples * kElements))).epsilon(1e-12));
}

TEST_CASE("outputs of unlike shape cannot be compared") {
  FidelityMetrics metrics;
  CHECK_THROWS_WITH(metrics.add(Tensor(DType::float32, {1, 2}), Tensor(DType::float32, {2, 1})),
                    Catch::Contains("[1,2] and [2,1]"));
}
