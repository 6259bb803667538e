// SPDX-License-Identifier: Apache-2.0
// Random convolutions against exact accumulation (products of codes are exact in double).
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iostream>

#include "catch.h"
#include "kernels/product_check.h"
#include "kernels/run.h"
#include "support/text.h"

using namespace qtool;
using namespace qtool::test;

namespace {

struct Geometry {
  Shape source;  ///< [N, C, spatial...]
  Shape weights;
  Shape destination;
  int64_t groups = 1;
  std::vector<int64_t> strides;
  std::vector<int64_t> pads;
  std::vector<int64_t> dilations;

  std::string line() const {
    return fmt::format("x {} w {} groups {} strides {} pads {} dilations {}", to_string(source),
                       to_string(weights), groups, to_string(strides), to_string(pads),
                       to_string(dilations));
  }
};

Geometry random_geometry(Rng& rng) {
  Geometry g;
  const uint32_t kind = rng.below(4);  // 0: depthwise, 1: grouped, 2 and 3: dense
  const int64_t unit = 1 + rng.below(kind == 0 ? 35 : 12);
  g.groups = kind == 0 ? unit : kind == 1 ? 2 + rng.below(3) : 1;
  const int64_t per_group = kind == 0 ? 1 : kind == 1 ? 1 + rng.below(9) : 1 + rng.below(35);
  const int64_t filters_per_group =
      kind == 0 ? 1 + rng.below(2) : 1 + rng.below(kind == 1 ? 9 : 35);
  g.source = {1 + rng.below(2), per_group * g.groups};
  g.weights = {filters_per_group * g.groups, per_group};
  g.destination = {g.source[0], g.weights[0]};
  const uint32_t rank = 1 + rng.below(8) / 3;  // mostly 2
  std::vector<int64_t> ends;
  for (uint32_t d = 0; d < rank; ++d) {
    const int64_t kernel = 1 + rng.below(4);
    const int64_t dilation = 1 + rng.below(4) / 3;
    const int64_t stride = 1 + rng.below(6) / 2;
    const int64_t span = (kernel - 1) * dilation + 1;
    const bool same_pads = rng.below(2) == 0;
    // Rarely so wide that a window sees nothing else.
    const auto widest = static_cast<uint32_t>(rng.below(15) == 0 ? 3 : std::min<int64_t>(span, 3));
    const int64_t begin = rng.below(widest);
    const int64_t end = same_pads ? begin : rng.below(widest);
    const int64_t extent = span + rng.below(rank == 3 ? 4 : 9);
    if (rank > 1 && rng.below(8) == 0) {  // as exporters write convolutions over time
      g.source.push_back(1);
      g.weights.push_back(1);
      g.destination.push_back(1);
      g.strides.push_back(stride);
      g.dilations.push_back(dilation);
      g.pads.push_back(0);
      ends.push_back(0);
      continue;
    }
    g.source.push_back(extent);
    g.weights.push_back(kernel);
    g.destination.push_back((extent + begin + end - span) / stride + 1);
    g.strides.push_back(stride);
    g.dilations.push_back(dilation);
    g.pads.push_back(begin);
    ends.push_back(end);
  }
  g.pads.insert(g.pads.end(), ends.begin(), ends.end());
  return g;
}

/// Row-major index tuple of `shape` behind its first two dimensions.
std::vector<int64_t> spatial_index(const Shape& shape, int64_t flat) {
  std::vector<int64_t> index(shape.size() - 2);
  for (size_t d = shape.size(); d-- > 2;) {
    index[d - 2] = flat % shape[d];
    flat /= shape[d];
  }
  return index;
}

int64_t spatial_count(const Shape& shape) {
  return element_count({shape.begin() + 2, shape.end()});
}

Sums exact_sums(const Geometry& g, const std::vector<double>& x, const std::vector<double>& w) {
  Sums sums;
  const int64_t plane = spatial_count(g.source);
  const int64_t taps = spatial_count(g.weights);
  const int64_t positions = spatial_count(g.destination);
  const int64_t per_group = g.weights[1];
  const int64_t filters_per_group = g.weights[0] / g.groups;
  for (int64_t n = 0; n < g.source[0]; ++n) {
    for (int64_t m = 0; m < g.weights[0]; ++m) {
      for (int64_t o = 0; o < positions; ++o) {
        const auto out = spatial_index(g.destination, o);
        double sum = 0;
        double magnitude = 0;
        for (int64_t t = 0; t < taps; ++t) {
          const auto k = spatial_index(g.weights, t);
          int64_t at = 0;
          bool inside = true;
          for (size_t d = 0; d < out.size(); ++d) {
            const int64_t p = out[d] * g.strides[d] + k[d] * g.dilations[d] - g.pads[d];
            inside = inside && p >= 0 && p < g.source[d + 2];
            at = at * g.source[d + 2] + p;
          }
          for (int64_t c = 0; inside && c < per_group; ++c) {
            const int64_t channel = m / filters_per_group * per_group + c;
            const double product =
                x[static_cast<size_t>((n * g.source[1] + channel) * plane + at)] *
                w[static_cast<size_t>((m * per_group + c) * taps + t)];
            sum += product;
            magnitude += std::abs(product);
          }
        }
        sums.exact.push_back(sum);
        sums.magnitude.push_back(magnitude);
      }
    }
  }
  return sums;
}

void check_one(uint64_t seed, Tally& tally) {
  Rng rng(seed);
  const Geometry g = random_geometry(rng);
  ProductTypes types = random_types(rng, g.weights[0], 0);
  const QuantParams* source = types.integer ? &types.source : nullptr;
  const QuantParams* weight_params = types.integer ? &types.weights : nullptr;
  const Tensor x = random_operand(rng, g.source, source);
  const Tensor w = random_weights(rng, g.weights, weight_params);
  const Bias bias = random_bias(rng, types, g.weights[0]);
  const Sums sums = exact_sums(g, factors(x, source), factors(w, weight_params));
  const int64_t positions = spatial_count(g.destination);
  std::vector<double> wanted = in_real_units(sums, types, bias, [&](size_t i) {
    return static_cast<size_t>(static_cast<int64_t>(i) / positions % g.weights[0]);
  });
  const bool residual = !types.integer && rng.below(3) == 0;
  const Tensor addend = random_operand(rng, g.destination, nullptr);
  if (residual) types.posts.insert(types.posts.begin(), {PostOp::Kind::add});
  for (size_t i = 0; i < wanted.size(); ++i) {
    wanted[i] = activated(types.posts, wanted[i], static_cast<double>(addend.data<float>()[i]));
  }
  settle_destination(rng, types, wanted);

  const Layout layout = rng.below(4) == 0 ? Layout::plain : Layout::channels_last;
  const DType result = types.codes_out ? types.destination.type.storage() : DType::float32;
  onednn::ConvolutionSpec spec;
  spec.source = {x.dtype(), g.source, layout, source};
  spec.destination = {result, g.destination, layout,
                      types.codes_out ? &types.destination : nullptr};
  spec.weights = &w;
  spec.weight_params = weight_params;
  spec.bias = bias.present ? &bias.elements : nullptr;
  spec.bias_params = bias.present && bias.elements.dtype() == DType::int32 ? &bias.params : nullptr;
  spec.groups = g.groups;
  spec.strides = g.strides;
  spec.pads = g.pads;
  spec.dilations = g.dilations;
  for (const PostOp& op : types.posts) {
    onednn::PostOpSpec post{op, std::nullopt};
    if (op.kind == PostOp::Kind::add) post.operand = spec.destination;
    spec.post_ops.push_back(post);
  }
  ++tally.cases;
  MadeKernel made = onednn::make_convolution(spec);
  if (made.kernel == nullptr) {
    ++tally.refused[made.refusal];
    return;
  }
  const Tensor source_memory = stored(x, layout);
  Tensor y = residual ? stored(addend, layout) : Tensor(result, g.destination);
  run(*made.kernel, {source_memory.raw(), nullptr, nullptr, y.raw()}, {y.raw()});
  const std::string text = compare(loaded(y, layout), wanted, sums.magnitude, types, tally);
  if (text.empty()) return;
  tally.wrong.push_back(fmt::format("seed {}: {}, {}, {} by {}: {}", seed, g.line(), name(layout),
                                    describe(types, bias), made.kernel->description(), text));
}

}  // namespace

