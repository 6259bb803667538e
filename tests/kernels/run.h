// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <vector>

#include "kernels/kernel.h"

namespace qtool::test {

/// Runs a kernel with scratch memory of just the size it asks for, aligned as promised.
inline void run(Kernel& kernel, const std::vector<const void*>& inputs,
                const std::vector<void*>& outputs) {
  constexpr std::align_val_t kAlignment{64};
  const size_t bytes = kernel.scratch_bytes();
  void* scratch = bytes > 0 ? ::operator new(bytes, kAlignment) : nullptr;
  kernel.run({inputs, outputs, scratch});
  ::operator delete(scratch, kAlignment);
}

}  // namespace qtool::test
