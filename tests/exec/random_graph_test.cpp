// SPDX-License-Identifier: Apache-2.0
// Random small networks, float and with Q/DQ: the compiled session against the reference.
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <numeric>

#include "catch.h"
#include "exec/agree.h"
#include "exec/model.h"
#include "support/text.h"

using namespace qtool;
using namespace qtool::test;

namespace {

/// Values made so far with their shapes; images have rank 4, features rank 2.
struct Made {
  ValueId id;
  Shape shape;
};

class Generator {
 public:
  Generator(uint64_t seed, bool quantized) : rng_(seed), quantized_(quantized) {
    const Shape shape{1 + rng_.below(2), 1 + rng_.below(6), 4 + rng_.below(8), 4 + rng_.below(8)};
    remember(m.input("x", shape), shape);
  }

  Model m;

  void grow() {
    const int nodes = 5 + static_cast<int>(rng_.below(11));
    for (int i = 0; i < nodes; ++i) step();
    // Whatever nobody reads is an output, and sometimes what somebody reads.
    for (const Made& made : made_) {
      const bool read = !m.graph.value(made.id).uses.empty();
      if (!m.graph.is_input(made.id) && (!read || rng_.below(8) == 0)) m.output(made.id);
    }
  }

 private:
  const Made& any() {
    return made_[made_.size() - 1 -
                 std::min(rng_.below(static_cast<uint32_t>(made_.size())), rng_.below(4))];
  }
  uint64_t seed() { return rng_.next(); }

  void remember(ValueId id, Shape shape) {
    if (quantized_ && rng_.below(4) != 0)
      id = m.qdq(id, {0.04F, rng_.below(2) == 0 ? 0 : 100, false});
    made_.push_back({id, std::move(shape)});
  }

  void step() {
    const Made x = any();
    if (x.shape.size() == 2) return features(x);
    switch (rng_.below(13)) {
      case 0:
      case 1:
      case 2:
      case 3: return conv(x);
      case 4: return unary(x);
      case 5: return batch_norm(x);
      case 6:
      case 7: return add(x);
      case 8: return pool(x);
      case 9: return concat(x);
      case 10: return pad(x);
      case 11: return slice(x);
      default: return flatten(x);
    }
  }

  void conv(const Made& x) {
    const int64_t channels = x.shape[1];
    const bool depthwise = rng_.below(4) == 0;
    const int64_t filters = depthwise ? channels : 1 + rng_.below(20);
    const int64_t kernel = 1 + 2 * rng_.below(2);
    const int64_t stride = x.shape[2] > 4 && x.shape[3] > 4 ? 1 + rng_.below(2) : 1;
    const int64_t pad = kernel / 2;
    const int64_t per_group = depthwise ? 1 : channels;
    const Constant w = Model::scaled(noise({filters, per_group, kernel, kernel}, seed()),
                                     per_group * kernel * kernel);
    std::vector<float> scales;
    std::vector<ValueId> inputs{x.id, quantized_ ? m.weights(*w, 0, scales) : m.constant(w)};
    if (rng_.below(3) != 0) inputs.push_back(m.constant(noise({filters}, seed())));
    const ValueId y = m.add("Conv", inputs,
                            {{"pads", ints({pad, pad, pad, pad})},
                             {"strides", ints({stride, stride})},
                             {"group", depthwise ? channels : int64_t{1}}});
    remember(y,
             {x.shape[0], filters, (x.shape[2] - 1) / stride + 1, (x.shape[3] - 1) / stride + 1});
    if (rng_.below(2) == 0) unary(made_.back());
  }

  void unary(const Made& x) {
    const char* ops[] = {"Relu", "Relu", "Clip", "LeakyRelu", "Sigmoid", "Tanh", "HardSwish"};
    const char* op = ops[rng_.below(7)];
    std::vector<ValueId> inputs{x.id};
    if (std::string(op) == "Clip")
      inputs.insert(inputs.end(), {m.constant(scalar(-1)), m.constant(scalar(1.5F))});
    remember(m.add(op, inputs), x.shape);
  }

