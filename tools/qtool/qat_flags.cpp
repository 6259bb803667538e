// SPDX-License-Identifier: Apache-2.0
#include "qat_flags.h"

#include <fmt/format.h>

#include <set>

#include "learning.h"

namespace qtool {

namespace {

void declare_training(CLI::App& app, QatFlags& flags) {
  TrainOptions& train = flags.train;
  app.add_option("--epochs", train.epochs, "how often all samples are seen")
      ->check(CLI::Range(1, 1000000))
      ->required();
  app.add_option("--lr", train.rate, "learning rate of the first steps")
      ->check(CLI::Range(0.0, 1e38))
      ->capture_default_str();
  app.add_option("--optimizer", flags.optimizer, "sgd, adam or adamw")
      ->check(CLI::IsMember({"sgd", "adam", "adamw"}))
      ->default_str("sgd");
  app.add_option("--schedule", flags.schedule, "how the rate falls: constant, step, cosine")
      ->check(CLI::IsMember({"constant", "step", "cosine"}))
      ->default_str("cosine");
  app.add_option("--warmup", train.warm_up, "epochs in which the rate rises from 0")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  app.add_option("--momentum", train.optimizer.momentum, "of sgd")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--weight-decay", train.optimizer.weight_decay, "of weights; not of biases")
      ->check(CLI::Range(0.0, 1e3))
      ->capture_default_str();
  app.add_option("--grid-lr", train.optimizer.grid_rate,
                 "rate of scales and zero points, over that of weights")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  app.add_option("--clip-norm", train.optimizer.clip_norm, "largest norm of the gradients; 0: any")
      ->check(CLI::Range(0.0, 1e30))
      ->capture_default_str();
  app.add_option("--accumulate", train.accumulate, "batches that make one step together")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_option("--ema", train.average,
                 "share of the old in a running average of weights and scales, which is what is "
                 "validated and exported; 0: none")
      ->check(CLI::Range(0.0, 0.999999))
      ->capture_default_str();
  app.add_option(
         "--quantizer", flags.quantizer,
         "how grids learn: lsq (scales and zero points), ewgs (the same, gradients scaled "
         "element by element), pact (ends of activations' grids, weights as dorefa), dorefa "
         "(weights bounded by tanh, grids as calibrated)")
      ->check(CLI::IsMember({"lsq", "ewgs", "pact", "dorefa"}))
      ->default_str("lsq");
  app.add_option("--damping", train.oscillation.damping,
                 "strength, at the end, of a loss that keeps weights near their codes; such as "
                 "0.001; 0: none")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  app.add_option("--freeze-oscillating", train.oscillation.freeze,
                 "weights whose code turns back in more than this share of the steps stay on their "
                 "average code; such as 0.02; 0: none")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--progressive", flags.progressive,
                 "wider grids to begin with and their epochs, such as w4a4:4,w3a3:6")
      ->type_name("STAGES");
  app.add_option("--bn", flags.batch_norms,
                 "batch norms behind convolutions: folded (into the weights, before training), or "
                 "train (as one with the layer: the batch's statistics are folded into the weight "
                 "before it is rounded)")
      ->check(CLI::IsMember({"folded", "train"}))
      ->default_str("folded");
  app.add_option("--freeze-bn-after", flags.freeze_bn_after,
                 "with --bn train: epochs after which the statistics stay; default: half of them")
      ->check(CLI::Range(0, 1000000));
  app.add_option("--freeze-ranges-after", flags.freeze_ranges_after,
                 "epochs after which scales and zero points stay; default: never, with --bn train "
                 "half of them and one")
      ->check(CLI::Range(0, 1000000));
  app.add_option("--bn-samples", flags.bn_samples,
                 "with --bn train: so many samples give the statistics after each epoch, until "
                 "they stay")
      ->check(CLI::Range(1, 100000000))
      ->capture_default_str();
  app.add_option("--early-stop", train.patience,
                 "end after so many epochs without a better accuracy on --val; 0: never")
      ->check(CLI::Range(0, 1000000))
      ->capture_default_str();
  app.add_option("--time-budget", flags.time_budget,
                 "end, with the learning rate at its least, within this time: 90s, 10m, 2h")
      ->type_name("TIME");
  app.add_option("--augment", flags.augment,
                 "random changes of images, with commas between: flip, crop:PIXELS, "
                 "resized-crop:SHARE (least of the area), jitter:AMOUNT (of colours), mixup:ALPHA "
                 "(pairs of samples, and of their labels)")
      ->default_str("none");
  app.add_option("--label-smoothing", flags.loss.label_smoothing,
                 "share of the target that goes to all classes alike")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--loss", flags.loss_terms,
                 "what is minimised, with commas between and weights if need be "
                 "(cross-entropy,distill:0.5): cross-entropy, bce (of labels); distill (from the "
                 "float model's scores), mse, l1 (from its outputs), features (from the tensors "
                 "between its layers), for which labels are not needed; default: cross-entropy")
      ->type_name("TERMS");
  app.add_flag("--distill", flags.distill,
               "--loss distill: learn from the float model's scores; labels are not needed");
  app.add_option("--temperature", flags.loss.temperature, "of --distill")
      ->check(CLI::Range(0.01, 1e3))
      ->capture_default_str();
  app.add_option("--freeze", flags.freeze,
                 "leave the weights of these as they are: node names, op types, /regular "
                 "expressions/")
      ->type_name("PATTERN");
  app.add_option("--seed", train.seed, "of shuffling and augmentation")->capture_default_str();
}

}  // namespace

