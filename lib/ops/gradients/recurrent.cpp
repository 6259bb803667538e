// SPDX-License-Identifier: Apache-2.0
// RNNGradient, GRUGradient, LSTMGradient (X, W, R, B, sequence_lens, initial_h, initial_c, P, gY,
// gY_h, gY_c) → gX, gW, gR, gB, ginitial_h, ginitial_c, gP: back through time, one sequence after
// the other, in double. The forward pass is run again, since its gates are not outputs.
#include "ops/recurrent.h"

#include <algorithm>
#include <cmath>

#include "ops/gradients/gradients.h"
#include "ops/reals.h"
#include "support/text.h"

namespace qtool {

namespace {

using Cell = RecurrentSpec::Cell;
using Vector = std::vector<double>;

/// Inputs: those of the forward op, then the gradients of its outputs.
enum Slot : size_t { x_slot, w_slot, r_slot, b_slot, lengths_slot, h_slot, c_slot, p_slot, slots };
constexpr Slot kReal[] = {x_slot, w_slot, r_slot, b_slot, h_slot, c_slot, p_slot};

double slope(const RecurrentActivation& f, double x) {
  using Kind = RecurrentActivation::Kind;
  const double y = f.value(x);
  switch (f.kind) {
    case Kind::relu: return x < 0 ? 0 : 1;
    case Kind::tanh: return 1 - y * y;
    case Kind::sigmoid: return y * (1 - y);
    case Kind::affine: return f.alpha;
    case Kind::leaky_relu: return x < 0 ? f.alpha : 1;
    case Kind::thresholded_relu: return x > f.alpha ? 1 : 0;
    case Kind::scaled_tanh: return f.alpha * f.beta * (1 - std::pow(std::tanh(f.beta * x), 2));
    case Kind::hard_sigmoid: return y > 0 && y < 1 ? f.alpha : 0;
    case Kind::elu: return x < 0 ? f.alpha * std::exp(x) : 1;
    case Kind::softsign: return 1 / ((1 + std::fabs(x)) * (1 + std::fabs(x)));
    case Kind::softplus: return 1 / (1 + std::exp(-x));
  }
  return 0;
}

/// Values and, of the same sizes, their gradients, by slot of the forward op.
struct Memory {
  Vector value[slots];
  Vector gradient[slots];
};

/// Part of a slot that one direction or one state uses; null where the slot is absent.
struct Part {
  const double* value = nullptr;
  double* gradient = nullptr;
};

Part part(Memory& memory, Slot slot, int64_t at) {
  if (memory.value[slot].empty()) return {};
  return {memory.value[slot].data() + at, memory.gradient[slot].data() + at};
}

/// What a step leaves for the way back: sums before activations, and the states before it.
struct Step {
  const double* x = nullptr;
  double* gx = nullptr;
  Vector sums;
  Vector h;
  Vector c;
  Vector next_c;
  Vector from_state;  ///< R h + bias of the candidate of a GRU that is linear before its reset
};

/// One direction of one sequence.
class Sequence {
 public:
  Sequence(const RecurrentForm& form, const RecurrentExtents& extents, size_t direction,
           Memory& memory)
      : form_(form), activations_(form.activations[direction]), inputs_(extents.inputs),
        hidden_(extents.hidden), rows_(form.gates() * extents.hidden) {
    const auto d = static_cast<int64_t>(direction);
    w_ = part(memory, w_slot, d * rows_ * inputs_);
    r_ = part(memory, r_slot, d * rows_ * hidden_);
    wb_ = part(memory, b_slot, d * 2 * rows_);
    rb_ = part(memory, b_slot, d * 2 * rows_ + rows_);
    p_ = part(memory, p_slot, d * 3 * hidden_);
  }

  Step forward(const double* x, double* gx, Vector& h, Vector& c) const {
    Step step{x, gx, Vector(static_cast<size_t>(rows_)), h, c, {}, {}};
    if (form_.cell == Cell::gru) {
      forward_gru(step, h);
    } else {
      for (int64_t row = 0; row < rows_; ++row) step.sums[at(row)] = input(row, x) + state(row, h);
      if (form_.cell == Cell::rnn) {
        for (int64_t i = 0; i < hidden_; ++i) h[at(i)] = act(0, step.sums[at(i)]);
      } else {
        forward_lstm(step, h, c);
      }
    }
    return step;
  }

