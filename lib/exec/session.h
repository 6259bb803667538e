// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/layout.h"
#include "ops/op_def.h"

namespace qtool {

enum class Backend {
  reference,  ///< every node by its reference kernel, one after the other: the oracle
  onednn,     ///< grouped, lowered, laid out, planned
};

struct BodyRuns;

struct SessionOptions {
  Backend backend = Backend::onednn;
  std::map<std::string, Shape> input_shapes = {};  ///< by name; declared shapes otherwise
  std::vector<ValueId> taps = {};                  ///< values kept unfused and shown to run()'s tap
  bool profile = false;                            ///< measure each step
  std::shared_ptr<BodyRuns> body_runs = nullptr;   ///< internal: of a session that runs a body
};

/// A value just computed, where it lies: `data` is valid during the call only.
struct TappedValue {
  ValueId id = ValueId::none;
  DType dtype = DType::undefined;
  const Shape* shape = nullptr;  ///< ONNX's order
  Layout layout = Layout::plain;
  const void* data = nullptr;
};
using Tap = std::function<void(const TappedValue&)>;

/// One thing that run() does, and why it is not done better.
struct StepInfo {
  std::string name;               ///< of the node, or "layout of x"
  std::string op;                 ///< "Conv + Relu + QuantizeLinear"
  std::string kernel;             ///< "oneDNN brgconv:avx512_core", "reference"
  std::string types;              ///< "uint8,int8 -> uint8"
  std::string shape;              ///< of the result
  Layout layout = Layout::plain;  ///< of the result
  std::string fallback;           ///< why a larger group or a faster kernel was refused; or ""
  bool integer = false;           ///< computes on codes
  bool reference = false;
  uint64_t macs = 0;
  double total_ms = 0;  ///< over all runs, when profiling
};

/// A graph compiled for given input shapes. Construction infers, folds, groups nodes with their
/// Q/DQ and activations, asks each op's lowering for a kernel, settles layouts, packs weights and
/// plans one arena. run() then only walks the steps. The graph is not needed afterwards, the
/// registry is. Not for use by several threads at once.
class Session {
 public:
  /// Errors (input, unsupported): unknown ops, shapes that do not fit, with the node.
  Session(const Graph& graph, const OpRegistry& ops, SessionOptions options);
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  /// Feeds by input name; outputs by name, copied. Errors (input): a feed that is missing or of
  /// another type or shape than the session was made for.
  TensorMap run(const TensorMap& feeds, const Tap& tap = {});

  /// The same without copies: feeds in the order of input_names(); results by output().
  void execute(std::span<const TensorView> feeds, const Tap& tap = {});
  TensorView output(size_t i) const;  ///< valid until the next run

  std::span<const std::string> input_names() const;
  std::span<const TensorType> input_types() const;
  std::span<const std::string> output_names() const;

  std::span<const StepInfo> steps() const;
  size_t arena_bytes() const;  ///< activations and scratch
  uint64_t macs() const;

  struct Program;  ///< internal: exec/program.h

 private:
  Tensor copy_of_output(size_t i) const;

  std::unique_ptr<Program> program_;
};

}  // namespace qtool
