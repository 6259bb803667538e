// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"
#include "numerics/affine.h"

namespace qtool {

/// When an op with integer kernels is quantized.
enum class Eagerness {
  always,            ///< it is worth quantizing its inputs for it
  inputs_quantized,  ///< it joins in where all of its inputs are codes anyway
};

/// What a runtime's integer kernel of one op wants.
struct TargetOp {
  Eagerness when = Eagerness::always;
  bool float_output = false;      ///< it can give floats, so that a float reader costs no rounding
  bool computed_weights = false;  ///< its weight operand may be an activation (MatMul)
  bool per_channel = true;        ///< weights may have a scale a channel
  /// One operand, the result of a layer that nobody else reads, arrives as floats, so that layer
  /// and op fuse (TensorRT's Add).
  bool residual = false;
};

/// A deployment runtime as data. Files of the schema "qtool.target/1" (YAML) under targets/ are
/// compiled in; a user's own file has the same form.
struct Target {
  std::string name;
  std::string description;
  int64_t opset = 13;  ///< of ai.onnx, the least that emitted models import
  QuantType activation_type{8, false, false};
  Scheme activation_scheme = Scheme::asymmetric;
  QuantType weight_type{8, true, false};
  Scheme weight_scheme = Scheme::symmetric;
  bool per_channel = true;             ///< weights have a scale per output channel
  bool pairs_in_16_bits = false;       ///< its kernels add two products in 16 bits, which saturate
  bool float_biases = false;           ///< biases are no codes
  bool fixed_ranges = false;           ///< Softmax and Sigmoid must have the range of their result
  bool remove_activations = true;      ///< a Relu or Clip that the result's grid implies goes
  std::map<OpKey, TargetOp> computes;  ///< ops with integer kernels
  std::vector<OpKey> moves;            ///< ops that run on codes as they are
};

/// By name of a compiled-in target, otherwise by path of a file. Errors (usage): neither, with
/// what there is; (input): the file is not a target, with the key.
Target load_target(const std::string& name_or_path);

/// Errors (input): an unknown or missing key, a value that its key cannot have.
Target parse_target(const std::string& yaml);

/// Name and YAML text of those compiled in, by name.
const std::map<std::string, std::string_view>& builtin_targets();

/// "u8", "s8", "s4 narrow": the inverse of to_string(QuantType). Errors (input): another text.
QuantType parse_quant_type(const std::string& text);

/// "asymmetric", "symmetric", "power-of-two". Errors (input): another text.
std::string to_string(Scheme scheme);
Scheme parse_scheme(const std::string& text);

}  // namespace qtool