  /// From the gradients of the states behind a step to those before it.
  void backward(const Step& step, Vector& gh, Vector& gc) const {
    Vector before(gh.size(), 0.0);
    if (form_.cell == Cell::rnn) {
      for (int64_t i = 0; i < hidden_; ++i) {
        gate(step, i, gh[at(i)] * slope_at(0, step.sums[at(i)]), before);
      }
    } else if (form_.cell == Cell::gru) {
      backward_gru(step, gh, before);
    } else {
      backward_lstm(step, gh, gc, before);
    }
    gh = std::move(before);
  }

 private:
  static size_t at(int64_t i) { return static_cast<size_t>(i); }
  int64_t row(int64_t gate, int64_t i) const { return gate * hidden_ + i; }

  double clipped(double sum) const {
    return form_.clip > 0 ? std::clamp(sum, -form_.clip, form_.clip) : sum;
  }
  double act(size_t f, double sum) const { return activations_[f].value(clipped(sum)); }
  double slope_at(size_t f, double sum) const {
    const bool cut = form_.clip > 0 && std::fabs(sum) > form_.clip;
    return cut ? 0 : slope(activations_[f], sum);
  }

  double input(int64_t row, const double* x) const {
    double sum = wb_.value == nullptr ? 0 : wb_.value[row];
    for (int64_t k = 0; k < inputs_; ++k) sum += w_.value[row * inputs_ + k] * x[k];
    return sum;
  }
  double state(int64_t row, const Vector& h) const {
    double sum = rb_.value == nullptr ? 0 : rb_.value[row];
    for (int64_t k = 0; k < hidden_; ++k) sum += r_.value[row * hidden_ + k] * h[at(k)];
    return sum;
  }

  void input_back(const Step& step, int64_t row, double g) const {
    for (int64_t k = 0; k < inputs_; ++k) {
      w_.gradient[row * inputs_ + k] += g * step.x[k];
      step.gx[k] += g * w_.value[row * inputs_ + k];
    }
    if (wb_.gradient != nullptr) wb_.gradient[row] += g;
  }
  void state_back(const Vector& h, int64_t row, double g, Vector& gh) const {
    for (int64_t k = 0; k < hidden_; ++k) {
      r_.gradient[row * hidden_ + k] += g * h[at(k)];
      gh[at(k)] += g * r_.value[row * hidden_ + k];
    }
    if (rb_.gradient != nullptr) rb_.gradient[row] += g;
  }
  /// `g`: of the sum before the activation.
  void gate(const Step& step, int64_t row, double g, Vector& before) const {
    input_back(step, row, g);
    state_back(step.h, row, g, before);
  }

  // LSTM: gates i, o, f, c; peepholes i, o, f.

  double peephole(int64_t index, int64_t i, const Vector& c) const {
    return p_.value == nullptr ? 0 : p_.value[row(index, i)] * c[at(i)];
  }

  void forward_lstm(Step& step, Vector& h, Vector& c) const {
    Vector& sums = step.sums;
    for (int64_t i = 0; i < hidden_; ++i) {
      sums[at(row(0, i))] += peephole(0, i, step.c);
      sums[at(row(2, i))] += peephole(2, i, step.c);
      const double in = act(0, sums[at(row(0, i))]);
      const double forget = form_.input_forget ? 1 - in : act(0, sums[at(row(2, i))]);
      c[at(i)] = forget * step.c[at(i)] + in * act(1, sums[at(row(3, i))]);
      sums[at(row(1, i))] += peephole(1, i, c);
      h[at(i)] = act(0, sums[at(row(1, i))]) * activations_[2].value(c[at(i)]);
    }
    step.next_c = c;
  }

  /// Through one gate with a peephole at the cell state `c`, of which `gc` is the gradient.
  void peeping(const Step& step, int64_t index, int64_t i, double g, double c, double& gc,
               Vector& before) const {
    gate(step, row(index, i), g, before);
    if (p_.value == nullptr) return;
    gc += g * p_.value[row(index, i)];
    p_.gradient[row(index, i)] += g * c;
  }

