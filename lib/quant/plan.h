// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "ir/graph.h"
#include "numerics/affine.h"
#include "support/json.h"

namespace qtool {

/// What is put on a value. The uses named read the quantized form; others stay as they are.
struct Placement {
  enum class Kind {
    activation,  ///< computed or fed: QuantizeLinear and DequantizeLinear
    constant,    ///< weights and other constants: codes and DequantizeLinear
  };
  Kind kind = Kind::activation;
  ValueId value = ValueId::none;
  std::vector<Use> uses;  ///< by node, slot
  bool output = false;    ///< activation: the graph output of this name is the dequantized
  QuantParams params;
  std::string reason;
};

/// A bias in 32-bit codes for one use: zero point 0, scale = the input's times the weights'.
struct BiasPlacement {
  ValueId value = ValueId::none;
  Use use;
  std::vector<float> scale;  ///< one, or one per element
  std::vector<float> shift;  ///< added to the float bias before it is quantized; or empty
  std::string reason;
};

/// A Relu or Clip that goes because the grid of its result implies it. Its producer makes the
/// result itself.
struct RemovedNode {
  NodeId node = NodeId::none;
  std::string reason;
};

/// One activation whose channels (its last dimension) are divided by `scale`, and the weights that
/// multiply them multiplied by it: products stay as they are, but one scale for all channels then
/// costs the small ones less. By names, as it edits the graph that the rest of the plan is for.
struct Smoothing {
  std::string tensor;
  std::vector<std::string> nodes;  ///< Gemm or MatMul that read it; the others read it as it was
  std::vector<float> scale;        ///< finite, > 0
  bool absorbed = false;           ///< what makes the tensor divides; otherwise a Mul is put behind
  std::string reason;
};

/// Two convolutions with only a Relu or Clip between: the channels of the first are divided by
/// `scale`, those of the second multiplied. By names, as a Smoothing, and done before it.
struct Equalization {
  std::string first;
  std::string second;
  std::vector<float> scale;  ///< finite, > 0; by channel
  std::string reason;
  /// Then taken off each channel, and given to the second's biases; or empty.
  std::vector<float> absorbed = {};
};

struct SkippedNode {
  NodeId node = NodeId::none;
  std::string reason;
};

/// Every decision and every refusal of one quantization, each with its reason: what insert_qdq
/// does, what a person can edit, and what reports print. In memory by id, on disk (JSON, schema
/// "qtool.plan/1") by the names of tensors and nodes. A node without a name of its own goes by its
/// first output's.
struct QuantPlan {
  std::string target;
  int64_t opset = 13;                   ///< the least that the result imports
  bool float_biases = false;            ///< biases get their shift, but stay floats
  std::vector<NodeId> quantized;        ///< nodes that compute on codes, by id
  std::vector<NodeId> moved;            ///< nodes that move codes, by id
  std::vector<Placement> placements;    ///< by value, then first use
  std::vector<BiasPlacement> biases;    ///< by use
  std::vector<RemovedNode> removed;     ///< by node
  std::vector<SkippedNode> skipped;     ///< by node: what could have been quantized
  std::vector<NodeId> dynamic;          ///< to be quantized at run time, after insert_qdq
  std::vector<std::string> notes;       ///< warnings, in sentences
  std::vector<Smoothing> smoothed;      ///< done to the graph already (algorithms/smooth_quant.h)
  std::vector<Equalization> equalized;  ///< done to the graph already (algorithms/equalize.h)
};

inline constexpr const char* kPlanSchema = "qtool.plan/1";

Json to_json(const QuantPlan& plan, const Graph& graph);

/// Errors (input): another schema, an unknown key, tensor or node (with the nearest names), a use
/// that does not read its tensor, parameters that are not valid or do not fit the tensor.
/// `graph` has been smoothed as the plan says.
QuantPlan plan_from_json(const Json& json, const Graph& graph);

/// What a plan's file says of that; none where it says nothing. Errors (input): as above.
std::vector<Smoothing> smoothings_from_json(const Json& json);
std::vector<Equalization> equalizations_from_json(const Json& json);

/// The same with files; errors name the file as well.
QuantPlan read_plan(const std::filesystem::path& path, const Graph& graph);
void write_plan(const std::filesystem::path& path, const QuantPlan& plan, const Graph& graph);

}  // namespace qtool