void declare(CLI::App& app, QatFlags& flags) {
  app.add_option("MODEL", flags.model, "the float ONNX model, or one that ptq made")->required();
  app.add_option("-o,--output", flags.output, "the quantized model to write, after each epoch")
      ->type_name("FILE");
  app.add_flag("--external-data", flags.external_data, kExternalDataHelp);
  flags.data.declare(app, true, "samples to train with, labelled unless --distill");
  app.remove_option(app.get_option("--batch"));
  app.add_option("--batch", flags.train.batch, "samples of one training step")
      ->capture_default_str();
  app.add_option("--val", flags.validation.data, "labelled samples that decide which epoch is best")
      ->type_name("PATH");
  app.add_option("--val-split", flags.validation.split, "its part, as --split")->type_name("NAME");
  app.add_option("--val-samples", flags.validation.samples, "use only its first N samples");
  app.add_option("--val-skip", flags.validation.skip, "leave out its first N samples");
  app.add_option("--calibration", flags.calibration,
                 "the table that qtool calibrate wrote; default: made of the first 500 samples")
      ->type_name("FILE");
  declare_training(app, flags);
  flags.plan.declare(app);
  app.add_option("--export", flags.export_epoch,
                 "which epoch's model to keep: best (on --val), last")
      ->check(CLI::IsMember({"best", "last"}))
      ->default_str("best");
  app.add_option("--plan", flags.plan_file, "also write the learned plan (JSON)")
      ->type_name("FILE");
  app.add_option("--checkpoint", flags.checkpoint, "state after each epoch, for --resume")
      ->type_name("FILE");
  app.add_flag("--resume", flags.resume, "go on from --checkpoint");
  app.add_flag("--dry-run", flags.dry_run,
               "say what would be trained, and what it takes, after timing two steps");
  app.add_option("--log", flags.log, "one JSON object an epoch")->type_name("FILE");
  app.add_flag("--log-steps", flags.log_steps, "with --log: one of each step as well");
  app.footer(
      "Example: qtool qat model.onnx --data train.npz --val test.npz --bits w4a4 --epochs 5 -o "
      "model.w4a4.onnx");
}

