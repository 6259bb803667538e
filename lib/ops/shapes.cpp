// SPDX-License-Identifier: Apache-2.0
#include "ops/shapes.h"

#include <algorithm>

#include "support/checked.h"
#include "support/text.h"

namespace qtool {

void infer_same_type(InferContext& context) { context.set_output(0, context.node.input_type(0)); }

void check_same_dtype(const NodeView& node, size_t count) {
  const DType first = node.input_type(0).dtype;
  for (size_t i = 1; i < count; ++i) {
    const DType other = node.input_type(i).dtype;
    if (first != DType::undefined && other != DType::undefined && other != first) {
      throw input_error(
          fmt::format("inputs of different types, {} and {}", name(first), name(other)));
    }
  }
}

Dim product_of(const std::vector<Dim>& shape, size_t begin, size_t end) {
  if (end == begin + 1) return shape[begin];
  int64_t product = 1;
  for (size_t i = begin; i < end; ++i) {
    if (!shape[i].value) return {};
    const auto next = checked_multiply(product, *shape[i].value);
    if (!next) throw input_error(to_string(TensorType(DType::undefined, shape)) + " is too large");
    product = *next;
  }
  return {product, {}};
}

std::vector<Dim> broadcast_dims(const std::vector<Dim>& a, const std::vector<Dim>& b) {
  std::vector<Dim> result(std::max(a.size(), b.size()));
  const Dim one{1, {}};
  for (size_t i = 0; i < result.size(); ++i) {
    const Dim& x = i < a.size() ? a[a.size() - 1 - i] : one;
    const Dim& y = i < b.size() ? b[b.size() - 1 - i] : one;
    Dim& out = result[result.size() - 1 - i];
    if (x == one || x == y) {
      out = y;
    } else if (y == one) {
      out = x;
    } else if (x.value && y.value) {
      throw input_error(fmt::format("shapes do not broadcast: {} against {}", *x.value, *y.value));
    } else if (x.value || y.value) {
      out = x.value ? x : y;  // an unknown extent can only be 1 or the known one
    }
  }
  return result;
}

std::optional<std::vector<Dim>> broadcast_inputs(const NodeView& node) {
  std::vector<Dim> result;
  for (size_t i = 0; i < node.input_count(); ++i) {
    const auto& shape = node.input_type(i).shape;
    if (!shape) return std::nullopt;
    result = broadcast_dims(result, *shape);
  }
  return result;
}

void infer_broadcast(InferContext& context) {
  context.set_output(0, {context.node.input_type(0).dtype, broadcast_inputs(context.node)});
}

int64_t normalized_axis(int64_t axis, int64_t rank, bool end_allowed) {
  const int64_t result = axis < 0 ? axis + rank : axis;
  if (result < 0 || result >= rank + (end_allowed ? 1 : 0)) {
    throw input_error(fmt::format("axis {} is outside of a tensor of rank {}", axis, rank));
  }
  return result;
}

int64_t Window::extent(size_t i, int64_t input) const {
  const int64_t span = (kernel[i] - 1) * dilations[i] + 1;
  const int64_t room = input + pad_begin(i) + pad_end(i) - span;
  if (room < 0) {
    throw input_error(
        fmt::format("a window of {} does not fit into the extent {} with padding {} and {}", span,
                    input, pad_begin(i), pad_end(i)));
  }
  int64_t extent = room / strides[i] + 1;
  if (ceil_mode && room % strides[i] != 0) {
    // A window must start inside of the input or its leading padding.
    if (extent * strides[i] < input + pad_begin(i)) ++extent;
  }
  return extent;
}

namespace {

std::vector<int64_t> window_list(const NodeView& node, const char* name, size_t length,
                                 int64_t otherwise, int64_t least) {
  auto list = node.attributes().integers(name);
  if (list.empty()) list.assign(length, otherwise);
  if (list.size() != length) {
    throw input_error(fmt::format("\"{}\" has {} entries, expected {}", name, list.size(), length));
  }
  for (const int64_t entry : list) {
    if (entry < least || entry > (int64_t{1} << 31)) {
      throw input_error(fmt::format("\"{}\" has the entry {}", name, entry));
    }
  }
  return list;
}

Window window_without_auto_pad(const NodeView& node, std::vector<int64_t> kernel) {
  for (const int64_t extent : kernel) {
    if (extent < 1 || extent > (int64_t{1} << 31)) {
      throw input_error(fmt::format("a kernel extent of {}", extent));
    }
  }
  Window window;
  const size_t rank = kernel.size();
  window.kernel = std::move(kernel);
  window.strides = window_list(node, "strides", rank, 1, 1);
  window.dilations = window_list(node, "dilations", rank, 1, 1);
  // Negative padding crops; ONNX does not define it for windows.
  window.pads = window_list(node, "pads", 2 * rank, 0, 0);
  window.ceil_mode = node.attributes().integer("ceil_mode", 0) != 0;
  return window;
}

}  // namespace

Window read_window(const NodeView& node, std::vector<int64_t> kernel, const Shape& input_shape) {
  Window window = window_without_auto_pad(node, std::move(kernel));
  if (input_shape.size() != window.rank() + 2) {
    throw input_error(fmt::format("an input of rank {} for a window of rank {}", input_shape.size(),
                                  window.rank()));
  }
  const std::string auto_pad = node.attributes().text("auto_pad", "NOTSET");
  if (auto_pad == "NOTSET") return window;
  if (auto_pad != "SAME_UPPER" && auto_pad != "SAME_LOWER" && auto_pad != "VALID") {
    throw input_error("auto_pad is \"" + auto_pad + "\"");
  }
  for (size_t i = 0; i < window.rank(); ++i) {
    int64_t total = 0;
    if (auto_pad != "VALID") {
      const int64_t input = input_shape[i + 2];
      const int64_t output = (input + window.strides[i] - 1) / window.strides[i];
      const int64_t span = (window.kernel[i] - 1) * window.dilations[i] + 1;
      total = std::max<int64_t>(0, (output - 1) * window.strides[i] + span - input);
    }
    const int64_t smaller = total / 2;
    window.pads[i] = auto_pad == "SAME_LOWER" ? total - smaller : smaller;
    window.pads[window.rank() + i] = total - window.pads[i];
  }
  return window;
}

std::vector<Dim> window_extents(const NodeView& node, std::vector<int64_t> kernel,
                                const std::vector<Dim>& input) {
  const size_t rank = kernel.size();
  if (input.size() != rank + 2) {
    throw input_error(
        fmt::format("an input of rank {} for a window of rank {}", input.size(), rank));
  }
  // Unknown extents stand in as something large enough; their results are dropped.
  Shape shape;
  for (size_t i = 0; i < input.size(); ++i) {
    int64_t stand_in = 1;
    if (i >= 2) {
      const auto dilations = node.attributes().integers("dilations");
      const int64_t dilation = i - 2 < dilations.size() ? dilations[i - 2] : 1;
      const auto span = checked_multiply(kernel[i - 2], std::max<int64_t>(dilation, 1));
      stand_in = span.value_or(1);
    }
    shape.push_back(input[i].value.value_or(stand_in));
  }
  const Window window = read_window(node, std::move(kernel), shape);
  std::vector<Dim> extents(rank);
  for (size_t i = 0; i < rank; ++i) {
    if (input[i + 2].value) extents[i].value = window.extent(i, *input[i + 2].value);
  }
  return extents;
}

const Tensor& float_input(const ReferenceCall& call, size_t slot) {
  const Tensor& tensor = call.input(slot);
  if (tensor.dtype() != DType::float32) {
    throw unsupported_error(
        fmt::format("elements of type {} in input {}", name(tensor.dtype()), slot),
        "qtool computes in float; convert the model to it.");
  }
  return tensor;
}

size_t moved_bytes(DType dtype) {
  if (bits(dtype) < 8) {
    throw unsupported_error(fmt::format("elements of type {} cannot be moved", name(dtype)));
  }
  return static_cast<size_t>(bits(dtype)) / 8;
}

DType dtype_attribute(const NodeView& node, const char* attribute, DType otherwise) {
  const int64_t number = node.attributes().integer(attribute, static_cast<int64_t>(otherwise));
  if (number <= 0 || number > 255 || !is_known(static_cast<int>(number))) {
    throw input_error(fmt::format("\"{}\" is {}, no element type", attribute, number));
  }
  return static_cast<DType>(number);
}

void check_single(const NodeView& node, size_t slot, const char* what) {
  const auto shape = node.input_type(slot).concrete_shape();
  if (shape && element_count(*shape) != 1) {
    throw input_error(
        fmt::format("{} is {}, not one number", what, to_string(node.input_type(slot))));
  }
}

std::vector<Tensor> one_result(Tensor tensor) {
  std::vector<Tensor> results;
  results.push_back(std::move(tensor));
  return results;
}

std::optional<std::vector<int64_t>> constant_integers(const NodeView& node, size_t slot) {
  const Constant constant = node.input_constant(slot);
  if (constant == nullptr) return std::nullopt;
  if (!is_integer(constant->dtype())) {
    throw input_error(
        fmt::format("input {} must hold integers, not {}", slot, name(constant->dtype())));
  }
  return to_int64s(*constant);
}

}  // namespace qtool
