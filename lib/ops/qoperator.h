// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace qtool {

/// Where an op on codes has an operand: slots of the codes, the scale, the zero point; -1: none.
/// An operand without a scale is taken as it is. Several scales follow `axis`.
struct CodedOperand {
  int codes = -1;
  int scale = -1;
  int zero_point = -1;
  int axis = 0;
};

/// ONNX's QOperator form: a node that takes codes with their parameters as inputs and gives codes.
/// It stands for DequantizeLinears, an op on real numbers with the same attributes, and a
/// QuantizeLinear.
struct QOperator {
  OpKey key;
  OpKey real;
  std::vector<CodedOperand> operands;  ///< in the order of the real op's inputs
  int scale = -1;                      ///< of the result
  int zero_point = -1;
  int bias = -1;                ///< slot of int32 codes in units of the two operands' scales
  bool repeats = false;         ///< the last operand's three slots repeat to the end (Concat)
  std::string transposes = {};  ///< attribute that moves the weights' channels to axis 0
};

/// Those that are in this form, or null.
const QOperator* find_qoperator(const OpKey& key);
std::span<const QOperator> qoperators();

/// Whether the op is quantization already: one of these, or a product of whole numbers.
bool computes_codes(const OpKey& key);

/// The operands of a node with these attributes and so many inputs.
std::vector<CodedOperand> operands_of(const QOperator& form, const Attributes& attributes,
                                      size_t input_count);

/// Replaces every node in this form by what it stands for, where that says the same: no operand is
/// missing, the result's zero point is given, the model's opset reads the attributes as they are
/// meant. Returns how many.
int expand_qoperators(Graph& graph);

/// Whether there is one to replace.
bool has_qoperators(const Graph& graph);

}  // namespace qtool