  void batch_norm(const Made& x) {
    const Shape channels{x.shape[1]};
    Tensor variance = noise(channels, seed())->clone();
    for (float& value : variance.data<float>()) value = 0.5F + std::abs(value);
    remember(m.add("BatchNormalization",
                   {x.id, m.constant(noise(channels, seed())), m.constant(noise(channels, seed())),
                    m.constant(noise(channels, seed())),
                    m.constant(make_constant(std::move(variance)))}),
             x.shape);
  }

  void add(const Made& x) {
    std::vector<ValueId> partners;
    for (const Made& other : made_) {
      if (other.shape == x.shape) partners.push_back(other.id);
    }
    const char* ops[] = {"Add", "Add", "Add", "Sub", "Mul"};
    const char* op = ops[rng_.below(5)];
    ValueId partner = partners[rng_.below(static_cast<uint32_t>(partners.size()))];
    if (partner == x.id && rng_.below(2) == 0)
      partner = m.constant(noise({x.shape[1], 1, 1}, seed()));
    remember(rng_.below(2) == 0 ? m.add(op, {x.id, partner}) : m.add(op, {partner, x.id}), x.shape);
  }

  void pool(const Made& x) {
    if (x.shape[2] < 3 || x.shape[3] < 3) return unary(x);
    const char* op = rng_.below(2) == 0 ? "MaxPool" : "AveragePool";
    const CaseAttributes window{
        {"kernel_shape", ints({3, 2})}, {"strides", ints({2, 2})}, {"pads", ints({1, 0, 1, 0})}};
    remember(m.add(op, {x.id}, window),
             {x.shape[0], x.shape[1], (x.shape[2] - 1) / 2 + 1, (x.shape[3] - 2) / 2 + 1});
  }

  void concat(const Made& x) {
    std::vector<ValueId> parts{x.id};
    Shape shape = x.shape;
    for (const Made& other : made_) {
      const bool fits = other.shape.size() == 4 && other.shape[0] == x.shape[0] &&
                        other.shape[2] == x.shape[2] && other.shape[3] == x.shape[3];
      if (!fits || parts.size() > 2 || rng_.below(2) == 0) continue;
      parts.push_back(other.id);
      shape[1] += other.shape[1];
    }
    remember(m.add("Concat", parts, {{"axis", int64_t{1}}}), shape);
  }

  void pad(const Made& x) {
    const int64_t rows = rng_.below(2);
    const int64_t columns = rng_.below(3);
    const ValueId amounts = m.constant(s64({8}, {0, 0, rows, 0, 0, 0, 1, columns}));
    remember(m.add("Pad", {x.id, amounts}),
             {x.shape[0], x.shape[1], x.shape[2] + rows + 1, x.shape[3] + columns});
  }

  void slice(const Made& x) {
    const int64_t channels = (x.shape[1] + 1) / 2;
    const ValueId y =
        m.add("Slice", {x.id, m.constant(s64({1}, {0})), m.constant(s64({1}, {x.shape[1]})),
                        m.constant(s64({1}, {1})), m.constant(s64({1}, {2}))});
    remember(y, {x.shape[0], channels, x.shape[2], x.shape[3]});
  }

  void flatten(const Made& x) {
    const bool pooled = rng_.below(2) == 0;
    const ValueId source = pooled ? m.add("GlobalAveragePool", {x.id}) : x.id;
    const int64_t count = pooled ? x.shape[1] : x.shape[1] * x.shape[2] * x.shape[3];
    remember(m.add("Flatten", {source}), {x.shape[0], count});
  }

