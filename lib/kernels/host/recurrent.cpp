// SPDX-License-Identifier: Apache-2.0
#include "kernels/host/recurrent.h"

#include <algorithm>
#include <cstring>

#include "kernels/host/elementwise.h"
#include "kernels/host/packed_matrix.h"
#include "kernels/onednn/primitives.h"
#include "support/parallel.h"

namespace qtool {

namespace {

using Cell = RecurrentSpec::Cell;

constexpr int64_t kGrain = 32768;  ///< multiplications that are worth a thread

size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

void activate(const std::vector<PostOp>& chain, float* x, int64_t count) {
  for (const PostOp& op : chain) apply(op, x, x, count);
}

/// One direction's constants.
struct Layer {
  KernelPtr projection;    ///< all steps' inputs → gates, with the bias
  PackedMatrix direct;     ///< what the gates take of the last state
  PackedMatrix candidate;  ///< GRU: what the third gate takes
  std::vector<float> candidate_bias;
  const float* peepholes = nullptr;
  const RecurrentSpec::Direction* direction = nullptr;
};

class RecurrentKernel final : public Kernel {
 public:
  RecurrentKernel(RecurrentSpec spec, std::vector<Layer> layers, std::vector<float> peepholes)
      : spec_(std::move(spec)), layers_(std::move(layers)), peepholes_(std::move(peepholes)),
        width_(spec_.gates() * spec_.hidden) {
    for (size_t d = 0; d < layers_.size(); ++d) {
      layers_[d].direction = &spec_.directions[d];
      if (!peepholes_.empty()) {
        layers_[d].peepholes = peepholes_.data() + d * static_cast<size_t>(3 * spec_.hidden);
      }
      inner_scratch_ = std::max(inner_scratch_, layers_[d].projection->scratch_bytes());
    }
  }

  void run(const KernelArgs& args) override {
    check_lengths(args);
    for (size_t d = 0; d < layers_.size(); ++d) run_direction(args, d);
  }
  std::string description() const override {
    return "host recurrence, " + layers_[0].projection->description();
  }
  size_t scratch_bytes() const override {
    return aligned(inner_scratch_) + aligned(gate_bytes()) + 3 * aligned(state_bytes());
  }

 private:
  size_t gate_bytes() const {
    return static_cast<size_t>(spec_.steps * spec_.batch * width_) * sizeof(float);
  }
  size_t state_bytes() const {
    return static_cast<size_t>(spec_.batch * spec_.hidden) * sizeof(float);
  }

  /// One direction in progress.
  struct Run {
    const Layer* layer;
    size_t index;
    float* gates;  ///< [T, B, G * H], or [B, T, G * H]
    float* h;      ///< [B, H]
    float* c;
    float* spare;  ///< [B, H]
    const int32_t* lengths;
    float* y;
  };

  static const void* input(const KernelArgs& args, size_t i) {
    return i < args.inputs.size() ? args.inputs[i] : nullptr;
  }
  static float* output(const KernelArgs& args, size_t i) {
    return i < args.outputs.size() ? static_cast<float*>(args.outputs[i]) : nullptr;
  }

  void check_lengths(const KernelArgs& args) const {
    const auto* lengths = static_cast<const int32_t*>(input(args, 4));
    for (int64_t b = 0; lengths != nullptr && b < spec_.batch; ++b) {
      if (lengths[b] >= 0 && lengths[b] <= spec_.steps) continue;
      throw input_error("a sequence of length " + std::to_string(lengths[b]) + " in " +
                        std::to_string(spec_.steps) + " steps");
    }
  }

  /// Where a direction's state of batch element b stands among all.
  int64_t state_place(size_t d, int64_t b) const {
    const auto directions = static_cast<int64_t>(layers_.size());
    const auto at = static_cast<int64_t>(d);
    return (spec_.batch_first ? b * directions + at : at * spec_.batch + b) * spec_.hidden;
  }
  int64_t result_place(size_t d, int64_t step, int64_t b) const {
    const auto directions = static_cast<int64_t>(layers_.size());
    const auto at = static_cast<int64_t>(d);
    return (spec_.batch_first ? (b * spec_.steps + step) * directions + at
                              : (step * directions + at) * spec_.batch + b) *
           spec_.hidden;
  }
  float* gate_row(const Run& run, int64_t step, int64_t b) const {
    return run.gates +
           (spec_.batch_first ? b * spec_.steps + step : step * spec_.batch + b) * width_;
  }

