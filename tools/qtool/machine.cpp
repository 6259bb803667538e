// SPDX-License-Identifier: Apache-2.0
#include "machine.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <set>
#include <sstream>

#include "support/parallel.h"
#include "support/text.h"

namespace qtool {

namespace {

struct KnownExtension {
  const char* name;
  const char* flags;  ///< of /proc/cpuinfo; all are needed
};

constexpr std::array kExtensions{
    KnownExtension{"SSE4.1", "sse4_1"},
    KnownExtension{"AVX2", "avx2 fma"},
    KnownExtension{"AVX-512", "avx512f avx512bw avx512vl avx512dq"},
    KnownExtension{"AVX-VNNI", "avx_vnni"},
    KnownExtension{"AVX-512 VNNI", "avx512_vnni"},
    KnownExtension{"AVX-512 BF16", "avx512_bf16"},
    KnownExtension{"AVX-512 FP16", "avx512_fp16"},
    KnownExtension{"AMX-INT8", "amx_tile amx_int8"},
    KnownExtension{"AMX-BF16", "amx_tile amx_bf16"},
};

std::set<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  return {std::istream_iterator<std::string>(stream), {}};
}

/// "max 100000" or "200000 100000": microseconds of a period (cgroup v2); v1 has two files.
std::optional<double> quota_of_group() {
  std::string limit;
  double period = 0;
  if (std::ifstream two("/sys/fs/cgroup/cpu.max"); !(two >> limit >> period)) {
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") >> limit;
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_period_us") >> period;
  }
  double granted = 0;
  if (!(std::istringstream(limit) >> granted) || granted <= 0 || period <= 0) return std::nullopt;
  return granted / period;
}

std::optional<uint64_t> memory_bytes() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long size = sysconf(_SC_PAGE_SIZE);
  if (pages <= 0 || size <= 0) return std::nullopt;
  return static_cast<uint64_t>(pages) * static_cast<uint64_t>(size);
}

}  // namespace

bool Machine::has(const std::string& extension) const {
  return std::ranges::any_of(
      extensions, [&](const Extension& each) { return each.name == extension && each.present; });
}

bool Machine::fast_int8() const {
  return has("AVX-512 VNNI") || has("AVX-VNNI") || has("AMX-INT8");
}

Machine read_cpuinfo(std::istream& text) {
  Machine machine;
  machine.cpu = "unknown";
  std::set<std::string> flags;
  std::set<std::pair<std::string, std::string>> cores;
  std::string package;
  for (std::string line; std::getline(text, line);) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string key = line.substr(0, line.find_last_not_of(" \t", colon - 1) + 1);
    const std::string value = line.substr(std::min(colon + 2, line.size()));
    if (key == "processor") ++machine.threads;
    if (key == "model name") machine.cpu = value;
    if (key == "physical id") package = value;
    if (key == "core id") cores.emplace(package, value);
    if (key == "flags" && flags.empty()) flags = words_of(value);
  }
  machine.cores = static_cast<int>(cores.size());
  for (const KnownExtension& known : kExtensions) {
    const auto needed = words_of(known.flags);
    machine.extensions.push_back({known.name, std::ranges::includes(flags, needed)});
  }
  return machine;
}

Machine this_machine() {
  std::ifstream info("/proc/cpuinfo");
  Machine machine = read_cpuinfo(info);
  machine.usable = available_cores();
  machine.quota = quota_of_group();
  machine.memory = memory_bytes();
  return machine;
}

std::string cpu_name() {
  std::ifstream info("/proc/cpuinfo");
  return read_cpuinfo(info).cpu;
}

}  // namespace qtool
