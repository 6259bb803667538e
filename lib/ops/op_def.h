// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/kernel.h"
#include "kernels/layout.h"
#include "kernels/post_op.h"
#include "numerics/affine.h"
#include "ops/facts.h"

namespace qtool {

// ---- shape inference --------------------------------------------------------------------------

/// What is known of the outputs of one of the node's bodies (the subgraph in an attribute), given
/// what is known of the body's inputs. For If, Loop, Scan.
using BodyInference = std::function<std::vector<ValueFacts>(const std::string& attribute,
                                                            const std::vector<TensorType>& inputs)>;

/// What an op's `infer` fills in. What it does not set stays unknown; unknown inputs are no error.
/// It throws Error(input) where the known facts contradict the op's definition.
class InferContext {
 public:
  InferContext(const NodeView& view, std::vector<ValueFacts>& outputs,
               const BodyInference* body_inference = nullptr)
      : node(view), bodies(body_inference), outputs_(outputs) {}
  const NodeView& node;
  const BodyInference* bodies;  ///< null where bodies are not looked into
  void set_output(size_t i, TensorType type) {
    if (i < outputs_.size()) outputs_[i].type = std::move(type);
  }
  /// Known although the inputs' elements are not, as in Shape.
  void set_constant(size_t i, Tensor elements) {
    if (i < outputs_.size()) outputs_[i].constant = make_constant(std::move(elements));
  }

 private:
  std::vector<ValueFacts>& outputs_;
};

// ---- reference --------------------------------------------------------------------------------

/// Runs a subgraph with these inputs (in its input order) and gives its outputs; what it captures
/// is bound by the caller. For If, Loop, Scan.
using SubgraphRunner =
    std::function<std::vector<Tensor>(const Graph& body, std::vector<Tensor> inputs)>;

/// One evaluation in plain row-major tensors; absent inputs are null. The node's types are those
/// of the actual inputs.
struct ReferenceCall {
  const NodeView& node;
  std::span<const Tensor* const> inputs;
  const SubgraphRunner* subgraphs = nullptr;

  const Tensor& input(size_t i) const {
    QTOOL_CHECK(i < inputs.size() && inputs[i] != nullptr, node.description());
    return *inputs[i];
  }
  bool has(size_t i) const { return i < inputs.size() && inputs[i] != nullptr; }
};

// ---- lowering ---------------------------------------------------------------------------------

/// One operand of a group: node input or post-op operand, as it lies in memory at run time.
struct LowerInput {
  DType dtype = DType::undefined;  ///< as stored: the codes' type where params are set
  Shape shape;
  Layout layout = Layout::plain;        ///< what it has unless the lowering asks otherwise
  Constant constant;                    ///< known before the run (codes where params are set)
  const QuantParams* params = nullptr;  ///< a DequantizeLinear in front, taken into the group
  bool present = false;
};

struct LowerOutput {
  DType dtype = DType::undefined;  ///< as to be stored
  Shape shape;
  const QuantParams* params = nullptr;  ///< a QuantizeLinear behind, taken into the group
  Layout wanted = Layout::plain;        ///< what its consumers would like
  bool present = false;
};

struct GroupPostOp {
  PostOp op;
  LowerInput operand;  ///< of add
};

/// A node with what the session would like to compute with it in one kernel: the DequantizeLinears
/// in front, post-ops, and the QuantizeLinear behind.
struct LowerContext {
  const NodeView& node;
  std::vector<LowerInput> inputs;     ///< by slot
  std::vector<LowerOutput> outputs;   ///< by slot
  std::vector<GroupPostOp> post_ops;  ///< applied to output 0

  bool quantized() const {
    if (!outputs.empty() && outputs[0].params != nullptr) return true;
    for (const LowerInput& input : inputs) {
      if (input.params != nullptr) return true;
    }
    return false;
  }
  bool has(size_t i) const { return i < inputs.size() && inputs[i].present; }
};

/// How a group runs. The kernel's inputs are the node's slots, then the post-ops' operands; its
/// outputs the node's outputs.
struct Lowering {
  KernelPtr kernel;
  bool alias = false;                      ///< no kernel: output 0 is input 0's bytes
  std::string refusal;                     ///< no kernel: why
  std::vector<Layout> input_layouts = {};  ///< required, kernel order; missing entries: as it comes
  std::vector<Layout> output_layouts = {};  ///< missing entries: plain
  std::vector<int> packed = {};             ///< constant inputs that run() does not read
  int in_place = -1;                        ///< output 0 must start as a copy of this kernel input
  bool may_overwrite = false;  ///< output 0 may share memory with an input that dies here

