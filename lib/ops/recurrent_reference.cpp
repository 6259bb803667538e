// SPDX-License-Identifier: Apache-2.0
// The equations of ONNX's operator definitions, one sequence at a time, in double.
#include <algorithm>

#include "ops/reals.h"
#include "ops/recurrent.h"
#include "support/text.h"

namespace qtool {

namespace {

using Cell = RecurrentSpec::Cell;
using Vector = std::vector<double>;

/// One direction's weights, as [gate * H + unit, k].
struct Weights {
  RecurrentExtents extents;
  int64_t gates;
  const double* w;
  const double* r;
  const double* wb;  ///< null: none
  const double* rb;
  const double* p;  ///< peepholes i, o, f, or null

  double input(int64_t row, const double* x) const {
    double sum = wb == nullptr ? 0 : wb[row];
    for (int64_t k = 0; k < extents.inputs; ++k) sum += w[row * extents.inputs + k] * x[k];
    return sum;
  }
  double state(int64_t row, const Vector& h) const {
    double sum = rb == nullptr ? 0 : rb[row];
    for (int64_t k = 0; k < extents.hidden; ++k) {
      sum += r[row * extents.hidden + k] * h[static_cast<size_t>(k)];
    }
    return sum;
  }
};

class Sequence {
 public:
  Sequence(const RecurrentForm& form, size_t direction, const Weights& weights)
      : form_(form), activations_(form.activations[direction]), weights_(weights),
        hidden_(weights.extents.hidden) {}

  /// From a step's input to the next state.
  void step(const double* x, Vector& h, Vector& c) const {
    if (form_.cell == Cell::rnn) {
      h = gate(0, 0, x, h);
    } else if (form_.cell == Cell::gru) {
      step_gru(x, h);
    } else {
      step_lstm(x, h, c);
    }
  }

 private:
  double clipped(double x) const {
    return form_.clip > 0 ? std::clamp(x, -form_.clip, form_.clip) : x;
  }

  /// activation(W x + R h + biases + peephole . c) of one gate.
  Vector gate(int64_t index, size_t activation, const double* x, const Vector& h,
              const double* peephole = nullptr, const Vector* c = nullptr) const {
    Vector result;
    for (int64_t i = 0; i < hidden_; ++i) {
      const int64_t row = index * hidden_ + i;
      double sum = weights_.input(row, x) + weights_.state(row, h);
      if (peephole != nullptr) sum += peephole[i] * (*c)[static_cast<size_t>(i)];
      result.push_back(activations_[activation].value(clipped(sum)));
    }
    return result;
  }

  void step_gru(const double* x, Vector& h) const {
    const Vector z = gate(0, 0, x, h);
    const Vector r = gate(1, 0, x, h);
    Vector reset = h;
    for (size_t i = 0; i < h.size(); ++i) reset[i] *= r[i];
    Vector next;
    for (size_t i = 0; i < h.size(); ++i) {
      const int64_t row = 2 * hidden_ + static_cast<int64_t>(i);
      const double from_state =
          form_.linear_before_reset ? r[i] * weights_.state(row, h) : weights_.state(row, reset);
      const double candidate = activations_[1].value(clipped(weights_.input(row, x) + from_state));
      next.push_back((1 - z[i]) * candidate + z[i] * h[i]);
    }
    h = std::move(next);
  }

  void step_lstm(const double* x, Vector& h, Vector& c) const {
    const double* p = weights_.p;
    const Vector in = gate(0, 0, x, h, p, &c);
    Vector forget = gate(2, 0, x, h, p == nullptr ? nullptr : p + 2 * hidden_, &c);
    const Vector cell = gate(3, 1, x, h);
    for (size_t i = 0; i < c.size(); ++i) {
      if (form_.input_forget) forget[i] = 1 - in[i];
      c[i] = forget[i] * c[i] + in[i] * cell[i];
    }
    const Vector out = gate(1, 0, x, h, p == nullptr ? nullptr : p + hidden_, &c);
    for (size_t i = 0; i < c.size(); ++i) h[i] = out[i] * activations_[2].value(c[i]);
  }

