// SPDX-License-Identifier: Apache-2.0
// Random matrix products against exact accumulation; pooling against its definition.
#include <algorithm>
#include <iostream>
#include <limits>

#include "catch.h"
#include "kernels/product_check.h"
#include "kernels/run.h"
#include "support/text.h"

using namespace qtool;
using namespace qtool::test;

namespace {

struct Product {
  Shape source;       ///< [..., M, K]
  Shape weights;      ///< [..., K, N]
  Shape destination;  ///< [..., M, N]
};

Product random_product(Rng& rng, bool batched) {
  Product p;
  const int64_t m = 1 + rng.below(20);
  const int64_t k = 1 + rng.below(70);
  const int64_t n = 1 + rng.below(40);
  for (uint32_t d = batched ? 1 + rng.below(2) : 0; d > 0; --d) {
    const int64_t extent = 1 + rng.below(4);
    const uint32_t which = rng.below(3);
    p.source.push_back(which == 0 ? 1 : extent);
    p.weights.push_back(which == 1 ? 1 : extent);
    p.destination.push_back(extent);
  }
  for (const int64_t extent : {m, k}) p.source.push_back(extent);
  for (const int64_t extent : {k, n}) p.weights.push_back(extent);
  for (const int64_t extent : {m, n}) p.destination.push_back(extent);
  return p;
}

/// Which matrix of `operand` belongs to the `flat`th of the result.
int64_t matrix_of(const Shape& operand, const Shape& destination, int64_t flat) {
  int64_t index = 0;
  int64_t stride = 1;
  for (size_t d = destination.size() - 2; d-- > 0;) {
    const int64_t at = flat % destination[d];
    flat /= destination[d];
    if (operand[d] != 1) index += at * stride;
    stride *= operand[d];
  }
  return index;
}

Sums exact_sums(const Product& p, const std::vector<double>& x, const std::vector<double>& w) {
  Sums sums;
  const size_t rank = p.source.size();
  const int64_t m = p.source[rank - 2];
  const int64_t k = p.source[rank - 1];
  const int64_t n = p.weights[rank - 1];
  const int64_t matrices = element_count(p.destination) / (m * n);
  for (int64_t b = 0; b < matrices; ++b) {
    const int64_t left = matrix_of(p.source, p.destination, b) * m * k;
    const int64_t right = matrix_of(p.weights, p.destination, b) * k * n;
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double sum = 0;
        double magnitude = 0;
        for (int64_t t = 0; t < k; ++t) {
          const double product =
              x[static_cast<size_t>(left + i * k + t)] * w[static_cast<size_t>(right + t * n + j)];
          sum += product;
          magnitude += std::abs(product);
        }
        sums.exact.push_back(sum);
        sums.magnitude.push_back(magnitude);
      }
    }
  }
  return sums;
}

/// [K, N] stored as [N, K].
Tensor transposed(const Tensor& w) {
  const int64_t k = w.shape()[0];
  const int64_t n = w.shape()[1];
  Tensor t(w.dtype(), {n, k});
  const auto width = static_cast<size_t>(bits(w.dtype())) / 8;
  for (int64_t i = 0; i < k; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      std::copy_n(w.raw() + static_cast<size_t>(i * n + j) * width, width,
                  t.raw() + static_cast<size_t>(j * k + i) * width);
    }
  }
  return t;
}

