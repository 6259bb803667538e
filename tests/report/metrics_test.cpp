// SPDX-License-Identifier: Apache-2.0
#include "report/metrics.h"

#include <limits>

#include "catch.h"
#include "support/rng.h"

using namespace qtool;

namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<std::string> ids(size_t count) {
  std::vector<std::string> result;
  for (size_t i = 0; i < count; ++i) result.push_back("sample-" + std::to_string(i));
  return result;
}

ClassificationMetrics measured(const Tensor& scores, std::vector<int64_t> labels) {
  ClassificationMetrics metrics;
  metrics.add(scores, labels, ids(labels.size()));
  return metrics;
}

std::string message_of(const Tensor& scores, std::vector<int64_t> labels) {
  ClassificationMetrics metrics;
  try {
    metrics.add(scores, labels, ids(labels.size()));
  } catch (const Error& error) {
    CHECK(error.kind() == Error::Kind::input);
    CHECK(metrics.samples() == 0);
    return error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("class rows are found in the shapes that classifiers have") {
  const auto rows = [](Shape shape) {
    const auto found = class_rows(shape);
    return found ? std::pair(found->samples, found->classes) : std::pair<int64_t, int64_t>(0, 0);
  };
  CHECK(rows({8, 10}) == std::pair<int64_t, int64_t>(8, 10));
  CHECK(rows({8, 10, 1, 1}) == std::pair<int64_t, int64_t>(8, 10));
  CHECK(rows({8, 1, 1, 10}) == std::pair<int64_t, int64_t>(8, 10));
  CHECK(rows({10}) == std::pair<int64_t, int64_t>(1, 10));
  CHECK_FALSE(class_rows({}));
  CHECK_FALSE(class_rows({8, 1}));
  CHECK_FALSE(class_rows({0, 10}));
  CHECK_FALSE(class_rows({8, 10, 0}));
  CHECK_FALSE(class_rows({8, 10, 4, 4}));
}

TEST_CASE("top-1 takes the lower index of equal scores and never NaN") {
  CHECK(top1(std::vector<float>{1, 5, 5}) == 1);
  CHECK(top1(std::vector<float>{kNan, -2, -1}) == 2);
  CHECK(top1(std::vector<double>{-std::numeric_limits<double>::infinity()}) == 0);
  CHECK_FALSE(top1(std::vector<float>{kNan, kNan}));
}

TEST_CASE("accuracy of a worked example") {
  // Rows: right; second best; tied with a lower index (wrong); tied with a higher index (right).
  const auto scores = Tensor::of<float>({4, 3}, {.1F, .9F, 0, 5, 3, 1, 2, 2, 1, 2, 2, 1});
  const auto metrics = measured(scores, {1, 1, 1, 0});
  CHECK(metrics.samples() == 4);
  CHECK(metrics.accuracy().top1 == 0.5);
  CHECK_FALSE(metrics.accuracy().top5);
  CHECK(metrics.right() == std::vector<bool>{true, false, false, true});
}

TEST_CASE("top-5 counts the classes ahead of the label") {
  const auto falling = Tensor::of<float>({1, 7}, {7, 6, 5, 4, 3, 2, 1});
  CHECK(measured(falling, {4}).accuracy().top5 == 1.0);
  CHECK(measured(falling, {5}).accuracy().top5 == 0.0);
  const auto level = Tensor::of<float>({1, 7}, {1, 1, 1, 1, 1, 1, 1});
  CHECK(measured(level, {4}).accuracy().top5 == 1.0);
  CHECK(measured(level, {5}).accuracy().top5 == 0.0);
  CHECK(measured(level, {0}).accuracy().top1 == 1.0);
}

TEST_CASE("a NaN score is counted and its class is never right") {
  const auto scores = Tensor::of<float>({3, 2}, {kNan, kNan, kNan, 1, 0, 1});
  const auto metrics = measured(scores, {0, 1, 1});
  CHECK(metrics.right() == std::vector<bool>{false, true, true});
  CHECK(metrics.accuracy().nan_samples == 2);
}

TEST_CASE("scores of any numeric type count the same") {
  CHECK(measured(Tensor::of<double>({2, 2}, {0, 1, 1, 0}), {1, 1}).accuracy().top1 == 0.5);
  CHECK(measured(Tensor::of<int8_t>({2, 2}, {-5, 1, 9, 9}), {1, 0}).accuracy().top1 == 1.0);
}

TEST_CASE("accuracy does not depend on the batch size") {
  constexpr size_t kSamples = 60, kClasses = 8;
  Rng rng(3);
  std::vector<float> scores(kSamples * kClasses);
  for (float& score : scores) score = static_cast<float>(rng.below(4));  // many ties
  std::vector<int64_t> labels(kSamples);
  for (int64_t& label : labels) label = rng.below(kClasses);
  const auto names = ids(kSamples);

  // Oracle: sort each row by score, then index, and look where the label stands.
  int in1 = 0, in5 = 0;
  for (size_t n = 0; n < kSamples; ++n) {
    std::vector<std::pair<float, int64_t>> order;
    for (size_t c = 0; c < kClasses; ++c) {
      order.emplace_back(-scores[n * kClasses + c], static_cast<int64_t>(c));
    }
    std::sort(order.begin(), order.end());
    for (size_t k = 0; k < 5; ++k) in5 += order[k].second == labels[n];
    in1 += order[0].second == labels[n];
  }

  for (const size_t batch : {1U, 7U, 60U}) {
    ClassificationMetrics metrics;
    for (size_t begin = 0; begin < kSamples; begin += batch) {
      const size_t count = std::min(batch, kSamples - begin);
      const std::span part(scores.data() + begin * kClasses, count * kClasses);
      metrics.add(Tensor::of<float>({static_cast<int64_t>(count), kClasses}, part),
                  std::span(labels).subspan(begin, count), std::span(names).subspan(begin, count));
    }
    CHECK(metrics.accuracy().top1 == in1 / 60.0);
    CHECK(metrics.accuracy().top5 == in5 / 60.0);
  }
}

TEST_CASE("outcomes of two models are compared sample by sample") {
  const auto first = measured(Tensor::of<float>({4, 2}, {1, 0, 1, 0, 1, 0, 0, 1}), {0, 0, 0, 0});
  const auto second = measured(Tensor::of<float>({4, 2}, {1, 0, 0, 1, 0, 1, 1, 0}), {0, 0, 0, 0});
  CHECK(compare_outcomes(first, second) == PairedOutcome{.lost = 2, .gained = 1});
}

TEST_CASE("no sample, no accuracy") { CHECK(ClassificationMetrics().accuracy() == Accuracy{}); }

TEST_CASE("what cannot be scored is an error that names it") {
  const auto two = Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, 6});
  CHECK_THAT(message_of(two, {0, 3}), Catch::Contains("sample \"sample-1\"") &&
                                          Catch::Contains("label 3") &&
                                          Catch::Contains("(0 to 2)"));
  CHECK_THAT(message_of(two, {-1, 0}), Catch::Contains("label -1"));
  CHECK_THAT(message_of(two, {0}), Catch::Contains("[2,3] for 1 samples"));
  CHECK_THAT(message_of(Tensor(DType::float32, {1, 3, 4, 4}), {0}),
             Catch::Contains("[1,3,4,4] holds no class scores"));
  ClassificationMetrics changing;
  changing.add(two, std::vector<int64_t>{0, 0}, ids(2));
  CHECK_THROWS_AS(changing.add(Tensor(DType::float32, {1, 4}), std::vector<int64_t>{0}, ids(1)),
                  Error);
}
