// SPDX-License-Identifier: Apache-2.0
// Random transposed convolutions against exact accumulation: each input element is laid down
// through the kernel, where the op's reference gathers.
#include <algorithm>
#include <iostream>

#include "catch.h"
#include "kernels/product_check.h"
#include "kernels/run.h"
#include "support/text.h"

using namespace qtool;
using namespace qtool::test;

namespace {

struct Geometry {
  Shape source;   ///< [N, C, spatial...]
  Shape weights;  ///< [C, M / groups, kernel...]
  Shape destination;
  int64_t groups = 1;
  std::vector<int64_t> strides;
  std::vector<int64_t> pads;
  std::vector<int64_t> dilations;

  std::string line() const {
    return fmt::format("x {} w {} y {} groups {} strides {} pads {} dilations {}",
                       to_string(source), to_string(weights), to_string(destination), groups,
                       to_string(strides), to_string(pads), to_string(dilations));
  }
};

Geometry random_geometry(Rng& rng) {
  Geometry g;
  g.groups = rng.below(3) == 0 ? 1 + rng.below(17) : 1;
  const int64_t inputs = 1 + rng.below(g.groups > 1 ? 5 : 33);
  const int64_t outputs = 1 + rng.below(g.groups > 1 ? 5 : 33);
  g.source = {1 + rng.below(2), inputs * g.groups};
  g.weights = {inputs * g.groups, outputs};
  g.destination = {g.source[0], outputs * g.groups};
  const uint32_t rank = 1 + rng.below(8) / 3;  // mostly 2
  std::vector<int64_t> ends;
  for (uint32_t d = 0; d < rank; ++d) {
    const int64_t kernel = 1 + rng.below(4);
    const int64_t dilation = 1 + rng.below(4) / 3;
    const int64_t stride = 1 + rng.below(6) / 2;
    const int64_t extent = 1 + rng.below(rank == 3 ? 3 : 7);
    const int64_t reached = (extent - 1) * stride + (kernel - 1) * dilation + 1;
    const auto widest = static_cast<uint32_t>(std::min<int64_t>(reached, 3));
    const int64_t begin = rng.below(widest);
    // What output_padding adds is a negative pad.
    const int64_t end = std::min<int64_t>(rng.below(widest), reached - begin - 1) -
                        rng.below(static_cast<uint32_t>(stride));
    g.source.push_back(extent);
    g.weights.push_back(kernel);
    g.destination.push_back(reached - begin - end);
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

/// Where input position i brings tap k, or -1 outside of the result.
int64_t landing(const Geometry& g, int64_t i, int64_t tap) {
  const auto from = spatial_index(g.source, i);
  const auto k = spatial_index(g.weights, tap);
  int64_t at = 0;
  for (size_t d = 0; d < from.size(); ++d) {
    const int64_t o = from[d] * g.strides[d] + k[d] * g.dilations[d] - g.pads[d];
    if (o < 0 || o >= g.destination[d + 2]) return -1;
    at = at * g.destination[d + 2] + o;
  }
  return at;
}

Sums exact_sums(const Geometry& g, const std::vector<double>& x, const std::vector<double>& w) {
  const auto results = static_cast<size_t>(element_count(g.destination));
  Sums sums{std::vector<double>(results), std::vector<double>(results)};
  const int64_t plane = spatial_count(g.source);
  const int64_t taps = spatial_count(g.weights);
  const int64_t positions = spatial_count(g.destination);
  const int64_t inputs = g.weights[0] / g.groups;
  for (int64_t i = 0; i < plane; ++i) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      const int64_t o = landing(g, i, tap);
      if (o < 0) continue;
      for (int64_t n = 0; n < g.source[0]; ++n) {
        for (int64_t c = 0; c < g.source[1]; ++c) {
          for (int64_t f = 0; f < g.weights[1]; ++f) {
            const int64_t m = c / inputs * g.weights[1] + f;
            const double product = x[static_cast<size_t>((n * g.source[1] + c) * plane + i)] *
                                   w[static_cast<size_t>((c * g.weights[1] + f) * taps + tap)];
            const auto at = static_cast<size_t>((n * g.destination[1] + m) * positions + o);
            sums.exact[at] += product;
            sums.magnitude[at] += std::abs(product);
          }
        }
      }
    }
  }
  return sums;
}

void check_one(uint64_t seed, Tally& tally) {
  Rng rng(seed);
  const Geometry g = random_geometry(rng);
  const int64_t filters = g.destination[1];
  ProductTypes types = random_types(rng, filters, 1);
  const bool shared = types.integer && !types.weights.per_tensor() && g.groups > 1;
  const QuantParams* source = types.integer ? &types.source : nullptr;
  const QuantParams* weight_params = types.integer ? &types.weights : nullptr;
  if (shared) return;  // a scale a channel needs a filter a channel
  const Tensor x = random_operand(rng, g.source, source);
  const Tensor w = random_weights(rng, g.weights, weight_params);
  const Bias bias = random_bias(rng, types, filters);
  const Sums sums = exact_sums(g, factors(x, source), factors(w, weight_params));
  const int64_t positions = spatial_count(g.destination);
  std::vector<double> wanted = in_real_units(sums, types, bias, [&](size_t i) {
    return static_cast<size_t>(static_cast<int64_t>(i) / positions % filters);
  });
  for (double& value : wanted) value = activated(types.posts, value, 0);
  settle_destination(rng, types, wanted);

  const Layout layout = Layout::channels_last;
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
  for (const PostOp& op : types.posts) spec.post_ops.push_back({op, std::nullopt});
  ++tally.cases;
  MadeKernel made = onednn::make_deconvolution(spec);
  if (made.kernel == nullptr) {
    ++tally.refused[made.refusal];
    return;
  }
  const Tensor source_memory = stored(x, layout);
  Tensor y(result, g.destination);
  run(*made.kernel, {source_memory.raw(), nullptr, nullptr}, {y.raw()});
  const std::string text = compare(loaded(y, layout), wanted, sums.magnitude, types, tally);
  if (text.empty()) return;
  tally.wrong.push_back(fmt::format("seed {}: {}, {} by {}: {}", seed, g.line(),
                                    describe(types, bias), made.kernel->description(), text));
}

}  // namespace

TEST_CASE("Transposed convolutions equal exact accumulation") {
  Tally tally;
  for (const uint64_t seed : seeds(13000000, 700)) check_one(seed, tally);
  std::cout << summary("transposed convolution", tally);
  CHECK_THAT(join(tally.wrong, "\n"), Catch::Equals(""));
  CHECK(tally.off_by_one * 50 < tally.results);
}