void check_one(uint64_t seed, Tally& tally) {
  Rng rng(seed);
  const bool batched = rng.below(3) == 0;
  const Product p = random_product(rng, batched);
  const size_t rank = p.source.size();
  const int64_t columns = p.weights.back();
  ProductTypes types = random_types(rng, columns, static_cast<int>(rank) - 1);
  const QuantParams* source = types.integer ? &types.source : nullptr;
  const QuantParams* weight_params = types.integer ? &types.weights : nullptr;
  const Tensor x = random_operand(rng, p.source, source);
  const Tensor w = random_weights(rng, p.weights, weight_params);
  const Bias bias = random_bias(rng, types, columns);
  const Sums sums = exact_sums(p, factors(x, source), factors(w, weight_params));
  std::vector<double> wanted =
      in_real_units(sums, types, bias, [&](size_t i) { return i % static_cast<size_t>(columns); });
  const bool residual = !types.integer && rng.below(3) == 0;
  const Tensor addend = random_operand(rng, p.destination, nullptr);
  if (residual) types.posts.push_back({PostOp::Kind::add});
  for (size_t i = 0; i < wanted.size(); ++i) {
    wanted[i] = activated(types.posts, wanted[i], static_cast<double>(addend.data<float>()[i]));
  }
  settle_destination(rng, types, wanted);

  const DType result = types.codes_out ? types.destination.type.storage() : DType::float32;
  const bool constant = types.integer || rng.below(2) == 0;
  const bool turned = constant && rank == 2 && rng.below(2) == 0;
  const Tensor stored_weights = turned ? transposed(w) : w.clone();
  onednn::MatmulSpec spec;
  spec.source = {x.dtype(), p.source, Layout::plain, source};
  spec.weights = {w.dtype(), p.weights, Layout::plain, weight_params};
  spec.destination = {result, p.destination, Layout::plain,
                      types.codes_out ? &types.destination : nullptr};
  spec.constant_weights = constant ? &stored_weights : nullptr;
  spec.transposed_weights = turned;
  spec.bias = bias.present ? &bias.elements : nullptr;
  spec.bias_params = bias.present && bias.elements.dtype() == DType::int32 ? &bias.params : nullptr;
  for (const PostOp& op : types.posts) {
    onednn::PostOpSpec post{op, std::nullopt};
    if (op.kind == PostOp::Kind::add) post.operand = spec.destination;
    spec.post_ops.push_back(post);
  }
  ++tally.cases;
  MadeKernel made = onednn::make_matmul(spec);
  if (made.kernel == nullptr) {
    ++tally.refused[made.refusal];
    return;
  }
  Tensor y = residual ? addend.clone() : Tensor(result, p.destination);
  run(*made.kernel, {x.raw(), w.raw(), nullptr, y.raw()}, {y.raw()});
  const std::string text = compare(y, wanted, sums.magnitude, types, tally);
  if (text.empty()) return;
  tally.wrong.push_back(fmt::format("seed {}: x {} w {}{}{}, {} by {}: {}", seed,
                                    to_string(p.source), to_string(p.weights),
                                    turned ? " transposed" : "", constant ? " constant" : "",
                                    describe(types, bias), made.kernel->description(), text));
}

/// Max or mean of what a window sees, by definition.
double pooled(const onednn::PoolSpec& spec, const std::vector<double>& plane,
              const std::vector<int64_t>& out) {
  const Shape& x = spec.source.shape;
  const size_t rank = spec.kernel.size();
  double best = -std::numeric_limits<double>::infinity();
  double sum = 0;
  int64_t inside = 0;
  int64_t padding = 0;
  for (int64_t t = 0; t < element_count(spec.kernel); ++t) {
    int64_t rest = t;
    int64_t at = 0;
    int64_t stride = 1;
    bool seen = true;
    bool beyond = false;
    for (size_t d = rank; d-- > 0;) {
      const int64_t p = out[d] * spec.strides[d] - spec.pads[d] + rest % spec.kernel[d];
      rest /= spec.kernel[d];
      seen = seen && p >= 0 && p < x[d + 2];
      beyond = beyond || p >= x[d + 2] + spec.pads[rank + d];
      at += p * stride;
      stride *= x[d + 2];
    }
    if (!seen) {
      padding += beyond ? 0 : 1;
      continue;
    }
    best = std::max(best, plane[static_cast<size_t>(at)]);
    sum += plane[static_cast<size_t>(at)];
    ++inside;
  }
  switch (spec.kind) {
    case onednn::PoolSpec::Kind::max: return best;
    case onednn::PoolSpec::Kind::average_excluding_pads: return sum / static_cast<double>(inside);
    default: return sum / static_cast<double>(inside + padding);
  }
}

