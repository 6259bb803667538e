// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "calibration.h"
#include "train/progressive.h"

namespace qtool {

/// What one `qtool qat` was asked for.
struct QatFlags {
  std::string model;
  std::string output;
  std::string calibration;
  std::string plan_file;
  std::string checkpoint;
  std::string log;
  bool log_steps = false;
  bool external_data = false;
  bool resume = false;
  bool dry_run = false;
  std::string export_epoch = "best";  ///< or "last"
  DataOptions data;
  DataOptions validation;
  PlanOptions plan;
  TrainOptions train;
  std::string optimizer = "sgd";
  std::string schedule = "cosine";
  std::string quantizer = "lsq";
  std::string augment = "none";
  bool distill = false;
  std::string loss_terms;
  LossSpec loss;
  std::vector<std::string> freeze;
  std::string progressive;
  std::vector<Stage> stages;  ///< what `progressive` says
  std::string time_budget;
  std::string batch_norms = "folded";  ///< or "train"
  std::optional<int> freeze_bn_after;  ///< epochs; set where they train
  std::optional<int> freeze_ranges_after;
  size_t bn_samples = 1000;
};

/// Declares the flags of the command in `flags`, which must live as long as the app.
void declare(CLI::App& app, QatFlags& flags);

/// Settles what follows from the flags and refuses, before any work, what cannot be (usage).
void check(QatFlags& flags);

}  // namespace qtool