  const RecurrentForm& form_;
  const std::vector<RecurrentActivation>& activations_;
  const Weights& weights_;
  int64_t hidden_;
};

Vector optional_reals(const ReferenceCall& call, size_t slot) {
  return call.has(slot) ? reals(call, slot) : Vector{};
}

std::vector<int64_t> sequence_lengths(const ReferenceCall& call, const RecurrentExtents& extents) {
  if (!call.has(4)) return std::vector<int64_t>(static_cast<size_t>(extents.batch), extents.steps);
  std::vector<int64_t> lengths = to_int64s(call.input(4));
  for (const int64_t length : lengths) {
    if (length < 0 || length > extents.steps) {
      throw input_error(fmt::format("a sequence of length {} in {} steps", length, extents.steps));
    }
  }
  return lengths;
}

/// The layer's inputs and results as flat lists.
struct Memory {
  Vector x, w, r, b, h, c, p;
  Vector y, last_h, last_c;
};

void run_sequence(const RecurrentForm& form, const RecurrentExtents& e, Memory& m, int64_t d,
                  int64_t b, int64_t length) {
  const int64_t directions = form.directions();
  const int64_t width = form.gates() * e.hidden;
  const auto from = [](const Vector& list, int64_t at) {
    return list.empty() ? nullptr : list.data() + at;
  };
  const Weights weights{e,
                        form.gates(),
                        m.w.data() + d * width * e.inputs,
                        m.r.data() + d * width * e.hidden,
                        from(m.b, d * 2 * width),
                        from(m.b, d * 2 * width + width),
                        from(m.p, d * 3 * e.hidden)};
  const Sequence sequence(form, static_cast<size_t>(d), weights);
  const int64_t place = (form.batch_first ? b * directions + d : d * e.batch + b) * e.hidden;
  const auto state = [&](const Vector& initial) {
    if (initial.empty() || length == 0) return Vector(static_cast<size_t>(e.hidden), 0.0);
    return Vector(initial.begin() + place, initial.begin() + place + e.hidden);
  };
  Vector h = state(m.h);
  Vector c = state(m.c);
  for (int64_t step = 0; step < length; ++step) {
    const int64_t t = form.backward[static_cast<size_t>(d)] ? length - 1 - step : step;
    const int64_t row = form.batch_first ? b * e.steps + t : t * e.batch + b;
    sequence.step(m.x.data() + row * e.inputs, h, c);
    const int64_t at =
        form.batch_first ? (b * e.steps + t) * directions + d : (t * directions + d) * e.batch + b;
    std::ranges::copy(h, m.y.begin() + at * e.hidden);
  }
  std::ranges::copy(h, m.last_h.begin() + place);
  std::ranges::copy(c, m.last_c.begin() + place);
}

}  // namespace

std::vector<Tensor> recurrent_reference(const ReferenceCall& call) {
  const RecurrentForm form = recurrent_form(call.node);
  const DType dtype = call.input(0).dtype();
  const RecurrentExtents e = recurrent_extents(form, call.input(0).shape(), call.input(2).shape());
  Memory m{reals(call, 0),
           reals(call, 1),
           reals(call, 2),
           optional_reals(call, 3),
           optional_reals(call, 5),
           optional_reals(call, 6),
           optional_reals(call, 7),
           {},
           {},
           {}};
  const int64_t directions = form.directions();
  const Shape y = form.batch_first ? Shape{e.batch, e.steps, directions, e.hidden}
                                   : Shape{e.steps, directions, e.batch, e.hidden};
  const Shape state = form.batch_first ? Shape{e.batch, directions, e.hidden}
                                       : Shape{directions, e.batch, e.hidden};
  m.y.resize(static_cast<size_t>(element_count(y)));
  m.last_h.resize(static_cast<size_t>(element_count(state)));
  m.last_c.resize(m.last_h.size());
  const std::vector<int64_t> lengths = sequence_lengths(call, e);
  for (int64_t d = 0; d < directions; ++d) {
    for (int64_t b = 0; b < e.batch; ++b) {
      run_sequence(form, e, m, d, b, lengths[static_cast<size_t>(b)]);
    }
  }
  std::vector<Tensor> results;
  results.push_back(real_tensor(dtype, y, m.y));
  results.push_back(real_tensor(dtype, state, m.last_h));
  results.push_back(real_tensor(dtype, state, m.last_c));
  return results;
}

}  // namespace qtool
