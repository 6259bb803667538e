// SPDX-License-Identifier: Apache-2.0
// execute() of a compiled session allocates nothing: this program counts every call of the C
// library's allocator, on whatever thread. Calls from inside of oneDNN are counted apart: its
// execute makes a map of its arguments, one small node each, and closures, and has no way not to.
#include <dlfcn.h>
#include <execinfo.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <iostream>

#include "catch.h"
#include "exec/agree.h"
#include "exec/model.h"
#include "support/parallel.h"

namespace {

std::atomic<bool> counting{false};
std::atomic<long> ours{0};
std::atomic<long> of_onednn{0};
thread_local bool inside = false;

/// Whom the nearest caller beyond the language's own libraries belongs to.
bool called_by_onednn() {
  void* frames[8];
  const int depth = backtrace(frames, 8);
  for (int i = 2; i < depth; ++i) {
    Dl_info info;
    if (dladdr(frames[i], &info) == 0 || info.dli_fname == nullptr) return false;
    if (std::strstr(info.dli_fname, "libdnnl") != nullptr) return true;
    if (std::strstr(info.dli_fname, "libstdc++") == nullptr) return false;
  }
  return false;
}

void count() {
  if (!counting || inside) return;
  inside = true;
  ++(called_by_onednn() ? of_onednn : ours);
  inside = false;
}

}  // namespace

extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

void* malloc(size_t bytes) {
  count();
  return __libc_malloc(bytes);
}
void* calloc(size_t items, size_t bytes) {
  count();
  return __libc_calloc(items, bytes);
}
void* realloc(void* old, size_t bytes) {
  count();
  return __libc_realloc(old, bytes);
}
void* memalign(size_t alignment, size_t bytes) {
  count();
  return __libc_memalign(alignment, bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) {
  count();
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** result, size_t alignment, size_t bytes) {
  count();
  *result = __libc_memalign(alignment, bytes);
  return *result == nullptr ? ENOMEM : 0;
}
}

using namespace qtool;
using namespace qtool::test;

namespace {

/// Counts while `work` runs.
template <class Work>
void count_during(Work&& work) {
  void* frame;
  backtrace(&frame, 1);  // loads the unwinder, which allocates
  ours = 0;
  of_onednn = 0;
  counting = true;
  work();
  counting = false;
}

/// One execute() after a first one.
void count_a_run(const Model& m, const Tap& tap = {}, std::vector<ValueId> taps = {}) {
  Session session(m.graph, builtin_ops(), {.taps = std::move(taps)});
  const TensorMap feeds = random_feeds(m.graph);
  std::vector<TensorView> views;
  for (const std::string& name : session.input_names()) views.push_back(feeds.at(name).view());
  session.execute(views, tap);
  count_during([&] { session.execute(views, tap); });
}

/// Every kind of kernel that floats have: convolutions with and without residual, depthwise,
/// pooling, normalization, broadcasting, slices, padding, softmax, matrix products.
Model float_network(std::vector<ValueId>* taps = nullptr) {
  Model m;
  const ValueId x = m.input("x", Shape{2, 3, 33, 35});
  ValueId y = m.add("Relu", {m.conv(x, 3, 24, 1, {{"strides", ints({2, 2})}})});
  const ValueId trunk = y;
  y = m.add("Clip", {m.add("Conv", {y, m.constant(noise({24, 1, 3, 3}, 3))},
                           {{"pads", ints({1, 1, 1, 1})}, {"group", int64_t{24}}}),
                     m.constant(scalar(0)), m.constant(scalar(6))});
  y = m.add("Relu", {m.add("Add", {m.conv(y, 24, 24, 5), trunk})});
  const Shape channels{24};
  y = m.add("BatchNormalization",
            {y, m.constant(noise(channels, 7)), m.constant(noise(channels, 8)),
             m.constant(noise(channels, 9)),
             m.constant(elements<float>(channels, std::vector<float>(24, 2)))});
  y = m.add("MaxPool", {y}, {{"kernel_shape", ints({3, 3})}, {"strides", ints({2, 2})}});
  const ValueId gate = m.add("Sigmoid", {m.add("GlobalAveragePool", {y})});
  y = m.add("Mul", {y, gate});
  if (taps != nullptr) *taps = {trunk, y};
  y = m.add("Concat", {y, m.add("Tanh", {y})}, {{"axis", int64_t{1}}});
  y = m.add("Pad", {y, m.constant(s64({8}, {0, 0, 1, 0, 0, 0, 0, 1}))});
  y = m.add("AveragePool", {y}, {{"kernel_shape", ints({2, 2})}});
  y = m.add("Slice",
            {y, m.constant(s64({1}, {0})), m.constant(s64({1}, {40})), m.constant(s64({1}, {1}))});
  y = m.add("Transpose", {y}, {{"perm", ints({0, 2, 3, 1})}});
  y = m.add("Flatten", {y});
  y = m.add("Gemm", {y, m.constant(noise({8 * 8 * 40, 12}, 11)), m.constant(noise({12}, 12))});
  m.output(m.add("Softmax", {m.add("HardSwish", {y})}));
  return m;
}

/// Functions, broadcasting, comparison, selection, casts and reductions, behind a convolution.
Model elementwise_network() {
  Model m;
  const ValueId x = m.conv(m.input("x", Shape{2, 3, 17, 19}), 3, 24, 1);
  const CaseAttributes space{{"axes", ints({2, 3})}};
  const ValueId centred = m.add("Sub", {x, m.add("ReduceMean", {x}, space)});
  const ValueId squares = m.add("Pow", {centred, m.constant(scalar(2))});
  const ValueId deviation = m.add("Sqrt", {m.add("ReduceMean", {squares}, space)});
  ValueId y = m.add("Div", {centred, m.add("Max", {deviation, m.constant(scalar(0.1F))})});
  y = m.add("PRelu", {y, m.constant(noise({24, 1, 1}, 3))});
  const ValueId gelu = m.add("Mul", {y, m.add("Add", {m.add("Erf", {y}), m.constant(scalar(1))})});
  const ValueId mask = m.add("Greater", {y, m.constant(noise({19}, 4))});
  const ValueId counted = m.add("Cast", {mask}, {{"to", static_cast<int64_t>(DType::float32)}});
  y = m.add("Sum", {m.add("Where", {mask, gelu, m.add("Softplus", {y})}), counted, y});
  m.output(m.add("ArgMax", {y}, {{"axis", int64_t{1}}}));
  m.output(m.add("ReduceLogSumExp", {y}, {{"axes", ints({1})}, {"keepdims", int64_t{0}}}));
  return m;
}

Model integer_network() {
  const Grid grid{0.05F, 100, false};
  const Grid positive{0.03F, 0, false};
  Model m;
  ValueId y = m.qdq(m.input("x", Shape{2, 3, 33, 35}), grid);
  y = m.qdq(m.add("Relu", {m.quantized_conv(y, grid.scale, 3, 24, 1, {{"strides", ints({2, 2})}})}),
            positive);
  const ValueId trunk = y;
  y = m.qdq(m.quantized_conv(y, positive.scale, 1, 24, 3, {{"group", int64_t{24}}}), grid);
  y = m.qdq(m.add("Relu", {m.add("Add", {y, trunk})}), positive);
  y = m.qdq(m.add("MaxPool", {y}, {{"kernel_shape", ints({2, 2})}, {"strides", ints({2, 2})}}),
            positive);
  y = m.qdq(m.add("Concat", {y, y}, {{"axis", int64_t{1}}}), positive);
  y = m.qdq(m.add("GlobalAveragePool", {y}), positive);
  y = m.qdq(m.add("Flatten", {y}), positive);
  std::vector<float> scales;
  const ValueId w = m.weights(*noise({10, 48}, 5), 0, scales);
  y = m.qdq(m.add("Gemm", {y, w, m.bias(*noise({10}, 6), positive.scale, scales)},
                  {{"transB", int64_t{1}}}),
            grid);
  m.output(m.add("Softmax", {y}));
  return m;
}

}  // namespace