  void features(const Made& x) {
    if (rng_.below(3) == 0) return unary(x);
    const int64_t columns = 1 + rng_.below(12);
    const Constant w = Model::scaled(noise({x.shape[1], columns}, seed()), x.shape[1]);
    std::vector<float> scales;
    std::vector<ValueId> inputs{x.id, quantized_ ? m.weights(*w, 1, scales) : m.constant(w)};
    if (rng_.below(2) == 0) inputs.push_back(m.constant(noise({columns}, seed())));
    remember(m.add("Gemm", inputs), {x.shape[0], columns});
  }

  Rng rng_;
  bool quantized_;
  std::vector<Made> made_;
};

std::vector<uint64_t> seeds(uint64_t first, uint64_t usual) {
  if (const char* only = std::getenv("QTOOL_TEST_SEED")) return {std::strtoull(only, nullptr, 10)};
  const char* effort = std::getenv("QTOOL_TEST_EFFORT");
  std::vector<uint64_t> list(usual * (effort != nullptr ? std::strtoull(effort, nullptr, 10) : 1));
  std::iota(list.begin(), list.end(), first);
  return list;
}

/// The largest difference of any output, relative to that output's largest value or to `least`.
double worst_difference(const TensorMap& got, const TensorMap& wanted, double least,
                        bool& same_types) {
  double worst = 0;
  for (const auto& [name, tensor] : wanted) {
    same_types = same_types && got.at(name).dtype() == tensor.dtype() &&
                 got.at(name).shape() == tensor.shape();
    if (!same_types) return 0;
    const std::vector<double> a = to_doubles(got.at(name));
    const std::vector<double> b = to_doubles(tensor);
    double largest = least;
    double off = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      largest = std::max(largest, std::abs(b[i]));
      off = std::max(off, std::isfinite(a[i]) ? std::abs(a[i] - b[i]) : 1e30);
    }
    worst = std::max(worst, off / largest);
  }
  return worst;
}

}  // namespace

TEST_CASE("Random float networks agree with the reference") {
  double worst = 0;
  for (const uint64_t seed : seeds(20000, 200)) {
    Generator generator(seed, false);
    generator.grow();
    INFO("seed " << seed << "\n" << to_text(generator.m.graph));
    const TensorMap feeds = random_feeds(generator.m.graph, seed);
    bool same_types = true;
    const double off =
        worst_difference(run_on(generator.m.graph, Backend::onednn, feeds),
                         run_on(generator.m.graph, Backend::reference, feeds), 0.01, same_types);
    REQUIRE(same_types);
    REQUIRE(off < 1e-4);
    worst = std::max(worst, off);
  }
  std::cout << fmt::format("random float networks: worst difference {:.1e} of the largest value\n",
                           worst);
}

TEST_CASE("Random networks with Q/DQ agree with the reference but for codes on the edge") {
  // A sum on the edge of two codes may fall either way, and what follows carries it on: a few steps
  // of 0.04 in values of up to about 6.
  int exact = 0;
  int integer_steps = 0;
  const std::vector<uint64_t> all = seeds(30000, 200);
  for (const uint64_t seed : all) {
    Generator generator(seed, true);
    generator.grow();
    INFO("seed " << seed << "\n" << to_text(generator.m.graph));
    const TensorMap feeds = random_feeds(generator.m.graph, seed);
    Session compiled(generator.m.graph, builtin_ops(), {});
    for (const StepInfo& step : compiled.steps()) integer_steps += step.integer ? 1 : 0;
    const TensorMap got = compiled.run(feeds);
    const TensorMap wanted = run_on(generator.m.graph, Backend::reference, feeds);
    bool same_types = true;
    const double off = worst_difference(got, wanted, 1, same_types);
    REQUIRE(same_types);
    if (off < 1e-5) ++exact;
    REQUIRE(off < 0.15);
  }
  std::cout << fmt::format("random networks with Q/DQ: {} of {} agree exactly; {} steps on codes\n",
                           exact, all.size(), integer_steps);
  CHECK(static_cast<size_t>(exact) * 2 > all.size());
  CHECK(static_cast<size_t>(integer_steps) > all.size());
}