  static Lowering refuse(std::string why) {
    Lowering answer;
    answer.refusal = std::move(why);
    return answer;
  }
};

// ---- quantization -----------------------------------------------------------------------------

enum class Behaviour {
  keep_float,  ///< stays in float
  compute,     ///< has integer kernels: its inputs and output are quantized
  move_data,   ///< moves elements without changing them: runs on whatever its input is
};

enum class OperandRole { none, activation, weight, bias };

struct OperandRule {
  OperandRole role = OperandRole::none;
  /// Weights: the axis of output channels, or -1 where there is none to scale separately. Given
  /// the node because it can depend on attributes (Gemm's transB, ConvTranspose's groups).
  int (*channel_axis)(const NodeView&) = nullptr;
};

/// How the op takes part in quantization. Targets say which of it a runtime supports.
struct QuantRule {
  Behaviour behaviour = Behaviour::keep_float;
  std::vector<OperandRule> inputs = {};    ///< by slot; the last entry repeats for variadic ops
  bool shares_params = false;              ///< activations in and out have one set of parameters
  std::optional<Range> fixed_output = {};  ///< known without data (Softmax, Sigmoid)
  /// Whether the rule holds for this node, which stays in float otherwise; null: always.
  bool (*only_if)(const NodeView&) = nullptr;
  /// A Relu or Clip behind a compute op: the results it keeps unchanged. Nothing: not such an op.
  std::optional<Range> (*keeps)(const NodeView&) = nullptr;
};

/// Q and DQ take part in grouping by role, not by name.
enum class QdqRole { none, quantize, dequantize };

// ---- the record -------------------------------------------------------------------------------

struct Arity {
  int least = 0;
  int most = 0;  ///< -1: any number
};

/// How far a lowering may stray from the reference: |a - b| <= absolute + relative * |b|.
struct Tolerance {
  double relative = 0;
  double absolute = 0;
};
inline constexpr Tolerance kExact{};
/// Sums in another order and with fused multiply-add.
inline constexpr Tolerance kAccumulated{1e-4, 1e-5};
/// Elementary functions by other approximations.
inline constexpr Tolerance kElementary{2e-5, 2e-6};

/// Which storage order an op works in.
enum class LayoutTaste {
  plain,          ///< reads and writes row-major
  any,            ///< takes what comes and keeps it
  channels_last,  ///< wants channels_last and makes it
};

/// What the op's kernels can take in behind them (the lowering has the last word).
enum class Fusion {
  none,      ///< at most a QuantizeLinear
  unary,     ///< post-ops of one operand
  residual,  ///< also the addition of another tensor
};

class GradContext;  // train/ defines it; gradients are emitted as nodes

/// All that qtool knows of an op, in one place. A member left at its default means that the op
/// does not take part in that.
struct OpDef {
  OpKey key;
  int since_version = 1;  ///< of its domain: the record holds from here to the next one's version
  Arity inputs;
  Arity outputs;
  void (*infer)(InferContext&) = nullptr;  ///< required
  std::vector<Tensor> (*reference)(const ReferenceCall&) =
      nullptr;  ///< required: plain loops, the oracle
  Tolerance tolerance = kExact;
  LayoutTaste taste = LayoutTaste::plain;
  Fusion fusion = Fusion::none;
  Lowering (*lower)(const LowerContext&) = nullptr;             ///< null: runs as reference
  std::optional<PostOp> (*post_op)(const NodeView&) = nullptr;  ///< what a producer can take in
  void (*gradient)(GradContext&) = nullptr;                     ///< null: not differentiable
  QuantRule quant = {};
  QdqRole qdq = QdqRole::none;
  bool deterministic = true;                    ///< may be folded
  uint64_t (*macs)(const NodeView&) = nullptr;  ///< multiply-accumulates; null: none
};

/// The ops that qtool knows, by key and version. A value: tests build small ones.
class OpRegistry {
 public:
  void add(OpDef def);

  /// The record with the highest since_version <= opset, or null.
  const OpDef* find(const OpKey& key, int64_t opset) const;

  /// The record for a node of a graph, or null where qtool does not know the op. `model` is the
  /// main graph's, also for nodes of subgraphs.
  const OpDef* find(const Node& node, const ModelInfo& model) const;

  std::span<const OpDef> all() const { return defs_; }

 private:
  std::vector<OpDef> defs_;
};

/// All of qtool's ops.
const OpRegistry& builtin_ops();

/// "", or why the node does not fit the record (too few inputs ...).
std::string arity_problem(const Node& node, const OpDef& def);

// ---- inference over a graph -------------------------------------------------------------------

/// Extents beyond this are refused wherever they come from, so that sums of a few do not overflow.
inline constexpr int64_t kMostExtent = int64_t{1} << 48;

struct InferOptions {
  std::map<std::string, Shape> input_shapes;  ///< by input name; others as declared
  int64_t fold_limit = int64_t{1} << 22;      ///< elements of a result that is still folded
};

/// Types of all values, and the elements of those that follow from constants and shapes. Declared
/// types fill in what inference does not know. A DequantizeLinear of constants is not folded: its
/// consumers may want the codes. Errors (input): a contradiction, with the node; an input shape
/// that does not fit the declared one.
Facts infer_facts(const Graph& graph, const OpRegistry& ops, const InferOptions& options = {});

/// Evaluates one node on tensors by its reference. Errors carry the node.
std::vector<Tensor> evaluate(const OpDef& def, const NodeView& node,
                             std::span<const Tensor* const> inputs,
                             const SubgraphRunner* subgraphs = nullptr);

/// The type of a QuantizeLinear's results or of a DequantizeLinear's input 0; undefined if unknown.
DType code_type(const NodeView& node);

/// scale, zero_point and axis of a QuantizeLinear or DequantizeLinear whose parameters are
/// constants; nothing where they are computed or not valid.
std::optional<QuantParams> constant_params(const NodeView& node);

}  // namespace qtool