TEST_CASE("The counter counts") {
  count_during([] { CHECK(std::vector<char>(100000).size() == 100000); });
  CHECK(ours > 0);
  CHECK(of_onednn == 0);
}

TEST_CASE("A compiled float network runs without allocating") {
  const Model m = float_network();
  CHECK(disagreement(m.graph) == "");
  const Session session(m.graph, builtin_ops(), {});
  for (const StepInfo& step : session.steps()) {
    CAPTURE(step.op, step.fallback);
    CHECK(!step.reference);
  }
  for (const int threads : {1, 2}) {
    set_thread_count(threads);
    count_a_run(m);
    CAPTURE(threads);
    CHECK(ours == 0);
  }
  set_thread_count(0);
  std::cout << "float network: oneDNN itself allocates " << of_onednn << " times a run\n";
}

TEST_CASE("Compiled element-wise work and reductions run without allocating") {
  const Model m = elementwise_network();
  CHECK(disagreement(m.graph) == "");
  const Session session(m.graph, builtin_ops(), {});
  for (const StepInfo& step : session.steps()) {
    CAPTURE(step.op, step.fallback);
    CHECK(!step.reference);
  }
  for (const int threads : {1, 2}) {
    set_thread_count(threads);
    count_a_run(m);
    CAPTURE(threads);
    CHECK(ours == 0);
  }
  set_thread_count(0);
}

TEST_CASE("A compiled int8 network runs without allocating") {
  const Model m = integer_network();
  const Session session(m.graph, builtin_ops(), {});
  for (const StepInfo& step : session.steps()) {
    CAPTURE(step.op, step.fallback);
    CHECK(!step.reference);
    if (step.op.starts_with("Conv") || step.op.starts_with("Gemm") || step.op.starts_with("Add"))
      CHECK(step.integer);
  }
  for (const int threads : {1, 2}) {
    set_thread_count(threads);
    count_a_run(m);
    CAPTURE(threads);
    CHECK(ours == 0);
  }
  set_thread_count(0);
  std::cout << "int8 network: oneDNN itself allocates " << of_onednn << " times a run\n";
}

TEST_CASE("Tapping allocates nothing either") {
  std::vector<ValueId> taps;
  const Model m = float_network(&taps);
  int seen = 0;
  count_a_run(
      m, [&seen](const TappedValue&) { ++seen; }, taps);
  CHECK(ours == 0);
  CHECK(seen == 4);
}
