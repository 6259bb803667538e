// SPDX-License-Identifier: Apache-2.0
#include "calibration_memory.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>

#include "exec/session.h"
#include "measure.h"
#include "numerics/stats.h"
#include "support/text.h"

namespace qtool {

namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kBatchesInWork = 5;       // waiting, made, fed, and two copies on the way
constexpr uint64_t kSlack = 6 * kMiB;        // threads, allocators, messages
constexpr uint64_t kBetweenRuns = 3 * kMiB;  // what the allocator and the loader vary by
constexpr uint64_t kBytesPerBin = 8 + 40;    // a counter, its JSON value, its digits
constexpr uint64_t kBytesPerSum = sizeof(ExactSum) + 80;  // and the digits of most

uint64_t resident_bytes() {
  uint64_t all = 0;
  uint64_t resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

/// In whole MiB, rounded up, so that the number in a message works as the flag.
std::string as_flag(uint64_t bytes) { return fmt::format("{}MiB", (bytes + kMiB - 1) / kMiB); }

}  // namespace

MemoryForecast::MemoryForecast(const Graph& graph, std::span<const ValueId> tensors,
                               const Dataset& dataset, const Order& order,
                               std::span<const RunnerValue> inputs)
    : samples_(order.size()) {
  Batch first = make_batch(dataset, std::span(order).first(1));
  std::map<std::string, Shape> shapes;
  for (const auto& [name, tensor] : feeds(first, inputs)) {
    shapes.emplace(name, tensor.shape());
    inputs_ += tensor.bytes();
  }
  const uint64_t before = resident_bytes();
  {
    const Session session(graph, builtin_ops(),
                          {.input_shapes = shapes, .taps = {tensors.begin(), tensors.end()}});
    session_ = std::max(resident_bytes(), before) - before;
    activations_ = session.arena_bytes();
  }
  const Facts facts = infer_facts(graph, builtin_ops(), {shapes});
  peak_ = peak_rss_bytes().value_or(0);
  fixed_ = std::max(before, resident_bytes()) + kSlack;
  for (const ValueId id : tensors) {
    const auto shape = facts[id].type.concrete_shape();
    const uint64_t channels =
        shape && shape->size() >= 4 ? static_cast<uint64_t>((*shape)[1]) : uint64_t{0};
    fixed_ += Histogram::kBins * kBytesPerBin +
              channels * (kBytesPerSum + sizeof(Range) + 4 * sizeof(Json));
  }
}

uint64_t MemoryForecast::bytes(size_t batch) const {
  // A last batch that is not full has a session of its own beside the other.
  const size_t rest = batch < samples_ ? samples_ % batch : 0;
  const uint64_t sessions = rest > 0 ? 2 : 1;
  return std::max(peak_, fixed_ + sessions * session_ + (batch + rest) * activations_ +
                             kBatchesInWork * batch * inputs_);
}

size_t MemoryForecast::batch_within(uint64_t limit, size_t wished) const {
  for (size_t batch = std::min(wished, std::max<size_t>(samples_, 1)); batch > 0; --batch) {
    if (bytes(batch) <= limit) return batch;
  }
  throw input_error(fmt::format("--mem-limit {}: one sample at a time needs about {}",
                                as_flag(limit), as_flag(bytes(1))),
                    "Give --mem-limit " + as_flag(bytes(1) + kBetweenRuns) + " or more.");
}

void check_memory(uint64_t limit) {
  const uint64_t peak = peak_rss_bytes().value_or(0);
  if (peak <= limit) return;
  throw input_error(fmt::format("--mem-limit {}: the calibration took {}, more than was foreseen",
                                as_flag(limit), as_flag(peak)),
                    "Use a smaller --batch, fewer --threads or a higher limit.");
}

uint64_t parse_bytes(const std::string& flag, const std::string& text) {
  static const std::map<std::string, double> kUnits{
      {"", 1},     {"B", 1},        {"K", 1e3}, {"KB", 1e3}, {"KiB", 0x1p10}, {"M", 1e6},
      {"MB", 1e6}, {"MiB", 0x1p20}, {"G", 1e9}, {"GB", 1e9}, {"GiB", 0x1p30},
  };
  double number = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  const auto unit = kUnits.find(std::string(parsed.ptr, end));
  if (parsed.ec != std::errc{} || unit == kUnits.end() || !(number > 0) ||
      !(number * unit->second < 0x1p60)) {
    throw usage_error(flag + " \"" + text + "\" is no amount of memory",
                      "Such as 512MiB, 2GB or 100000000.");
  }
  return static_cast<uint64_t>(number * unit->second);
}

}  // namespace qtool
