// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <cstdint>

namespace qtool {

/// Threads that kernels use (the OpenMP team shared with oneDNN). Never changes a result.
int thread_count();

/// Sets it for the calling thread's parallel regions; 0 means one per core this process may use.
void set_thread_count(int threads);

/// While it lives, the calling thread's parallel regions have this many threads.
class ThreadScope {
 public:
  explicit ThreadScope(int threads);
  ~ThreadScope();
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int before_;
};

/// Cores that this process may run on.
int available_cores();

/// What parallel_for calls: any callable, by reference. A std::function would put all but the
/// smallest lambdas on the heap, and kernels allocate nothing while they run.
class RangeBody {
 public:
  template <std::invocable<int64_t, int64_t> F>
  RangeBody(const F& body)  // NOLINT: converts on purpose
      : body_(&body), call_([](const void* f, int64_t begin, int64_t end) {
          (*static_cast<const F*>(f))(begin, end);
        }) {}
  void operator()(int64_t begin, int64_t end) const { call_(body_, begin, end); }

 private:
  const void* body_;
  void (*call_)(const void*, int64_t, int64_t);
};

/// Calls body(begin, end) for disjoint ranges that cover [0, count), on at most thread_count()
/// threads, with at least `grain` items a range; a small count runs on the caller's thread.
/// The split depends on the thread count, so body must not let ranges change a result. An
/// exception from body reaches the caller.
void parallel_for(int64_t count, int64_t grain, RangeBody body);

}  // namespace qtool
