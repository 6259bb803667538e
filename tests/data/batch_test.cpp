// SPDX-License-Identifier: Apache-2.0
#include "data/batch.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <set>
#include <thread>

#include "catch.h"
#include "support/error.h"

using namespace qtool;
using Catch::Contains;

namespace {

/// Sample i is {i, i + 0.5}, label 2 i; counts how many were asked for.
class Numbers : public Dataset {
 public:
  explicit Numbers(size_t count) : count_(count) {}
  size_t size() const override { return count_; }
  bool labelled() const override { return true; }
  Json provenance() const override { return {{"kind", "numbers"}, {"samples", count_}}; }
  Sample get(size_t index) const override {
    ++asked;
    if (delay) std::this_thread::sleep_for(std::chrono::milliseconds(delay(index)));
    if (broken.contains(index)) throw input_error("sample " + std::to_string(index) + " is broken");
    Sample sample;
    sample.id = "n:" + std::to_string(index);
    const auto x = static_cast<float>(index);
    sample.inputs.emplace("", index == odd_one ? Tensor::of<float>({3}, {x, x, x})
                                               : Tensor::of<float>({2}, {x, x + 0.5F}));
    if (index != unlabelled) sample.label = static_cast<int64_t>(2 * index);
    return sample;
  }

  mutable std::atomic<size_t> asked = 0;
  std::function<int(size_t)> delay;
  std::set<size_t> broken;
  size_t odd_one = SIZE_MAX;
  size_t unlabelled = SIZE_MAX;

 private:
  size_t count_;
};

std::string described(const Batch& batch) {
  std::string text = std::to_string(batch.first) + "+" + std::to_string(batch.size) +
                     to_string(batch.inputs.at("").shape());
  for (size_t i = 0; i < batch.size; ++i) {
    text += ' ' + batch.ids[i] + '/' + std::to_string(batch.labels[i]) + '/' +
            std::to_string(batch.inputs.at("").data<float>()[2 * i + 1]);
  }
  return text;
}

std::vector<std::string> all(const Dataset& dataset, const Order& order, Loader::Options options) {
  Loader loader(dataset, order, options);
  std::vector<std::string> texts;
  while (const auto batch = loader.next()) texts.push_back(described(*batch));
  CHECK(texts.size() == loader.batches());
  CHECK_FALSE(loader.next());
  return texts;
}

}  // namespace

TEST_CASE("orders") {
  CHECK(in_order(4) == Order{0, 1, 2, 3});
  CHECK(in_order(4, 2) == Order{0, 1});
  CHECK(in_order(2, 9) == Order{0, 1});
  const Order shuffled_once = shuffled(1000, 7);
  CHECK(shuffled_once == shuffled(1000, 7));
  CHECK(shuffled_once != shuffled(1000, 8));
  CHECK(shuffled_once != shuffled(1000, 7, 1));
  CHECK(shuffled_once != in_order(1000));
  Order sorted = shuffled_once;
  std::sort(sorted.begin(), sorted.end());
  CHECK(sorted == in_order(1000));
  CHECK(shuffled(0, 1).empty());
}

TEST_CASE("a batch stacks its samples") {
  const Numbers numbers(10);
  const Order order{3, 0, 9};
  const Batch batch = make_batch(numbers, order, 40);
  CHECK(batch.size == 3);
  CHECK(batch.first == 40);
  CHECK(batch.inputs.at("").equals(Tensor::of<float>({3, 2}, {3, 3.5, 0, 0.5, 9, 9.5})));
  CHECK(batch.labels == std::vector<int64_t>{6, 0, 18});
  CHECK(batch.ids == std::vector<std::string>{"n:3", "n:0", "n:9"});
}

