// SPDX-License-Identifier: Apache-2.0
// DFT (17: the axis is an attribute, 20: an input), STFT (17), MelWeightMatrix (17).
#include <algorithm>
#include <cmath>

#include "kernels/reference/fourier.h"
#include "ops/along_axis.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "support/checked.h"
#include "support/text.h"

namespace qtool {

namespace {

using Complex = std::complex<double>;

int64_t single_integer(const Tensor& tensor) {
  if (tensor.size() != 1) throw input_error("a length or axis that is not one number");
  return to_int64s(tensor)[0];
}

/// Of one input that is a constant; nothing where it is absent or not known.
std::optional<int64_t> known_integer(const NodeView& node, size_t slot) {
  const Constant constant = node.input_constant(slot);
  return constant != nullptr ? std::optional(single_integer(*constant)) : std::nullopt;
}

int64_t checked_length(int64_t length) {
  if (length < 1 || length > kMostExtent)
    throw input_error(fmt::format("a transform of length {}", length));
  return length;
}

/// Signals end in an axis of 1 (real) or 2 (complex) parts.
void check_parts(const std::vector<Dim>& shape, size_t least_rank) {
  if (shape.size() < least_rank)
    throw input_error(fmt::format("a signal of rank {}", shape.size()));
  const auto parts = shape.back().value;
  if (parts && *parts != 1 && *parts != 2)
    throw input_error(fmt::format("a signal of {} parts, expected 1 or 2", *parts));
}

/// The last axis holds the parts and is not transformed.
int64_t checked_axis(int64_t axis, int64_t rank) {
  const int64_t at = normalized_axis(axis, rank);
  if (at == rank - 1) throw input_error(fmt::format("axis {} holds the parts", axis));
  return at;
}

// ---- DFT --------------------------------------------------------------------------------------

/// Nothing where the axis is computed at run time.
std::optional<int64_t> dft_axis(const NodeView& node, int64_t rank) {
  if (node.opset() < 20) return checked_axis(node.attributes().integer("axis", 1), rank);
  if (!node.has_input(2)) return checked_axis(-2, rank);
  const auto axis = known_integer(node, 2);
  return axis ? std::optional(checked_axis(*axis, rank)) : std::nullopt;
}

bool is_inverse(const NodeView& node) { return node.attributes().integer("inverse", 0) != 0; }
bool is_onesided(const NodeView& node) {
  const bool half = node.attributes().integer("onesided", 0) != 0;
  if (half && is_inverse(node)) throw unsupported_error("an inverse DFT of one side");
  return half;
}

void infer_dft(InferContext& context) {
  const NodeView& node = context.node;
  TensorType type = node.input_type(0);
  if (type.shape) {
    check_parts(*type.shape, 2);
    const auto axis = dft_axis(node, static_cast<int64_t>(type.shape->size()));
    const auto length = known_integer(node, 1);
    if (!axis) {
      for (size_t d = 0; d + 1 < type.shape->size(); ++d) (*type.shape)[d] = {};
    } else {
      Dim& dim = (*type.shape)[static_cast<size_t>(*axis)];
      if (node.has_input(1)) dim = length ? Dim{checked_length(*length), {}} : Dim{};
      if (dim.value) checked_length(*dim.value);
      if (is_onesided(node)) dim = dim.value ? Dim{*dim.value / 2 + 1, {}} : Dim{};
    }
    type.shape->back() = {2, {}};
  }
  context.set_output(0, std::move(type));
}

/// Cut or filled with zeros to `length`.
std::vector<Complex> signal_line(const std::vector<double>& x, const AlongAxis& span, int64_t parts,
                                 int64_t o, int64_t i, int64_t length) {
  std::vector<Complex> line(static_cast<size_t>(length));
  const int64_t inner = span.inner / parts;
  for (int64_t k = 0; k < std::min(length, span.along); ++k) {
    const auto at = static_cast<size_t>(((o * span.along + k) * inner + i) * parts);
    line[static_cast<size_t>(k)] = {x[at], parts == 2 ? x[at + 1] : 0};
  }
  return line;
}

std::vector<Tensor> dft_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  const auto rank = static_cast<int64_t>(x.rank());
  const bool axis_input = call.node.opset() >= 20 && call.has(2);
  const int64_t axis =
      axis_input ? checked_axis(single_integer(call.input(2)), rank) : *dft_axis(call.node, rank);
  const AlongAxis span(x.shape(), axis);
  const int64_t parts = x.shape().back();
  const int64_t length = checked_length(call.has(1) ? single_integer(call.input(1)) : span.along);
  Shape shape = x.shape();
  const int64_t kept = is_onesided(call.node) ? length / 2 + 1 : length;
  shape[static_cast<size_t>(axis)] = kept;
  shape.back() = 2;
  Tensor y(DType::float64, shape);
  const std::vector<double> elements = to_doubles(x);
  const int64_t inner = span.inner / parts;
  for (int64_t line = 0; line < span.outer * inner; ++line) {
    const int64_t o = line / inner;
    const int64_t i = line % inner;
    std::vector<Complex> values = signal_line(elements, span, parts, o, i, length);
    is_inverse(call.node) ? reference::inverse_fourier_transform(values)
                          : reference::fourier_transform(values);
    for (int64_t k = 0; k < kept; ++k) {
      const auto at = static_cast<size_t>(((o * kept + k) * inner + i) * 2);
      y.data<double>()[at] = values[static_cast<size_t>(k)].real();
      y.data<double>()[at + 1] = values[static_cast<size_t>(k)].imag();
    }
  }
  return one_result(cast(y, x.dtype()));
}

// ---- STFT -------------------------------------------------------------------------------------

struct Frames {
  int64_t count;
  int64_t bins;
};

Frames frames_of(int64_t signal, int64_t step, int64_t length, bool onesided) {
  if (step < 1) throw input_error(fmt::format("a frame_step of {}", step));
  checked_length(length);
  if (length > signal)
    throw input_error(fmt::format("frames of {} in a signal of {}", length, signal));
  return {(signal - length) / step + 1, onesided ? length / 2 + 1 : length};
}

bool stft_onesided(const NodeView& node) { return node.attributes().integer("onesided", 1) != 0; }

void infer_stft(InferContext& context) {
  const NodeView& node = context.node;
  TensorType type{node.input_type(0).dtype, std::vector<Dim>(4)};
  type.shape->back().value = 2;
  if (!node.has_input(2) && !node.has_input(3))
    throw input_error("neither a window nor a frame_length");
  if (const auto& signal = node.input_type(0).shape) {
    if (signal->size() != 3)
      throw input_error(
          fmt::format("a signal of rank {}, expected [N, length, parts]", signal->size()));
    check_parts(*signal, 3);
    if (signal->back().value == 2 && stft_onesided(node))
      throw input_error("one side of a complex signal");
    (*type.shape)[0] = (*signal)[0];
    const auto step = known_integer(node, 1);
    auto length = known_integer(node, 3);
    const auto window = node.input_type(2).concrete_shape();
    if (window && window->size() != 1) throw input_error("a window that is no list");
    if (window && length && (*window)[0] != *length)
      throw input_error(fmt::format("a window of {} for frames of {}", (*window)[0], *length));
    if (window && !node.has_input(3)) length = (*window)[0];
    if (step && length && (*signal)[1].value) {
      const Frames frames = frames_of(*(*signal)[1].value, *step, *length, stft_onesided(node));
      (*type.shape)[1].value = frames.count;
      (*type.shape)[2].value = frames.bins;
    }
  }
  context.set_output(0, std::move(type));
}

std::vector<Tensor> stft_reference(const ReferenceCall& call) {
  const Tensor& x = call.input(0);
  const int64_t signal = x.shape()[1];
  const int64_t parts = x.shape()[2];
  const int64_t step = single_integer(call.input(1));
  const int64_t length = call.has(3) ? single_integer(call.input(3)) : call.input(2).size();
  const Frames frames = frames_of(signal, step, length, stft_onesided(call.node));
  std::vector<double> window(static_cast<size_t>(length), 1.0);
  if (call.has(2)) window = to_doubles(call.input(2));
  if (static_cast<int64_t>(window.size()) != length)
    throw input_error(fmt::format("a window of {} for frames of {}", window.size(), length));
  const std::vector<double> elements = to_doubles(x);
  Tensor y(DType::float64, {x.shape()[0], frames.count, frames.bins, 2});
  for (int64_t frame = 0; frame < x.shape()[0] * frames.count; ++frame) {
    const int64_t start = frame / frames.count * signal + frame % frames.count * step;
    std::vector<Complex> values;
    for (int64_t k = 0; k < length; ++k) {
      const auto at = static_cast<size_t>((start + k) * parts);
      const Complex value(elements[at], parts == 2 ? elements[at + 1] : 0);
      values.push_back(window[static_cast<size_t>(k)] * value);
    }
    reference::fourier_transform(values);
    for (int64_t bin = 0; bin < frames.bins; ++bin) {
      const auto at = static_cast<size_t>((frame * frames.bins + bin) * 2);
      y.data<double>()[at] = values[static_cast<size_t>(bin)].real();
      y.data<double>()[at + 1] = values[static_cast<size_t>(bin)].imag();
    }
  }
  return one_result(cast(y, x.dtype()));
}

// ---- MelWeightMatrix --------------------------------------------------------------------------

struct Mel {
  int64_t bands, length, rate;
  double low, high;

