// SPDX-License-Identifier: Apache-2.0
#include "kernels/product_check.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "support/text.h"

namespace qtool::test {

namespace {

QuantParams eight_bits(Rng& rng, float scale) {
  const bool is_signed = rng.below(2) == 0;
  int32_t zero_point = 0;
  if (rng.below(3) != 0) zero_point = static_cast<int32_t>(rng.below(256)) - (is_signed ? 128 : 0);
  return checked_params({8, is_signed, false}, {scale}, {zero_point});
}

PostOp random_activation(Rng& rng, bool integer) {
  switch (rng.below(integer ? 9 : 10)) {
    case 0: return {PostOp::Kind::relu};
    case 1: return {PostOp::Kind::leaky_relu, 0.125F};
    case 2: return {PostOp::Kind::clip, -1.5F, 6};
    case 3: return {PostOp::Kind::sigmoid};
    case 4: return {PostOp::Kind::elu, 0.5F};
    case 5: return {PostOp::Kind::mish};
    case 6: return {PostOp::Kind::gelu};
    case 7: return {PostOp::Kind::gelu_tanh};
    case 8: return {PostOp::Kind::hard_swish};
    default: return {PostOp::Kind::tanh};
  }
}

}  // namespace

ProductTypes random_types(Rng& rng, int64_t channels, int weights_axis) {
  ProductTypes types;
  types.integer = rng.below(4) != 0;
  const uint32_t posts = rng.below(3);
  for (uint32_t i = 0; i < posts; ++i) types.posts.push_back(random_activation(rng, types.integer));
  if (!types.integer) return types;
  types.source = eight_bits(rng, 0.01F + rng.uniform() / 10);
  const bool per_channel = rng.below(2) == 0;
  std::vector<float> scales(per_channel ? static_cast<size_t>(channels) : 1);
  for (float& scale : scales) scale = 0.002F + rng.uniform() / 50;
  const std::vector<int32_t> zeros(scales.size(), 0);
  types.weights = checked_params({8, true, false}, scales, zeros,
                                 per_channel ? std::optional(weights_axis) : std::nullopt);
  types.codes_out = rng.below(3) != 0;
  types.integer_bias = rng.below(2) == 0;
  return types;
}

Tensor random_operand(Rng& rng, Shape shape, const QuantParams* params) {
  if (params == nullptr) {
    Tensor tensor(DType::float32, std::move(shape));
    for (float& value : tensor.data<float>())
      value = (static_cast<float>(rng.below(129)) - 64) / 16;
    return tensor;
  }
  Tensor tensor(params->type.storage(), std::move(shape));
  auto* bytes = reinterpret_cast<uint8_t*>(tensor.raw());
  for (size_t i = 0; i < tensor.bytes(); ++i) bytes[i] = static_cast<uint8_t>(rng.below(256));
  return tensor;
}

Tensor random_weights(Rng& rng, Shape shape, const QuantParams* params) {
  Tensor weights = random_operand(rng, std::move(shape), params);
  if (params != nullptr && rng.below(2) == 0) {
    for (int8_t& code : weights.data<int8_t>()) code = static_cast<int8_t>(code / 2);
  }
  return weights;
}

std::vector<double> factors(const Tensor& tensor, const QuantParams* params) {
  std::vector<double> values = to_doubles(tensor);
  if (params != nullptr) {
    for (double& value : values) value -= params->zero_point[0];
  }
  return values;
}

Bias random_bias(Rng& rng, const ProductTypes& types, int64_t channels) {
  Bias bias;
  bias.present = rng.below(4) != 0;
  if (!bias.present) return bias;
  if (types.integer && types.integer_bias) {
    bias.elements = Tensor(DType::int32, {channels});
    for (int32_t& code : bias.elements.data<int32_t>())
      code = static_cast<int32_t>(rng.below(60001)) - 30000;
    bias.params.type = types.weights.type;
    for (const float scale : types.weights.scale)
      bias.params.scale.push_back(scale * types.source.scale[0]);
    bias.params.zero_point.assign(bias.params.scale.size(), 0);
    bias.params.axis = types.weights.per_tensor() ? std::nullopt : std::optional(0);
  } else {
    bias.elements = Tensor(DType::float32, {channels});
    for (float& value : bias.elements.data<float>()) value = rng.normal();
  }
  return bias;
}

void settle_destination(Rng& rng, ProductTypes& types, const std::vector<double>& reals) {
  double most = 1e-3;
  for (const double real : reals) most = std::max(most, std::abs(real));
  types.destination = eight_bits(rng, static_cast<float>(most / (60 + rng.below(120))));
}

double activated(const std::vector<PostOp>& posts, double y, double residual) {
  for (const PostOp& op : posts) {
    const double alpha = op.alpha;
    const double beta = op.beta;
    switch (op.kind) {
      case PostOp::Kind::relu: y = std::max(y, 0.0); break;
      case PostOp::Kind::leaky_relu: y = y < 0 ? alpha * y : y; break;
      case PostOp::Kind::clip: y = std::min(std::max(y, alpha), beta); break;
      case PostOp::Kind::sigmoid: y = 1 / (1 + std::exp(-y)); break;
      case PostOp::Kind::tanh: y = std::tanh(y); break;
      case PostOp::Kind::hard_swish: y *= std::min(std::max(y / 6 + 0.5, 0.0), 1.0); break;
      case PostOp::Kind::elu: y = y < 0 ? alpha * std::expm1(y) : y; break;
      case PostOp::Kind::mish: y *= std::tanh(std::log1p(std::exp(y))); break;
      case PostOp::Kind::gelu: y *= 0.5 * (1 + std::erf(y * std::sqrt(0.5))); break;
      case PostOp::Kind::gelu_tanh:
        y *= 0.5 * (1 + std::tanh(std::sqrt(2 / M_PI) * (y + 0.044715 * y * y * y)));
        break;
      case PostOp::Kind::add: y += residual; break;
      default: QTOOL_CHECK(false, "not among the specs");
    }
  }
  return y;
}

std::string compare(const Tensor& got, const std::vector<double>& wanted,
                    const std::vector<double>& magnitude, const ProductTypes& types, Tally& tally) {
  const std::vector<double> values = to_doubles(got);
  std::string first;
  int64_t wrong = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    ++tally.results;
    double target = wanted[i];
    double allowed = 1e-5 * magnitude[i] + 1e-5 * std::abs(target) + 1e-6;
    if (types.codes_out) {
      const QuantParams& y = types.destination;
      target = std::nearbyint(target / static_cast<double>(y.scale[0])) + y.zero_point[0];
      target = std::min<double>(std::max<double>(target, y.type.lowest()), y.type.highest());
      allowed = 1;
    }
    const double off = std::abs(values[i] - target);
    if (types.codes_out && off == 1) ++tally.off_by_one;
    if (off <= allowed) continue;
    if (wrong++ == 0)
      first =
          fmt::format("result {} is {} instead of {} (allowed {})", i, values[i], target, allowed);
  }
  return wrong == 0 ? "" : fmt::format("{} of {} wrong, {}", wrong, wanted.size(), first);
}