  void backward_lstm(const Step& step, const Vector& gh, Vector& gc, Vector& before) const {
    for (int64_t i = 0; i < hidden_; ++i) {
      const double in_sum = step.sums[at(row(0, i))];
      const double out_sum = step.sums[at(row(1, i))];
      const double forget_sum = step.sums[at(row(2, i))];
      const double cell_sum = step.sums[at(row(3, i))];
      const double in = act(0, in_sum);
      const double forget = form_.input_forget ? 1 - in : act(0, forget_sum);
      const double next_c = step.next_c[at(i)];
      const double c = step.c[at(i)];
      double g = gc[at(i)] + gh[at(i)] * act(0, out_sum) * slope(activations_[2], next_c);
      const double out = gh[at(i)] * activations_[2].value(next_c) * slope_at(0, out_sum);
      peeping(step, 1, i, out, next_c, g, before);
      double g_before = g * forget;
      const double of_in = g * act(1, cell_sum) - (form_.input_forget ? g * c : 0);
      peeping(step, 0, i, of_in * slope_at(0, in_sum), c, g_before, before);
      if (!form_.input_forget) {
        peeping(step, 2, i, g * c * slope_at(0, forget_sum), c, g_before, before);
      }
      gate(step, row(3, i), g * in * slope_at(1, cell_sum), before);
      gc[at(i)] = g_before;
    }
  }

  // GRU: gates z, r, h.

  void forward_gru(Step& step, Vector& h) const {
    Vector& sums = step.sums;
    for (int64_t row = 0; row < 2 * hidden_; ++row) {
      sums[at(row)] = input(row, step.x) + state(row, step.h);
    }
    const Vector reset = reset_state(step);
    for (int64_t i = 0; i < hidden_; ++i) {
      const int64_t candidate = row(2, i);
      double from_state = 0;
      if (form_.linear_before_reset) {
        step.from_state.push_back(state(candidate, step.h));
        from_state = act(0, sums[at(row(1, i))]) * step.from_state.back();
      } else {
        from_state = state(candidate, reset);
      }
      sums[at(candidate)] = input(candidate, step.x) + from_state;
      const double z = act(0, sums[at(i)]);
      h[at(i)] = (1 - z) * act(1, sums[at(candidate)]) + z * step.h[at(i)];
    }
  }

  Vector reset_state(const Step& step) const {
    Vector reset = step.h;
    for (int64_t i = 0; i < hidden_; ++i) reset[at(i)] *= act(0, step.sums[at(row(1, i))]);
    return reset;
  }

  void backward_gru(const Step& step, const Vector& gh, Vector& before) const {
    const Vector reset = reset_state(step);
    Vector of_reset(gh.size(), 0.0);  // gradients of r times h
    Vector of_r(gh.size(), 0.0);
    for (int64_t i = 0; i < hidden_; ++i) {
      const double sum = step.sums[at(row(2, i))];
      const double z = act(0, step.sums[at(i)]);
      const double g = gh[at(i)] * (1 - z) * slope_at(1, sum);
      before[at(i)] += gh[at(i)] * z;
      input_back(step, row(2, i), g);
      if (form_.linear_before_reset) {
        of_r[at(i)] = g * step.from_state[at(i)];
        state_back(step.h, row(2, i), g * act(0, step.sums[at(row(1, i))]), before);
      } else {
        state_back(reset, row(2, i), g, of_reset);
      }
      const double of_z = gh[at(i)] * (step.h[at(i)] - act(1, sum));
      gate(step, i, of_z * slope_at(0, step.sums[at(i)]), before);
    }
    for (int64_t i = 0; i < hidden_; ++i) {
      const double sum = step.sums[at(row(1, i))];
      before[at(i)] += of_reset[at(i)] * act(0, sum);
      const double g = of_r[at(i)] + of_reset[at(i)] * step.h[at(i)];
      gate(step, row(1, i), g * slope_at(0, sum), before);
    }
  }

