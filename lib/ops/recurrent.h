// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/host/recurrent.h"
#include "ops/op_def.h"

namespace qtool {

// What RNN, GRU and LSTM share. Slots: X, W, R, B, sequence_lens, initial_h, (initial_c, P).

/// One activation with its arguments.
struct RecurrentActivation {
  enum class Kind {
    relu,
    tanh,
    sigmoid,
    affine,
    leaky_relu,
    thresholded_relu,
    scaled_tanh,
    hard_sigmoid,
    elu,
    softsign,
    softplus
  };
  Kind kind = Kind::tanh;
  double alpha = 0;
  double beta = 0;

  double value(double x) const;
  std::vector<PostOp> post_ops() const;
};

/// A node's attributes.
struct RecurrentForm {
  RecurrentSpec::Cell cell = RecurrentSpec::Cell::rnn;
  int64_t hidden = 0;                                         ///< 0: not said
  std::vector<bool> backward;                                 ///< by direction
  std::vector<std::vector<RecurrentActivation>> activations;  ///< by direction: f, g, h
  double clip = 0;
  bool input_forget = false;
  bool linear_before_reset = false;
  bool batch_first = false;

  int64_t gates() const {
    return cell == RecurrentSpec::Cell::rnn ? 1 : cell == RecurrentSpec::Cell::gru ? 3 : 4;
  }
  int64_t directions() const { return static_cast<int64_t>(backward.size()); }
};

/// Errors (input): an unknown direction or activation, another number of activations, a bad clip.
RecurrentForm recurrent_form(const NodeView& node);

/// T, B, I, H of checked types.
struct RecurrentExtents {
  int64_t steps;
  int64_t batch;
  int64_t inputs;
  int64_t hidden;
};
RecurrentExtents recurrent_extents(const RecurrentForm& form, const Shape& x, const Shape& r);

std::vector<Tensor> recurrent_reference(const ReferenceCall& call);

}  // namespace qtool