void check_pool(Rng& rng, const std::string& label, int& refused) {
  onednn::PoolSpec spec;
  spec.kind = static_cast<onednn::PoolSpec::Kind>(rng.below(3));
  const DType dtypes[] = {DType::float32, DType::uint8, DType::int8};
  const DType dtype =
      spec.kind == onednn::PoolSpec::Kind::max ? dtypes[rng.below(3)] : DType::float32;
  const uint32_t rank = 1 + rng.below(8) / 3;
  Shape x{1 + rng.below(2), 1 + rng.below(40)};
  Shape y = x;
  std::vector<int64_t> ends;
  // Counting the padding of a window that hangs over is left to the reference by the lowering.
  const bool ceil =
      spec.kind != onednn::PoolSpec::Kind::average_including_pads && rng.below(3) == 0;
  for (uint32_t d = 0; d < rank; ++d) {
    const int64_t kernel = 1 + rng.below(4);
    const int64_t stride = 1 + rng.below(3);
    const int64_t begin = rng.below(static_cast<uint32_t>(kernel));
    const int64_t end = rng.below(static_cast<uint32_t>(kernel));
    const int64_t extent = kernel + rng.below(8);
    const int64_t room = extent + begin + end - kernel;
    int64_t out = room / stride + 1;
    if (ceil && room % stride != 0 && out * stride < extent + begin) ++out;
    x.push_back(extent);
    y.push_back(out);
    spec.kernel.push_back(kernel);
    spec.strides.push_back(stride);
    spec.dilations.push_back(1);
    spec.pads.push_back(begin);
    ends.push_back(end);
  }
  spec.pads.insert(spec.pads.end(), ends.begin(), ends.end());
  spec.source = {dtype, x, Layout::plain, nullptr};
  spec.destination = {dtype, y, Layout::plain, nullptr};
  MadeKernel made = onednn::make_pool(spec);
  if (made.kernel == nullptr) {
    ++refused;
    return;
  }
  const QuantParams bytes = checked_params({8, dtype == DType::int8, false}, {1}, {0});
  const Tensor source = random_operand(rng, x, dtype == DType::float32 ? nullptr : &bytes);
  Tensor result(dtype, y);
  run(*made.kernel, {source.raw()}, {result.raw()});
  const std::vector<double> values = to_doubles(source);
  const std::vector<double> got = to_doubles(result);
  const auto plane = static_cast<std::ptrdiff_t>(element_count({x.begin() + 2, x.end()}));
  const int64_t positions = element_count({y.begin() + 2, y.end()});
  INFO(label << ": kind " << static_cast<int>(spec.kind) << ' ' << name(dtype) << " x "
             << to_string(x) << " kernel " << to_string(spec.kernel) << " strides "
             << to_string(spec.strides) << " pads " << to_string(spec.pads) << (ceil ? " ceil" : "")
             << " by " << made.kernel->description());
  for (int64_t i = 0; i < element_count(y); ++i) {
    std::vector<int64_t> out(rank);
    int64_t rest = i;
    for (size_t d = rank; d-- > 0;) {
      out[d] = rest % y[d + 2];
      rest /= y[d + 2];
    }
    const auto begin = values.begin() + i / positions * plane;
    const double wanted = pooled(spec, {begin, begin + plane}, out);
    if (std::abs(got[static_cast<size_t>(i)] - wanted) > 1e-6 * std::abs(wanted) + 1e-6) {
      CAPTURE(i);
      REQUIRE(got[static_cast<size_t>(i)] == wanted);
    }
  }
}

}  // namespace

TEST_CASE("Matrix products equal exact accumulation: floats to a few ulps, codes to one code") {
  Tally tally;
  for (const uint64_t seed : seeds(12000000, 600)) check_one(seed, tally);
  std::cout << summary("matmul", tally);
  CHECK_THAT(join(tally.wrong, "\n"), Catch::Equals(""));
  CHECK(tally.off_by_one * 50 < tally.results);
}

TEST_CASE("Pooling sees what its window sees") {
  constexpr uint64_t kSeed = 13;
  Rng rng(kSeed);
  int refused = 0;
  for (int round = 0; round < 500; ++round)
    check_pool(rng, fmt::format("seed {} round {}", kSeed, round), refused);
  CHECK(refused == 0);
}

TEST_CASE("Products of nothing are left to the reference") {
  const Tensor w(DType::float32, {0, 2});
  onednn::MatmulSpec spec;
  spec.source = {DType::float32, {2, 0}, Layout::plain, nullptr};
  spec.weights = {DType::float32, {0, 2}, Layout::plain, nullptr};
  spec.destination = {DType::float32, {2, 2}, Layout::plain, nullptr};
  spec.constant_weights = &w;
  CHECK(onednn::make_matmul(spec).refusal == "an empty tensor");
}