  void run_direction(const KernelArgs& args, size_t d) {
    auto* memory = static_cast<std::byte*>(args.scratch) + aligned(inner_scratch_);
    const auto take = [&](size_t bytes) {
      auto* taken = reinterpret_cast<float*>(memory);
      memory += aligned(bytes);
      return taken;
    };
    Run run{&layers_[d],
            d,
            take(gate_bytes()),
            nullptr,
            nullptr,
            nullptr,
            static_cast<const int32_t*>(input(args, 4)),
            output(args, 0)};
    run.h = take(state_bytes());
    run.c = take(state_bytes());
    run.spare = take(state_bytes());
    const void* source = args.inputs[0];
    void* gates = run.gates;
    run.layer->projection->run({{&source, 1}, {&gates, 1}, args.scratch});
    load_state(run, input(args, 5), run.h);
    load_state(run, spec_.cell == Cell::lstm ? input(args, 6) : nullptr, run.c);
    for (int64_t step = 0; step < spec_.steps; ++step) advance(run, step);
    store_state(run.h, d, output(args, 1));
    if (spec_.cell == Cell::lstm) store_state(run.c, d, output(args, 2));
  }

  /// A sequence without elements ends in zeros, not in its initial state, as in ONNX Runtime.
  void load_state(const Run& run, const void* from, float* state) const {
    for (int64_t b = 0; b < spec_.batch; ++b) {
      float* row = state + b * spec_.hidden;
      if (from == nullptr || (run.lengths != nullptr && run.lengths[b] == 0)) {
        std::fill_n(row, spec_.hidden, 0.0F);
      } else {
        std::copy_n(static_cast<const float*>(from) + state_place(run.index, b), spec_.hidden, row);
      }
    }
  }
  void store_state(const float* state, size_t d, float* to) const {
    for (int64_t b = 0; to != nullptr && b < spec_.batch; ++b) {
      std::copy_n(state + b * spec_.hidden, spec_.hidden, to + state_place(d, b));
    }
  }

  /// The position in its sequence that batch element b is at; nothing beyond its end.
  int64_t position(const Run& run, int64_t step, int64_t b) const {
    const int64_t length = run.lengths == nullptr ? spec_.steps : run.lengths[b];
    if (step >= length) return -1;
    return run.layer->direction->backward ? length - 1 - step : step;
  }

  void advance(const Run& run, int64_t step) {
    const PackedMatrix& matrix = run.layer->direct;
    const int64_t blocks = matrix.blocks();
    const int64_t grain = std::max<int64_t>(1, kGrain / (spec_.hidden * 64));
    parallel_for(spec_.batch * blocks, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t b = i / blocks;
        const int64_t at = position(run, step, b);
        if (at < 0) continue;
        matrix.multiply_add(run.h + b * spec_.hidden, gate_row(run, at, b), i % blocks,
                            i % blocks + 1);
      }
    });
    const int64_t row_grain = std::max<int64_t>(1, kGrain / (spec_.hidden * 64));
    parallel_for(spec_.batch, row_grain, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) finish(run, step, b);
    });
  }

  /// From the gates of one sequence to its next state.
  void finish(const Run& run, int64_t step, int64_t b) const {
    const int64_t at = position(run, step, b);
    if (at < 0) {
      if (run.y != nullptr) {
        std::fill_n(run.y + result_place(run.index, step, b), spec_.hidden, 0.0F);
      }
      return;
    }
    float* gates = gate_row(run, at, b);
    float* h = run.h + b * spec_.hidden;
    switch (spec_.cell) {
      case Cell::rnn: finish_rnn(run, gates, h); break;
      case Cell::gru: finish_gru(run, gates, h, run.spare + b * spec_.hidden); break;
      case Cell::lstm: finish_lstm(run, gates, h, run.c + b * spec_.hidden); break;
    }
    if (run.y != nullptr) std::copy_n(h, spec_.hidden, run.y + result_place(run.index, at, b));
  }

  void clip(float* x, int64_t count) const {
    if (spec_.clip <= 0) return;
    apply({PostOp::Kind::clip, -spec_.clip, spec_.clip}, x, x, count);
  }

  void finish_rnn(const Run& run, float* gates, float* h) const {
    clip(gates, spec_.hidden);
    activate(run.layer->direction->activations[0], gates, spec_.hidden);
    std::copy_n(gates, spec_.hidden, h);
  }

  void finish_gru(const Run& run, float* gates, float* h, float* spare) const {
    const int64_t n = spec_.hidden;
    const Layer& layer = *run.layer;
    const float* z = gates;
    const float* r = gates + n;
    float* candidate = gates + 2 * n;
    clip(gates, 2 * n);
    activate(layer.direction->activations[0], gates, 2 * n);
    if (spec_.linear_before_reset) {
      std::ranges::copy(layer.candidate_bias, spare);
      layer.candidate.multiply_add(h, spare, 0, layer.candidate.blocks());
      for (int64_t i = 0; i < n; ++i) candidate[i] += r[i] * spare[i];
    } else {
      for (int64_t i = 0; i < n; ++i) spare[i] = r[i] * h[i];
      layer.candidate.multiply_add(spare, candidate, 0, layer.candidate.blocks());
    }
    clip(candidate, n);
    activate(layer.direction->activations[1], candidate, n);
    for (int64_t i = 0; i < n; ++i) h[i] = (1 - z[i]) * candidate[i] + z[i] * h[i];
  }

  void finish_lstm(const Run& run, float* gates, float* h, float* c) const {
    const int64_t n = spec_.hidden;
    const auto& activations = run.layer->direction->activations;
    float* in = gates;
    float* out = gates + n;
    float* forget = gates + 2 * n;
    float* cell = gates + 3 * n;
    const float* p = run.layer->peepholes;
    for (int64_t i = 0; p != nullptr && i < n; ++i) {
      in[i] += p[i] * c[i];
      forget[i] += p[2 * n + i] * c[i];
    }
    clip(in, n);
    clip(forget, 2 * n);
    activate(activations[0], in, n);
    if (spec_.input_forget) {
      for (int64_t i = 0; i < n; ++i) forget[i] = 1 - in[i];
    } else {
      activate(activations[0], forget, n);
    }
    activate(activations[1], cell, n);
    for (int64_t i = 0; i < n; ++i) c[i] = forget[i] * c[i] + in[i] * cell[i];
    for (int64_t i = 0; p != nullptr && i < n; ++i) out[i] += p[n + i] * c[i];
    clip(out, n);
    activate(activations[0], out, n);
    std::copy_n(c, n, h);
    activate(activations[2], h, n);
    for (int64_t i = 0; i < n; ++i) h[i] *= out[i];
  }

  RecurrentSpec spec_;
  std::vector<Layer> layers_;
  std::vector<float> peepholes_;
  int64_t width_;
  size_t inner_scratch_ = 0;
};

