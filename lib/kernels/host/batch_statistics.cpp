// SPDX-License-Identifier: Apache-2.0
#include <vector>

#include "kernels/host/gradient.h"

namespace qtool {

namespace {

/// Calls body(offset, channel, count) for every run of elements of one channel or, where channels
/// are innermost, body(offset, 0, channels) for every row of them.
template <class Body>
void for_each_run(const ChannelSpans& spans, Body&& body) {
  for (int64_t o = 0; o < spans.outer; ++o) {
    const int64_t row = o * spans.channels * spans.inner;
    if (spans.inner == 1) {
      body(row, 0, spans.channels);
    } else {
      for (int64_t c = 0; c < spans.channels; ++c) body(row + c * spans.inner, c, spans.inner);
    }
  }
}

class BatchStatisticsKernel final : public Kernel {
 public:
  explicit BatchStatisticsKernel(const ChannelSpans& spans) : spans_(spans) {}
  void run(const KernelArgs& args) override {
    const auto* x = static_cast<const float*>(args.inputs[0]);
    auto* mean = static_cast<float*>(args.outputs[0]);
    auto* variance = static_cast<float*>(args.outputs[1]);
    const auto channels = static_cast<size_t>(spans_.channels);
    const double count = static_cast<double>(spans_.outer) * static_cast<double>(spans_.inner);
    std::vector<double> means(channels, 0.0);
    sum(
        x, means, [](double value, double) { return value; }, means);
    for (double& m : means) m /= count;
    std::vector<double> squares(channels, 0.0);
    sum(
        x, squares, [](double value, double m) { return (value - m) * (value - m); }, means);
    for (size_t c = 0; c < channels; ++c) {
      if (mean != nullptr) mean[c] = static_cast<float>(means[c]);
      if (variance != nullptr) variance[c] = static_cast<float>(squares[c] / count);
    }
  }
  std::string description() const override { return "host batch statistics"; }

 private:
  /// Adds term(x, center of its channel) to the sum of each channel.
  template <class Term>
  void sum(const float* x, std::vector<double>& sums, Term&& term,
           const std::vector<double>& centers) const {
    const bool innermost = spans_.inner == 1;
    double* to = sums.data();
    const double* center = centers.data();
    for_each_run(spans_, [&](int64_t at, int64_t channel, int64_t length) {
      const float* from = x + at;
      if (innermost) {
        for (int64_t c = 0; c < length; ++c) {
          to[c] += term(static_cast<double>(from[c]), center[c]);
        }
      } else {
        double part = 0;
        for (int64_t i = 0; i < length; ++i) {
          part += term(static_cast<double>(from[i]), center[channel]);
        }
        to[channel] += part;
      }
    });
  }
  ChannelSpans spans_;
};

class BatchStatisticsGradientKernel final : public Kernel {
 public:
  explicit BatchStatisticsGradientKernel(const ChannelSpans& spans) : spans_(spans) {}
  void run(const KernelArgs& args) override {
    const auto* x = static_cast<const float*>(args.inputs[0]);
    const auto* mean = static_cast<const float*>(args.inputs[1]);
    const auto* gmean = static_cast<const float*>(args.inputs[2]);
    const auto* gvariance = static_cast<const float*>(args.inputs[3]);
    auto* gx = static_cast<float*>(args.outputs[0]);
    const float share = 1 / (static_cast<float>(spans_.outer) * static_cast<float>(spans_.inner));
    const auto channels = static_cast<size_t>(spans_.channels);
    std::vector<float> slope(channels);
    std::vector<float> shift(channels);
    for (size_t c = 0; c < channels; ++c) {
      slope[c] = 2 * share * gvariance[c];
      shift[c] = share * gmean[c] - slope[c] * mean[c];
    }
    const bool innermost = spans_.inner == 1;
    for_each_run(spans_, [&](int64_t at, int64_t channel, int64_t length) {
      if (innermost) {
        for (int64_t c = 0; c < length; ++c) {
          gx[at + c] = x[at + c] * slope[static_cast<size_t>(c)] + shift[static_cast<size_t>(c)];
        }
      } else {
        const float a = slope[static_cast<size_t>(channel)];
        const float b = shift[static_cast<size_t>(channel)];
        for (int64_t i = 0; i < length; ++i) gx[at + i] = x[at + i] * a + b;
      }
    });
  }
  std::string description() const override { return "host batch statistics gradient"; }

 private:
  ChannelSpans spans_;
};

}  // namespace

KernelPtr make_batch_statistics(const ChannelSpans& spans) {
  return std::make_unique<BatchStatisticsKernel>(spans);
}

KernelPtr make_batch_statistics_gradient(const ChannelSpans& spans) {
  return std::make_unique<BatchStatisticsGradientKernel>(spans);
}

}  // namespace qtool