std::string summary(const std::string& what, const Tally& tally) {
  std::string text = fmt::format("{}: {} cases, {} of {} results off by one code; refused:", what,
                                 tally.cases, tally.off_by_one, tally.results);
  for (const auto& [reason, count] : tally.refused) text += fmt::format(" {} ({});", reason, count);
  return text + '\n';
}

std::vector<uint64_t> seeds(uint64_t first, int usual) {
  if (const char* only = std::getenv("QTOOL_TEST_SEED")) return {std::strtoull(only, nullptr, 10)};
  const char* effort = std::getenv("QTOOL_TEST_EFFORT");
  std::vector<uint64_t> list(static_cast<size_t>(usual) *
                             (effort != nullptr ? std::strtoull(effort, nullptr, 10) : 1));
  std::iota(list.begin(), list.end(), first);
  return list;
}

std::string describe(const ProductTypes& types, const Bias& bias) {
  std::string text = types.integer
                         ? fmt::format("{} zero {}, weights {}", to_string(types.source.type),
                                       types.source.zero_point[0],
                                       types.weights.per_tensor() ? "per tensor" : "per channel")
                         : std::string("float");
  if (bias.present) text += bias.elements.dtype() == DType::int32 ? ", int32 bias" : ", float bias";
  for (const PostOp& op : types.posts)
    text += ", post-op " + std::to_string(static_cast<int>(op.kind));
  if (types.codes_out)
    text += fmt::format(" -> {} zero {}", to_string(types.destination.type),
                        types.destination.zero_point[0]);
  return text;
}

Tensor stored(const Tensor& x, Layout layout) {
  Tensor y(x.dtype(), x.shape());
  const auto to = strides(x.shape(), layout);
  const auto width = static_cast<size_t>(bits(x.dtype())) / 8;
  for (int64_t i = 0; i < x.size(); ++i) {
    int64_t rest = i;
    int64_t at = 0;
    for (size_t d = x.shape().size(); d-- > 0;) {
      at += rest % x.shape()[d] * to[d];
      rest /= x.shape()[d];
    }
    std::copy_n(x.raw() + static_cast<size_t>(i) * width, width,
                y.raw() + static_cast<size_t>(at) * width);
  }
  return y;
}

Tensor loaded(const Tensor& y, Layout layout) {
  Tensor x(y.dtype(), y.shape());
  const auto from = strides(y.shape(), layout);
  const auto width = static_cast<size_t>(bits(y.dtype())) / 8;
  for (int64_t i = 0; i < y.size(); ++i) {
    int64_t rest = i;
    int64_t at = 0;
    for (size_t d = y.shape().size(); d-- > 0;) {
      at += rest % y.shape()[d] * from[d];
      rest /= y.shape()[d];
    }
    std::copy_n(y.raw() + static_cast<size_t>(at) * width, width,
                x.raw() + static_cast<size_t>(i) * width);
  }
  return x;
}

}  // namespace qtool::test
