// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace qtool {

/// What a kernel gets at run time. Inputs and outputs stand in the order that its maker states;
/// absent and packed ones are null. Scratch is 64-byte aligned and shared with other kernels.
struct KernelArgs {
  std::span<const void* const> inputs;
  std::span<void* const> outputs;
  void* scratch = nullptr;
};

/// One prepared computation: everything that depends on shapes, types, layouts and constants was
/// done when it was made. run() allocates nothing and creates no primitive.
class Kernel {
 public:
  virtual ~Kernel() = default;
  virtual void run(const KernelArgs& args) = 0;

  /// Which implementation it is, such as "oneDNN brgconv:avx512_core" or "host copy".
  virtual std::string description() const = 0;

  /// Bytes of scratch that run() needs.
  virtual size_t scratch_bytes() const { return 0; }
};

using KernelPtr = std::unique_ptr<Kernel>;

/// A maker's answer: a kernel, or why there is none.
struct MadeKernel {
  KernelPtr kernel;
  std::string refusal;

  MadeKernel(KernelPtr made) : kernel(std::move(made)) {}  // NOLINT: converts on purpose
  static MadeKernel refused(std::string why) {
    MadeKernel answer(nullptr);
    answer.refusal = std::move(why);
    return answer;
  }
};

}  // namespace qtool