  const RecurrentForm& form_;
  const std::vector<RecurrentActivation>& activations_;
  int64_t inputs_;
  int64_t hidden_;
  int64_t rows_;
  Part w_;
  Part r_;
  Part wb_;
  Part rb_;
  Part p_;
};

Vector optional_reals(const ReferenceCall& call, size_t slot) {
  return call.has(slot) ? reals(call, slot) : Vector{};
}

/// Gradients of the outputs.
struct Upstream {
  Vector y;
  Vector h;
  Vector c;
};

void run_sequence(const RecurrentForm& form, const RecurrentExtents& e, Memory& memory,
                  const Upstream& upstream, int64_t d, int64_t b, int64_t length) {
  const Sequence sequence(form, e, static_cast<size_t>(d), memory);
  const auto hidden = static_cast<size_t>(e.hidden);
  const int64_t directions = form.directions();
  const int64_t place = (form.batch_first ? b * directions + d : d * e.batch + b) * e.hidden;
  const auto state = [&](const Vector& list) {
    return list.empty() ? Vector(hidden, 0.0)
                        : Vector(list.begin() + place, list.begin() + place + e.hidden);
  };
  const auto time = [&](int64_t step) {
    return form.backward[static_cast<size_t>(d)] ? length - 1 - step : step;
  };
  if (length == 0) return;
  Vector h = state(memory.value[h_slot]);
  Vector c = state(memory.value[c_slot]);
  std::vector<Step> steps;
  for (int64_t step = 0; step < length; ++step) {
    const int64_t t = time(step);
    const int64_t row = (form.batch_first ? b * e.steps + t : t * e.batch + b) * e.inputs;
    const Part x = part(memory, x_slot, row);
    steps.push_back(sequence.forward(x.value, x.gradient, h, c));
  }
  Vector gh = state(upstream.h);
  Vector gc = state(upstream.c);
  for (int64_t step = length; step-- > 0;) {
    const int64_t t = time(step);
    const int64_t at =
        form.batch_first ? (b * e.steps + t) * directions + d : (t * directions + d) * e.batch + b;
    for (size_t i = 0; i < hidden && !upstream.y.empty(); ++i) {
      gh[i] += upstream.y[static_cast<size_t>(at) * hidden + i];
    }
    sequence.backward(steps[static_cast<size_t>(step)], gh, gc);
  }
  const auto keep = [&](Slot slot, const Vector& gradient) {
    if (memory.value[slot].empty()) return;
    std::ranges::copy(gradient, memory.gradient[slot].begin() + place);
  };
  keep(h_slot, gh);
  keep(c_slot, gc);
}

std::vector<Tensor> recurrent_gradient_reference(const ReferenceCall& call) {
  const RecurrentForm form = recurrent_form(call.node);
  const Shape& x = call.input(x_slot).shape();
  const RecurrentExtents e = recurrent_extents(form, x, call.input(r_slot).shape());
  Memory memory;
  for (const Slot slot : kReal) {
    memory.value[slot] = optional_reals(call, slot);
    memory.gradient[slot].assign(memory.value[slot].size(), 0.0);
  }
  const Upstream upstream{optional_reals(call, slots), optional_reals(call, slots + 1),
                          optional_reals(call, slots + 2)};
  std::vector<int64_t> lengths(static_cast<size_t>(e.batch), e.steps);
  if (call.has(lengths_slot)) {
    lengths = to_int64s(call.input(lengths_slot));
  }
  for (int64_t d = 0; d < form.directions(); ++d) {
    for (int64_t b = 0; b < e.batch; ++b) {
      const int64_t length = lengths[static_cast<size_t>(b)];
      if (length < 0 || length > e.steps) {
        throw input_error(fmt::format("a sequence of length {} in {} steps", length, e.steps));
      }
      run_sequence(form, e, memory, upstream, d, b, length);
    }
  }
  std::vector<Tensor> results;
  for (const Slot slot : kReal) {
    const bool there = call.has(slot);
    results.push_back(there ? real_tensor(call.input(x_slot).dtype(), call.input(slot).shape(),
                                          memory.gradient[slot])
                            : Tensor());
  }
  return results;
}

void infer_recurrent_gradient(InferContext& context) {
  size_t output = 0;
  for (const Slot slot : kReal) {
    if (context.node.has_input(slot)) {
      context.set_output(output, context.node.input_type(slot));
    }
    ++output;
  }
}

}  // namespace

void recurrent_gradient(GradContext& context) {
  std::vector<ValueId> inputs;
  for (size_t slot = 0; slot < slots; ++slot) inputs.push_back(context.input(slot));
  for (size_t i = 0; i < context.output_count(); ++i) inputs.push_back(context.upstream(i));
  std::vector<bool> present;
  for (const Slot slot : kReal) present.push_back(context.wants(slot));
  const std::string op = context.node.op().type + "Gradient";
  const auto made =
      context.emit_several(op.c_str(), std::move(inputs), context.node.attributes(), present);
  for (size_t i = 0; i < made.size(); ++i) context.give(kReal[i], made[i]);
}

void register_training_recurrent(OpRegistry& ops) {
  for (const char* op : {"RNNGradient", "GRUGradient", "LSTMGradient"}) {
    ops.add(training_record(op, {3, 11}, {1, 7}, infer_recurrent_gradient,
                            recurrent_gradient_reference));
  }
}

}  // namespace qtool