  int64_t bins() const { return length / 2 + 1; }
};

Mel checked_mel(const Mel& mel) {
  const bool fits = mel.bands >= 1 && mel.bands <= (1 << 20) && mel.length >= 1 &&
                    mel.length <= kMostExtent && mel.rate >= 1 && mel.low >= 0 &&
                    mel.high >= mel.low && std::isfinite(mel.high);
  if (!fits) {
    throw input_error(fmt::format("{} mel bands from {} to {} Hz of a DFT of {} at {} Hz",
                                  mel.bands, mel.low, mel.high, mel.length, mel.rate));
  }
  return mel;
}

DType mel_dtype(const NodeView& node) {
  return dtype_attribute(node, "output_datatype", DType::float32);
}

void infer_mel(InferContext& context) {
  const NodeView& node = context.node;
  std::vector<Dim> shape(2);
  for (size_t i = 0; i < 5; ++i) check_single(node, i, "a number of MelWeightMatrix");
  if (const auto length = known_integer(node, 1)) shape[0].value = checked_length(*length) / 2 + 1;
  if (const auto bands = known_integer(node, 0)) shape[1].value = *bands;
  context.set_output(0, {mel_dtype(node), shape});
}

/// Triangles between bins that are spaced evenly on the mel scale, 2595 log10(1 + f / 700).
std::vector<Tensor> mel_reference(const ReferenceCall& call) {
  const Mel mel = checked_mel({single_integer(call.input(0)), single_integer(call.input(1)),
                               single_integer(call.input(2)), to_doubles(call.input(3)).at(0),
                               to_doubles(call.input(4)).at(0)});
  const auto to_mel = [](double hertz) { return 2595 * std::log10(1 + hertz / 700); };
  std::vector<int64_t> edges;
  const double low = to_mel(mel.low);
  const double step = (to_mel(mel.high) - low) / static_cast<double>(mel.bands + 2);
  for (int64_t i = 0; i < mel.bands + 2; ++i) {
    const double hertz = 700 * (std::pow(10, (static_cast<double>(i) * step + low) / 2595) - 1);
    const double bin =
        std::floor(static_cast<double>(mel.length + 1) * hertz / static_cast<double>(mel.rate));
    edges.push_back(static_cast<int64_t>(std::min(bin, static_cast<double>(mel.bins()))));
  }
  Tensor y(DType::float64, {mel.bins(), mel.bands});
  const auto put = [&](int64_t bin, int64_t band, double weight) {
    if (bin >= mel.bins()) return;
    y.data<double>()[static_cast<size_t>(bin * mel.bands + band)] = weight;
  };
  for (int64_t band = 0; band < mel.bands; ++band) {
    const auto at = static_cast<size_t>(band);
    const int64_t begin = edges[at];
    const int64_t middle = edges[at + 1];
    const int64_t end = edges[at + 2];
    if (begin == middle) put(middle, band, 1);
    for (int64_t bin = begin; begin != middle && bin <= middle; ++bin)
      put(bin, band, static_cast<double>(bin - begin) / static_cast<double>(middle - begin));
    for (int64_t bin = middle; middle != end && bin < end; ++bin)
      put(bin, band, static_cast<double>(end - bin) / static_cast<double>(end - middle));
  }
  return one_result(cast(y, mel_dtype(call.node)));
}

OpDef record(const char* type, int since, Arity inputs, void (*infer)(InferContext&),
             std::vector<Tensor> (*reference)(const ReferenceCall&)) {
  return {.key = {"", type},
          .since_version = since,
          .inputs = inputs,
          .outputs = {1, 1},
          .infer = infer,
          .reference = reference};
}

}  // namespace

void register_signal(OpRegistry& ops) {
  ops.add(record("DFT", 17, {1, 2}, infer_dft, dft_reference));
  ops.add(record("DFT", 20, {1, 3}, infer_dft, dft_reference));
  ops.add(record("STFT", 17, {2, 4}, infer_stft, stft_reference));
  ops.add(record("MelWeightMatrix", 17, {5, 5}, infer_mel, mel_reference));
}

}  // namespace qtool
