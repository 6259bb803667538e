// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "tensor/tensor.h"

namespace qtool {

/// An input or output of a model as its runtime declares it.
struct RunnerValue {
  std::string name;
  DType dtype = DType::undefined;  ///< undefined: no tensor, or of a type qtool does not know
  std::vector<int64_t> dims;       ///< -1 where the extent is open; empty: scalar or unknown rank
};

/// A loaded model that something can run: qtool's own session or another runtime. What measures
/// and compares models talks to this only.
class Runner {
 public:
  virtual ~Runner() = default;
  Runner() = default;
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  /// All outputs for these inputs. Errors (input, unsupported): a feed of another name, type or
  /// shape than the model wants, a missing feed, a value that is no tensor.
  virtual TensorMap run(const TensorMap& feeds) = 0;

  virtual std::span<const RunnerValue> inputs() const = 0;
  virtual std::span<const RunnerValue> outputs() const = 0;

  /// What runs it and how, such as "ONNX Runtime 1.30.0, all optimizations, 1 thread".
  virtual std::string description() const = 0;
};

}  // namespace qtool
