// SPDX-License-Identifier: Apache-2.0
#include "support/parallel.h"

#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <exception>
#include <mutex>

namespace qtool {

int available_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, omp_get_num_procs());
}

int thread_count() { return omp_get_max_threads(); }

void set_thread_count(int threads) {
  omp_set_num_threads(threads > 0 ? threads : available_cores());
}

ThreadScope::ThreadScope(int threads) : before_(thread_count()) {
  if (threads != before_) omp_set_num_threads(threads);
}

ThreadScope::~ThreadScope() {
  if (thread_count() != before_) omp_set_num_threads(before_);
}

void parallel_for(int64_t count, int64_t grain, RangeBody body) {
  if (count <= 0) return;
  const int64_t ranges =
      std::min<int64_t>(thread_count(), (count + grain - 1) / std::max<int64_t>(grain, 1));
  if (ranges <= 1) {
    body(0, count);
    return;
  }
  std::exception_ptr failure;
  std::mutex failure_mutex;
  const auto threads = static_cast<int>(ranges);
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int64_t range = 0; range < ranges; ++range) {
    try {
      body(count * range / ranges, count * (range + 1) / ranges);
    } catch (...) {
      const std::lock_guard lock(failure_mutex);
      if (!failure) failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace qtool
