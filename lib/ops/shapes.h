// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include "ops/op_def.h"

namespace qtool {

// Helpers that several families share: inference rules and attribute reading.

/// Output 0 is of the first input's type.
void infer_same_type(InferContext& context);

/// Errors (input): the first `count` inputs are known to have different element types.
void check_same_dtype(const NodeView& node, size_t count);

/// The shape that a node's inputs broadcast to; nothing where one is of unknown rank. Errors
/// (input): they do not.
std::optional<std::vector<Dim>> broadcast_inputs(const NodeView& node);

/// Output 0: the inputs' broadcast shape, the first input's element type.
void infer_broadcast(InferContext& context);

/// The product of extents [begin, end), unknown where one is. Errors (input): overflow.
Dim product_of(const std::vector<Dim>& shape, size_t begin, size_t end);

/// NumPy's rule on symbolic extents: unknown where the extents do not decide. Errors (input): two
/// known extents that do not fit.
std::vector<Dim> broadcast_dims(const std::vector<Dim>& a, const std::vector<Dim>& b);

/// A non-negative axis below `rank` (or == rank where `end_allowed`). Errors (input): outside.
int64_t normalized_axis(int64_t axis, int64_t rank, bool end_allowed = false);

/// kernel, strides, pads (all begins, then all ends), dilations of a sliding window.
struct Window {
  std::vector<int64_t> kernel;
  std::vector<int64_t> strides;
  std::vector<int64_t> pads;
  std::vector<int64_t> dilations;
  bool ceil_mode = false;

  size_t rank() const { return kernel.size(); }
  int64_t pad_begin(size_t i) const { return pads[i]; }
  int64_t pad_end(size_t i) const { return pads[rank() + i]; }

  /// Output extent of spatial dimension i. Errors (input): not positive.
  int64_t extent(size_t i, int64_t input) const;
};

/// Reads a node's window for input extents that are all known (auto_pad needs them). Errors
/// (input): lists of unlike length, negative or zero strides and dilations.
Window read_window(const NodeView& node, std::vector<int64_t> kernel, const Shape& input_shape);

/// The window if it does not depend on unknown extents, with one output extent per dimension.
std::vector<Dim> window_extents(const NodeView& node, std::vector<int64_t> kernel,
                                const std::vector<Dim>& input);

/// An input of a reference that computes in float32. Errors (unsupported): other elements.
const Tensor& float_input(const ReferenceCall& call, size_t slot);

/// Bytes of an element that is moved as it is. Errors (unsupported): strings, packed 4-bit ones.
size_t moved_bytes(DType dtype);

/// The results of a reference that has one.
std::vector<Tensor> one_result(Tensor tensor);

/// An attribute that names an element type by ONNX's number. Errors (input): it names none.
DType dtype_attribute(const NodeView& node, const char* attribute, DType otherwise);

/// Errors (input): input `slot` is known to be something else than one number; `what` names it.
void check_single(const NodeView& node, size_t slot, const char* what);

/// 64-bit integers of a constant input; nothing where it is not known.
std::optional<std::vector<int64_t>> constant_integers(const NodeView& node, size_t slot);

}  // namespace qtool
