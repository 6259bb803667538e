// SPDX-License-Identifier: Apache-2.0
#include "train/optimizer.h"

#include <algorithm>
#include <cmath>

#include "support/parallel.h"

namespace qtool {

namespace {

constexpr int64_t kGrain = int64_t{1} << 15;

double squared_norm(const Tensor& gradient) {
  // In pieces of one length, so that the sum does not depend on threads; parameters are small.
  double sum = 0;
  for (const float g : gradient.data<float>()) {
    sum += static_cast<double>(g) * static_cast<double>(g);
  }
  return sum;
}

bool is_grid(const Parameter& parameter) {
  return parameter.kind == Parameter::Kind::scale || parameter.kind == Parameter::Kind::zero_point;
}

struct Rates {
  float rate;
  float decay;
  float factor;  ///< of gradients, from clipping
};

void sgd(const OptimizerSpec& spec, const Rates& r, float* value, const float* gradient,
         float* velocity, int64_t count) {
  const auto momentum = static_cast<float>(spec.momentum);
  const float ahead = spec.nesterov ? momentum : 0.0F;
  for (int64_t i = 0; i < count; ++i) {
    const float g = gradient[i] * r.factor + r.decay * value[i];
    velocity[i] = momentum * velocity[i] + g;
    const float step = spec.nesterov ? g + ahead * velocity[i] : velocity[i];
    value[i] -= r.rate * step;
  }
}

void adam(const OptimizerSpec& spec, const Rates& r, int64_t steps, float* value,
          const float* gradient, float* first, float* second, int64_t count) {
  const auto beta1 = static_cast<float>(spec.beta1);
  const auto beta2 = static_cast<float>(spec.beta2);
  const bool decoupled = spec.kind == OptimizerSpec::Kind::adamw;
  const auto whole = static_cast<double>(steps);
  const auto correct1 = static_cast<float>(1 - std::pow(spec.beta1, whole));
  const auto correct2 = static_cast<float>(std::sqrt(1 - std::pow(spec.beta2, whole)));
  const auto epsilon = static_cast<float>(spec.epsilon);
  for (int64_t i = 0; i < count; ++i) {
    if (decoupled) value[i] -= r.rate * r.decay * value[i];
    const float g = gradient[i] * r.factor + (decoupled ? 0.0F : r.decay * value[i]);
    first[i] = beta1 * first[i] + (1 - beta1) * g;
    second[i] = beta2 * second[i] + (1 - beta2) * g * g;
    const float deviation = std::sqrt(second[i]) / correct2 + epsilon;
    value[i] -= r.rate / correct1 * first[i] / deviation;
  }
}

}  // namespace

OptimizerSpec::Kind parse_optimizer(const std::string& text) {
  if (text == "sgd") return OptimizerSpec::Kind::sgd;
  if (text == "adam") return OptimizerSpec::Kind::adam;
  if (text == "adamw") return OptimizerSpec::Kind::adamw;
  throw usage_error("there is no optimizer \"" + text + '"', "It is sgd, adam or adamw.");
}

Optimizer::Optimizer(const OptimizerSpec& spec, std::span<const Parameter> parameters)
    : spec_(spec) {
  const int each = spec.kind == OptimizerSpec::Kind::sgd ? 1 : 2;
  for (int m = 0; m < each; ++m) {
    for (const Parameter& parameter : parameters) {
      moments_.emplace_back(DType::float32, parameter.value.shape());
    }
  }
}

double Optimizer::update(std::span<Parameter> parameters, std::span<const Tensor> gradients,
                         double rate) {
  double sum = 0;
  const auto moves = [&](size_t p) {
    return gradients[p].dtype() != DType::undefined && !parameters[p].fixed;
  };
  for (size_t p = 0; p < parameters.size(); ++p) {
    if (moves(p)) sum += squared_norm(gradients[p]);
  }
  const double norm = std::sqrt(sum);
  const bool clip = spec_.clip_norm > 0 && norm > spec_.clip_norm;
  const auto factor = static_cast<float>(clip ? spec_.clip_norm / norm : 1);
  ++steps_;
  for (size_t p = 0; p < parameters.size(); ++p) {
    if (!moves(p)) continue;
    Parameter& parameter = parameters[p];
    const bool decays = parameter.kind == Parameter::Kind::weight || parameter.decays;
    const Rates rates{static_cast<float>(rate * (is_grid(parameter) ? spec_.grid_rate : 1)),
                      static_cast<float>(decays ? spec_.weight_decay : 0), factor};
    float* value = parameter.value.data<float>().data();
    const float* gradient = gradients[p].data<float>().data();
    float* first = moments_[p].data<float>().data();
    const bool two = spec_.kind != OptimizerSpec::Kind::sgd;
    float* second = two ? moments_[parameters.size() + p].data<float>().data() : nullptr;
    parallel_for(parameter.value.size(), kGrain, [&](int64_t begin, int64_t end) {
      if (two) {
        adam(spec_, rates, steps_, value + begin, gradient + begin, first + begin, second + begin,
             end - begin);
      } else {
        sgd(spec_, rates, value + begin, gradient + begin, first + begin, end - begin);
      }
    });
    if (is_grid(parameter)) {
      for (float& v : parameter.value.data<float>()) {
        v = std::clamp(v, parameter.lowest, parameter.highest);
      }
    }
  }
  return norm;
}

Schedule::Kind parse_schedule(const std::string& text) {
  if (text == "constant") return Schedule::Kind::constant;
  if (text == "step") return Schedule::Kind::step;
  if (text == "cosine") return Schedule::Kind::cosine;
  throw usage_error("there is no schedule \"" + text + '"', "It is constant, step or cosine.");
}

double Schedule::at(int64_t step) const {
  if (step < warm_up) return rate * static_cast<double>(step + 1) / static_cast<double>(warm_up);
  const double done = static_cast<double>(step - warm_up) /
                      static_cast<double>(std::max<int64_t>(1, steps - warm_up));
  switch (kind) {
    case Kind::constant: return rate;
    case Kind::step: return rate * std::pow(0.1, std::floor(3 * done));
    case Kind::cosine: return rate * 0.5 * (1 + std::cos(M_PI * done));
  }
  return rate;
}

}  // namespace qtool
