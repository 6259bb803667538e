// SPDX-License-Identifier: Apache-2.0
#include "support/parallel.h"

#include <atomic>
#include <stdexcept>
#include <vector>

#include "catch.h"

using namespace qtool;

namespace {

struct Threads {
  explicit Threads(int threads) { set_thread_count(threads); }
  ~Threads() { set_thread_count(0); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
};

}  // namespace

TEST_CASE("parallel_for visits every item once, in ranges of at least the grain") {
  for (const int threads : {1, 2, 3, 7}) {
    const Threads set(threads);
    for (const int64_t count : {0, 1, 2, 5, 64, 1000}) {
      for (const int64_t grain : {1, 3, 100, 5000}) {
        std::vector<std::atomic<int>> visits(static_cast<size_t>(count));
        std::atomic<int> ranges = 0;
        std::atomic<bool> small = false;
        parallel_for(count, grain, [&](int64_t begin, int64_t end) {
          ++ranges;
          // Even splits: a range may be short by rounding, never by more than half.
          if (end - begin < std::min(count, grain) / 2) small = true;
          for (int64_t i = begin; i < end; ++i) ++visits[static_cast<size_t>(i)];
        });
        CAPTURE(threads, count, grain);
        CHECK(ranges <= threads);
        CHECK(!small);
        for (const auto& visit : visits) REQUIRE(visit == 1);
      }
    }
  }
}

TEST_CASE("parallel_for hands an exception to the caller") {
  for (const int threads : {1, 4}) {
    const Threads set(threads);
    const auto fail_at_10 = [](int64_t begin, int64_t end) {
      if (begin <= 10 && 10 < end) throw std::runtime_error("ten");
    };
    CHECK_THROWS_WITH(parallel_for(100, 1, fail_at_10), "ten");
  }
}

TEST_CASE("The thread count can be set, and set back to the cores") {
  CHECK(available_cores() >= 1);
  {
    const Threads set(3);
    CHECK(thread_count() == 3);
  }
  CHECK(thread_count() == available_cores());
}