TEST_CASE("samples that cannot be stacked are both named") {
  Numbers numbers(10);
  numbers.odd_one = 4;
  const Order order{2, 3, 4};
  CHECK_THROWS_WITH(make_batch(numbers, order),
                    Contains("n:2 and n:4") && Contains("float[2] and float[3]"));
  numbers.odd_one = SIZE_MAX;
  numbers.unlabelled = 3;
  CHECK_THROWS_WITH(make_batch(numbers, order), Contains("n:2 and n:3") && Contains("no label"));
}

TEST_CASE("a subset is a data set") {
  const auto numbers = std::make_shared<Numbers>(10);
  const Subset first(numbers, in_order(10, 3));
  CHECK(first.size() == 3);
  CHECK(first.labelled());
  CHECK(first.get(2).id == "n:2");
  CHECK_THROWS_AS(first.get(3), Error);
  CHECK(first.provenance() ==
        Json{{"kind", "numbers"}, {"samples", 3}, {"of_samples", 10}, {"chosen", "first"}});
  const Subset two(numbers, {8, 1});
  CHECK(two.get(0).id == "n:8");
  CHECK(two.provenance() != Subset(numbers, {1, 8}).provenance());
  CHECK_THROWS_AS(Subset(numbers, {10}), Error);
}

TEST_CASE("the loader gives the same batches in the same order with any number of workers") {
  Numbers numbers(23);
  // Early samples take longest, so that workers finish out of order.
  numbers.delay = [](size_t index) { return index % 5 == 0 ? 3 : 0; };
  const Order order = shuffled(23, 5);
  const auto expected = all(numbers, order, {.batch_size = 4, .workers = 0});
  REQUIRE(expected.size() == 6);
  CHECK(expected[5].starts_with("20+3[3,2]"));
  for (const int workers : {1, 2, 3, 8}) {
    for (const size_t ahead : {size_t{0}, size_t{1}, size_t{2}, size_t{50}}) {
      CHECK(all(numbers, order, {.batch_size = 4, .workers = workers, .ahead = ahead}) == expected);
    }
  }
}

TEST_CASE("a last batch that is not full can be left out") {
  const Numbers numbers(10);
  CHECK(all(numbers, in_order(10), {.batch_size = 4, .drop_last = true}).size() == 2);
  CHECK(all(numbers, in_order(8), {.batch_size = 4, .drop_last = true}).size() == 2);
  CHECK(all(numbers, in_order(10), {.batch_size = 20, .drop_last = true}).empty());
  CHECK(all(numbers, {}, {.batch_size = 4}).empty());
  CHECK(Loader(numbers, in_order(10), {.batch_size = 4}).samples() == 10);
  CHECK(Loader(numbers, in_order(10), {.batch_size = 4, .drop_last = true}).samples() == 8);
}

TEST_CASE("a consumer that stands still bounds what is made") {
  const Numbers numbers(1000);
  Loader loader(numbers, in_order(1000), {.batch_size = 2, .workers = 3, .ahead = 2});
  loader.next();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  CHECK(numbers.asked <= (1 + 3 + 2) * 2);
}

TEST_CASE("an exception reaches the consumer in its batch's turn") {
  Numbers numbers(20);
  numbers.broken = {13, 9};
  numbers.delay = [](size_t index) { return index == 9 ? 20 : 0; };
  for (const int workers : {0, 1, 4}) {
    Loader loader(numbers, in_order(20), {.batch_size = 4, .workers = workers, .ahead = 8});
    CHECK(loader.next()->first == 0);
    CHECK(loader.next()->first == 4);
    CHECK_THROWS_WITH(loader.next(), Contains("sample 9 is broken"));
    CHECK_FALSE(loader.next());
  }
}

TEST_CASE("a loader can go away in the middle") {
  Numbers numbers(100000);
  numbers.delay = [](size_t) { return 1; };
  const auto start = std::chrono::steady_clock::now();
  for (const int workers : {0, 1, 4}) {
    Loader loader(numbers, in_order(100000), {.batch_size = 1000, .workers = workers, .ahead = 4});
  }
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::milliseconds(500));
}
