// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/kernel.h"
#include "kernels/post_op.h"
#include "tensor/tensor.h"

namespace qtool {

/// A recurrent layer of float32, as ONNX's RNN, GRU and LSTM define it. G gates: 1, 3 (z, r, h), 4
/// (i, o, f, c). Weights are packed into the kernel.
struct RecurrentSpec {
  enum class Cell { rnn, gru, lstm };
  struct Direction {
    bool backward = false;
    /// f, g, h as far as the cell has them; each a chain.
    std::vector<std::vector<PostOp>> activations;
  };
  Cell cell = Cell::rnn;
  int64_t steps = 0;
  int64_t batch = 0;
  int64_t inputs = 0;
  int64_t hidden = 0;
  bool batch_first = false;  ///< x [B, T, I], y [B, T, D, H], states [B, D, H]
  std::vector<Direction> directions;
  float clip = 0;                      ///< of what goes into activations; 0: none
  bool input_forget = false;           ///< LSTM: f = 1 - i
  bool linear_before_reset = false;    ///< GRU
  const Tensor* weights = nullptr;     ///< [D, G * H, I]
  const Tensor* recurrence = nullptr;  ///< [D, G * H, H]
  const Tensor* bias = nullptr;        ///< [D, 2 * G * H] or null
  const Tensor* peepholes = nullptr;   ///< [D, 3 * H] or null

  int64_t gates() const { return cell == Cell::rnn ? 1 : cell == Cell::gru ? 3 : 4; }
};

/// Kernel inputs: x [T, B, I], three packed ones, int32 sequence lengths [B] or null, initial h
/// [D, B, H] or null, for LSTM initial c likewise. Outputs, each or null: y [T, D, B, H], last h,
/// for LSTM last c. The inputs of all steps are multiplied at once. run() throws Error(input) where
/// a sequence length is not in [0, T].
MadeKernel make_recurrent(const RecurrentSpec& spec);

}  // namespace qtool