TEST_CASE("Convolutions equal exact accumulation: floats to a few ulps, codes to one code") {
  Tally tally;
  for (const uint64_t seed : seeds(11000000, 700)) check_one(seed, tally);
  std::cout << summary("convolution", tally);
  CHECK_THAT(join(tally.wrong, "\n"), Catch::Equals(""));
  CHECK(tally.off_by_one * 50 < tally.results);
}

TEST_CASE("a convolution over a long row takes little memory") {
  constexpr int64_t kLength = 20'000;
  const Tensor weights = Tensor::of<float>({1, 1, 3}, std::vector<float>{1, 10, 100});
  const auto resident_pages = [] {
    int64_t all = 0;
    int64_t resident = 0;
    std::ifstream("/proc/self/statm") >> all >> resident;
    return resident;
  };
  onednn::ConvolutionSpec spec;
  spec.source = {DType::float32, {1, 1, kLength + 2}, Layout::channels_last, nullptr};
  spec.destination = {DType::float32, {1, 1, kLength}, Layout::channels_last, nullptr};
  spec.weights = &weights;
  spec.strides = {1};
  spec.pads = {0, 0};
  spec.dilations = {1};
  const int64_t before = resident_pages();
  const MadeKernel made = onednn::make_convolution(spec);
  REQUIRE(made.kernel != nullptr);
  CHECK((resident_pages() - before) * sysconf(_SC_PAGESIZE) < 8 << 20);

  std::vector<float> x(kLength + 2);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 7);
  std::vector<float> y(kLength);
  run(*made.kernel, {x.data(), nullptr}, {y.data()});
  for (size_t i = 0; i < y.size(); ++i) REQUIRE(y[i] == x[i] + 10 * x[i + 1] + 100 * x[i + 2]);
}
