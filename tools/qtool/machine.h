// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <istream>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace qtool {

/// An instruction set extension that kernels make use of, and whether this machine has it.
struct Extension {
  std::string name;  ///< "AVX-512 VNNI"
  bool present = false;
};

/// The machine that qtool runs on, as the system tells it.
struct Machine {
  std::string cpu;                    ///< "AMD EPYC ..."; "unknown" where the system does not tell
  std::vector<Extension> extensions;  ///< always the same list
  int cores = 0;                      ///< physical; 0: not told
  int threads = 0;                    ///< hardware threads in all; 0: not told
  int usable = 1;                     ///< of these, those that this process may run on
  std::optional<double> quota;        ///< processors' worth of time that its control group grants
  std::optional<uint64_t> memory;     ///< bytes

  bool has(const std::string& extension) const;
  bool fast_int8() const;  ///< multiplies 8-bit codes and adds in 32 bits in one instruction
};
Machine this_machine();

/// The same of the text of /proc/cpuinfo; for tests. Fills cpu, extensions, cores, threads.
Machine read_cpuinfo(std::istream& text);

/// "AMD EPYC ...".
std::string cpu_name();

}  // namespace qtool
