// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "train/parameter.h"

namespace qtool {

struct OptimizerSpec {
  enum class Kind { sgd, adam, adamw };
  Kind kind = Kind::sgd;
  double momentum = 0.9;       ///< sgd
  bool nesterov = true;        ///< sgd
  double beta1 = 0.9;          ///< adam
  double beta2 = 0.999;        ///< adam
  double epsilon = 1e-8;       ///< adam
  double weight_decay = 1e-4;  ///< of weights only, not of biases and grids
  double grid_rate = 1;        ///< learning rate of scales and zero points over that of weights
  double clip_norm = 1;        ///< largest norm of all gradients together; 0: any
};

/// "sgd", "adam", "adamw". Errors (usage): another word.
OptimizerSpec::Kind parse_optimizer(const std::string& text);

/// SGD with momentum, Adam (Kingma and Ba 2015, arXiv:1412.6980) or AdamW (Loshchilov and Hutter
/// 2019, arXiv:1711.05101), in PyTorch's forms. One pass over each parameter a step; the same
/// numbers for any number of threads.
class Optimizer {
 public:
  Optimizer(const OptimizerSpec& spec, std::span<const Parameter> parameters);

  /// Gradients by parameter; an undefined tensor leaves its parameter alone. Gives the norm of all
  /// gradients before clipping. Values are brought back into their bounds.
  double update(std::span<Parameter> parameters, std::span<const Tensor> gradients, double rate);

  /// What a checkpoint keeps beside the values: one or two tensors a parameter, and the steps done.
  std::vector<Tensor>& moments() { return moments_; }
  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }

 private:
  OptimizerSpec spec_;
  std::vector<Tensor> moments_;  ///< sgd: velocity; adam: first, then second moments
  int64_t steps_ = 0;
};

/// Learning rate over the steps of a training: warm-up from 0, then constant, cosine to 0
/// (Loshchilov and Hutter 2017, arXiv:1608.03983), or a tenth after each third ("step").
struct Schedule {
  enum class Kind { constant, step, cosine };
  Kind kind = Kind::cosine;
  double rate = 0.01;
  int64_t steps = 1;    ///< in all
  int64_t warm_up = 0;  ///< of these

  /// For steps 0, 1 ... steps - 1.
  double at(int64_t step) const;
};
Schedule::Kind parse_schedule(const std::string& text);

}  // namespace qtool