/// W h + R h share one bias, but for what GRU resets before it adds.
std::vector<float> projection_bias(const RecurrentSpec& spec, size_t d) {
  const auto width = static_cast<size_t>(spec.gates() * spec.hidden);
  std::vector<float> sum(width, 0.0F);
  if (spec.bias == nullptr) return sum;
  const float* all = spec.bias->data<float>().data() + d * 2 * width;
  const bool apart = spec.cell == Cell::gru && spec.linear_before_reset;
  const size_t joined = apart ? static_cast<size_t>(2 * spec.hidden) : width;
  for (size_t i = 0; i < width; ++i) sum[i] = all[i] + (i < joined ? all[width + i] : 0.0F);
  return sum;
}

MadeKernel make_projection(const RecurrentSpec& spec, size_t d) {
  const int64_t width = spec.gates() * spec.hidden;
  const auto slice = static_cast<size_t>(width * spec.inputs);
  const Tensor weights = Tensor::of<float>({width, spec.inputs},
                                           spec.weights->data<float>().subspan(d * slice, slice));
  const Tensor bias = Tensor::of<float>({width}, projection_bias(spec, d));
  const int64_t rows = spec.steps * spec.batch;
  onednn::MatmulSpec product;
  product.source = {DType::float32, {rows, spec.inputs}, Layout::plain, nullptr};
  product.weights = {DType::float32, {spec.inputs, width}, Layout::plain, nullptr};
  product.destination = {DType::float32, {rows, width}, Layout::plain, nullptr};
  product.constant_weights = &weights;
  product.transposed_weights = true;
  product.bias = &bias;
  return onednn::make_matmul(product);
}

}  // namespace

MadeKernel make_recurrent(const RecurrentSpec& spec) {
  std::vector<Layer> layers;
  const int64_t n = spec.hidden;
  const int64_t width = spec.gates() * n;
  for (size_t d = 0; d < spec.directions.size(); ++d) {
    MadeKernel projection = make_projection(spec, d);
    if (projection.kernel == nullptr) return projection;
    Layer layer;
    layer.projection = std::move(projection.kernel);
    const float* matrix =
        spec.recurrence->data<float>().data() + d * static_cast<size_t>(width * n);
    const bool apart = spec.cell == Cell::gru;
    layer.direct = PackedMatrix(matrix, apart ? 2 * n : width, n);
    if (apart) {
      layer.candidate = PackedMatrix(matrix + 2 * n * n, n, n);
      layer.candidate_bias.assign(static_cast<size_t>(n), 0.0F);
      if (spec.bias != nullptr) {
        const float* all = spec.bias->data<float>().data() + d * static_cast<size_t>(2 * width);
        std::copy_n(all + width + 2 * n, n, layer.candidate_bias.begin());
      }
    }
    layers.push_back(std::move(layer));
  }
  std::vector<float> peepholes;
  if (spec.peepholes != nullptr) {
    const auto all = spec.peepholes->data<float>();
    peepholes.assign(all.begin(), all.end());
  }
  return {std::make_unique<RecurrentKernel>(spec, std::move(layers), std::move(peepholes))};
}

}  // namespace qtool
