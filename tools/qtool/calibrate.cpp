// SPDX-License-Identifier: Apache-2.0
#include "calib/calibrate.h"

#include <cstdio>

#include "calibration.h"
#include "calibration_memory.h"
#include "support/text.h"

namespace qtool {

namespace {

struct CalibrateFlags {
  std::string model;
  std::string output;
  std::vector<std::string> merge;
  DataOptions data;
  PlanOptions plan;
  std::string non_finite = "error";
  std::string memory_limit;
};

void check(const CalibrateFlags& flags) {
  if (flags.merge.empty()) {
    if (flags.model.empty())
      throw usage_error("calibrate needs a MODEL and --data, or --merge with tables");
    if (!flags.data.given()) throw usage_error("--data is missing: samples to calibrate with");
    check_output("-o", flags.output, {flags.model, flags.data.data});
    return;
  }
  if (flags.data.given())
    throw usage_error("--merge joins tables that are there; --data has no use");
  if (flags.merge.size() < 2) throw usage_error("--merge takes two tables or more");
  for (const std::string& table : flags.merge) check_output("-o", flags.output, {table});
  if (!flags.model.empty()) check_output("-o", flags.output, {flags.model});
}

/// One table of several; of this model, where one is named.
CalibrationTable merged(const CalibrateFlags& flags) {
  std::optional<LoadedModel> model;
  if (!flags.model.empty()) model = open_model(flags.model);
  std::optional<CalibrationTable> all;
  for (const std::string& path : flags.merge) {
    CalibrationTable table = model ? table_of(*model, path) : read_table(path);
    all = all ? within_frame([&] { return path; }, [&] { return merge(*all, table); })
              : std::move(table);
  }
  return *all;
}

CalibrationTable run(const CalibrateFlags& flags, const Globals& globals, Log& log) {
  CalibrationOptions options;
  if (flags.non_finite == "ignore") options.non_finite = NonFinite::count;
  if (!flags.memory_limit.empty())
    options.memory_limit = parse_bytes("--mem-limit", flags.memory_limit);
  return calibrate_model(open_model(flags.model), flags.data, flags.plan, options, globals, log);
}

/// Tensors of one value have a scale, but what data would do to them nobody knows.
void warn(const CalibrationTable& table, Log& log) {
  uint64_t bad = 0;
  std::vector<std::string> constant;
  for (const auto& [name, entry] : table.tensors) {
    const TensorStats& stats = entry.stats;
    bad += stats.nans + stats.infinities;
    if (stats.elements > 0 && stats.range.low == stats.range.high)
      constant.push_back(fmt::format("\"{}\" ({})", name, shortest(stats.range.low)));
    if (stats.elements == 0) log.warn("\"" + name + "\" was never observed: no data, no range");
  }
  if (bad > 0) log.warn(fmt::format("{} elements were NaN or infinite and were left out", bad));
  if (!constant.empty()) log.warn("one value in all samples: " + join(constant, ", "));
}

int run_calibrate(const CalibrateFlags& flags, const Globals& globals) {
  check(flags);
  Log log(globals.log_level());
  const CalibrationTable table = flags.merge.empty() ? run(flags, globals, log) : merged(flags);
  write_table(flags.output, table);
  warn(table, log);
  if (globals.json) {
    std::fputs(to_text(Json{{"schema", "qtool.calibrate/1"},
                            {"table", flags.output},
                            {"samples", table.samples},
                            {"tensors", table.tensors.size()}})
                   .c_str(),
               stdout);
  } else {
    fmt::print(
        "{}: {} tensors over {} samples of {}\n", flags.output, table.tensors.size(), table.samples,
        flags.merge.empty() ? flags.data.data : fmt::format("{} tables", flags.merge.size()));
  }
  return 0;
}

}  // namespace

std::function<int()> declare_calibrate(CLI::App& app, const Globals& globals) {
  auto flags = std::make_shared<CalibrateFlags>();
  app.add_option("MODEL", flags->model,
                 "the float ONNX model (with --merge: checked, may be left out)");
  app.add_option("-o,--output", flags->output, "the table to write (JSON)")
      ->type_name("FILE")
      ->required();
  flags->data.declare(app, false,
                      "samples like those of real use: image folder, labels.csv, CIFAR .bin, .npz, "
                      ".npy; labels are not needed");
  app.add_option("--nonfinite", flags->non_finite,
                 "NaN and infinities in tensors: error, or ignore (count, leave out)")
      ->check(CLI::IsMember({"error", "ignore"}))
      ->default_str("error");
  app.add_option("--merge", flags->merge,
                 "instead of running data: join tables of parts of it, to what one run over all "
                 "would have given")
      ->type_name("TABLE...");
  app.add_option("--mem-limit", flags->memory_limit,
                 "at most so much resident memory, such as 200MiB: batches get smaller, or it is "
                 "an error")
      ->type_name("SIZE");
  flags->plan.declare_target(app);
  app.footer(
      "Example: qtool calibrate model.onnx --data photos/ --preprocess imagenet --samples 500 -o "
      "table.json\nShards:  qtool calibrate --merge a.json b.json -o table.json");
  return [flags, &globals] { return run_calibrate(*flags, globals); };
}

}  // namespace qtool