namespace {

/// Batch norms that train, and what then stays when.
void check_batch_norms(QatFlags& flags) {
  const bool train = flags.batch_norms == "train";
  if (!train && flags.freeze_bn_after)
    throw usage_error("--freeze-bn-after needs --bn train",
                      "Batch norms that are folded do not change.");
  if (train && (flags.quantizer == "pact" || flags.quantizer == "dorefa"))
    throw usage_error("--bn train and --quantizer " + flags.quantizer + " exclude each other",
                      "It bounds the weights as they are without their batch norm.");
  if (train && flags.train.oscillation.any())
    throw usage_error("--bn train excludes --damping and --freeze-oscillating",
                      "They are about weights that have their batch norm in them.");
  if (train && flags.plan.recipe().equalize)
    throw usage_error("--bn train and --method cle exclude each other",
                      "Equalized weights have their batch norm in them.");
  const int half = (flags.train.epochs + 1) / 2;
  if (train && !flags.freeze_bn_after) flags.freeze_bn_after = half;
  if (train && !flags.freeze_ranges_after) flags.freeze_ranges_after = half + 1;
  flags.train.freeze_grids_after = flags.freeze_ranges_after;
}

}  // namespace

void check(QatFlags& flags) {
  if (flags.output.empty() && !flags.dry_run)
    throw usage_error("-o says where to write the model", "Or use --dry-run.");
  std::set<std::filesystem::path> outputs;
  for (const auto& [flag, path] :
       {std::pair("-o", flags.output), std::pair("--plan", flags.plan_file),
        std::pair("--checkpoint", flags.checkpoint), std::pair("--log", flags.log)}) {
    if (path.empty()) continue;
    check_output(flag, path, {flags.model, flags.calibration, flags.data.data});
    if (!outputs.insert(std::filesystem::path(path).lexically_normal()).second)
      throw usage_error(fmt::format("{} {}: another output goes there", flag, path));
  }
  if (flags.log_steps && flags.log.empty())
    throw usage_error("--log-steps needs --log", "It says into which file.");
  if (flags.resume && flags.checkpoint.empty())
    throw usage_error("--resume needs --checkpoint", "It says from which file to go on.");
  if (flags.train.batch == 0) throw usage_error("--batch 0: a batch has at least one sample");
  flags.train.optimizer.kind = parse_optimizer(flags.optimizer);
  flags.train.schedule = parse_schedule(flags.schedule);
  flags.stages = parse_stages(flags.progressive, flags.train.epochs);
  if (!flags.time_budget.empty())
    flags.train.seconds = parse_time("--time-budget", flags.time_budget);
  if (!flags.time_budget.empty() && flags.stages.size() > 1)
    throw usage_error("--time-budget and --progressive exclude each other",
                      "The stages need their epochs.");
  if (flags.train.patience > 0 && !flags.validation.given())
    throw usage_error("--early-stop needs --val", "It ends when the accuracy no longer rises.");
  flags.train.augmentation = Augmentation::parse(flags.augment);
  if (flags.distill && !flags.loss_terms.empty())
    throw usage_error("--distill is --loss distill", "Give one of them.");
  if (flags.distill) flags.loss_terms = "distill";
  if (!flags.loss_terms.empty()) {
    const LossSpec asked = std::move(flags.loss);
    flags.loss = parse_loss(flags.loss_terms);
    flags.loss.label_smoothing = asked.label_smoothing;
    flags.loss.temperature = asked.temperature;
  }
  if (flags.train.oscillation.any() && flags.quantizer != "lsq" && flags.quantizer != "ewgs")
    throw usage_error("--damping and --freeze-oscillating are for --quantizer lsq and ewgs");
  if (reads_samples(flags.plan.recipe()))
    throw usage_error("the method " + flags.plan.method + " is one of quantization after training",
                      "Leave it to ptq; of the methods qat begins with cle alone.");
  check_batch_norms(flags);
  flags.loss.mixed = flags.train.augmentation.mixup > 0;
  if (flags.loss.mixed && flags.loss.binary > 0)
    throw usage_error("--augment mixup and --loss bce exclude each other",
                      "Labels are mixed for cross-entropy.");
  DataOptions& validation = flags.validation;
  validation.preprocess = flags.data.preprocess;
  validation.labels = flags.data.labels;
  if (validation.split.empty() && validation.data == flags.data.data)
    validation.split = flags.data.split;
}

}  // namespace qtool
