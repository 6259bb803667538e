// SPDX-License-Identifier: Apache-2.0
#include "calib/calibrate.h"

#include <cstdio>

#include "calibration.h"
#include "support/text.h"

namespace qtool {

namespace {

struct CalibrateFlags {
  std::string model;
  std::string output;
  DataOptions data;
  PlanOptions plan;
  std::string non_finite = "error";
};

int run_calibrate(const CalibrateFlags& flags, const Globals& globals) {
  Log log(globals.log_level());
  check_output("-o", flags.output, {flags.model, flags.data.data});
  const LoadedModel model = open_model(flags.model);
  const CalibrationTable table = calibrate_model(
      model, flags.data, flags.plan,
      flags.non_finite == "ignore" ? NonFinite::count : NonFinite::refuse, globals, log);
  write_table(flags.output, table);
  uint64_t bad = 0;
  for (const auto& [name, entry] : table.tensors) bad += entry.stats.nans + entry.stats.infinities;
  if (bad > 0) log.warn(fmt::format("{} elements were NaN or infinite and were left out", bad));
  if (globals.json) {
    std::fputs(to_text(Json{{"schema", "qtool.calibrate/1"},
                            {"table", flags.output},
                            {"samples", table.samples},
                            {"tensors", table.tensors.size()}})
                   .c_str(),
               stdout);
  } else {
    fmt::print("{}: {} tensors over {} samples of {}\n", flags.output, table.tensors.size(),
               table.samples, flags.data.data);
  }
  return 0;
}

}  // namespace

std::function<int()> declare_calibrate(CLI::App& app, const Globals& globals) {
  auto flags = std::make_shared<CalibrateFlags>();
  app.add_option("MODEL", flags->model, "the float ONNX model")->required();
  app.add_option("-o,--output", flags->output, "the table to write (JSON)")
      ->type_name("FILE")
      ->required();
  flags->data.declare(app, true,
                      "samples like those of real use: image folder, labels.csv, CIFAR .bin, .npz, "
                      ".npy; labels are not needed");
  app.add_option("--nonfinite", flags->non_finite,
                 "NaN and infinities in tensors: error, or ignore (count, leave out)")
      ->check(CLI::IsMember({"error", "ignore"}))
      ->default_str("error");
  flags->plan.declare_target(app);
  app.footer(
      "Example: qtool calibrate model.onnx --data photos/ --preprocess imagenet --samples 500 -o "
      "table.json");
  return [flags, &globals] { return run_calibrate(*flags, globals); };
}

}  // namespace qtool
