// SPDX-License-Identifier: Apache-2.0
// ConvTranspose, opsets 1 to 22 (11 made it clear how output_shape divides the padding).
#include <algorithm>

#include "ops/families.h"
#include "ops/gradients/gradients.h"
#include "ops/lowering.h"
#include "ops/reals.h"
#include "ops/shapes.h"
#include "support/checked.h"
#include "support/text.h"

namespace qtool {

namespace {

/// Of one spatial dimension: out = i * stride - pad + k * dilation for input i and kernel tap k.
struct Spread {
  int64_t kernel = 1;
  int64_t stride = 1;
  int64_t dilation = 1;
  int64_t pad_begin = 0;
  int64_t output_padding = 0;
  int64_t output = 0;
};

std::vector<int64_t> entries(const NodeView& node, const char* name, size_t count,
                             int64_t otherwise, int64_t least) {
  std::vector<int64_t> list = node.attributes().integers(name);
  if (list.empty()) list.assign(count, otherwise);
  if (list.size() != count) {
    throw input_error(fmt::format("\"{}\" has {} entries, expected {}", name, list.size(), count));
  }
  for (const int64_t entry : list) {
    if (entry < least || entry > (int64_t{1} << 31)) {
      throw input_error(fmt::format("\"{}\" has the entry {}", name, entry));
    }
  }
  return list;
}

/// output_shape names spatial extents; exporters also write the whole shape.
std::vector<int64_t> output_extents(const NodeView& node, size_t rank) {
  std::vector<int64_t> extents = node.attributes().integers("output_shape");
  if (extents.size() == rank + 2) extents.erase(extents.begin(), extents.begin() + 2);
  if (extents.empty()) return extents;
  if (extents.size() != rank || std::ranges::any_of(extents, [](int64_t e) { return e < 1; })) {
    throw input_error(
        fmt::format("\"output_shape\" is {} for {} spatial dimensions", to_string(extents), rank));
  }
  return extents;
}

/// What the windows cover together, without padding.
int64_t covered(const Spread& s, int64_t input) {
  const auto span = checked_multiply(s.kernel - 1, s.dilation);
  const auto steps = checked_multiply(std::max<int64_t>(input - 1, 0), s.stride);
  const auto sum = span && steps ? checked_add(*span, *steps) : std::nullopt;
  const auto all = sum ? checked_add(*sum, s.output_padding + 1) : std::nullopt;
  if (!all || *all > kMostExtent) throw input_error("the result is too large");
  return *all;
}

void set_extent(Spread& s, int64_t input, const std::string& auto_pad, int64_t wanted,
                int64_t pad_end) {
  const int64_t whole = covered(s, input);
  const bool same = auto_pad == "SAME_UPPER" || auto_pad == "SAME_LOWER";
  if (wanted == 0 && !same) {
    if (auto_pad == "VALID") s.pad_begin = pad_end = 0;
    s.output = whole - s.pad_begin - pad_end;
    if (s.output < 1) {
      throw input_error(
          fmt::format("padding of {} and {} leaves nothing of {}", s.pad_begin, pad_end, whole));
    }
    return;
  }
  s.output = wanted > 0 ? wanted : input * s.stride;
  const int64_t total = std::max<int64_t>(0, whole - s.output);
  s.pad_begin = auto_pad == "SAME_UPPER" ? total / 2 : total - total / 2;
}

/// One entry a spatial dimension. `x` and `w` are known from dimension 2 on.
std::vector<Spread> spreads(const NodeView& node, const Shape& x, const Shape& w) {
  const size_t rank = x.size() - 2;
  const std::string auto_pad = node.attributes().text("auto_pad", "NOTSET");
  if (auto_pad != "NOTSET" && auto_pad != "VALID" && auto_pad != "SAME_UPPER" &&
      auto_pad != "SAME_LOWER") {
    throw input_error("auto_pad is \"" + auto_pad + "\"");
  }
  const auto strides = entries(node, "strides", rank, 1, 1);
  const auto dilations = entries(node, "dilations", rank, 1, 1);
  const auto pads = entries(node, "pads", 2 * rank, 0, 0);
  const auto output_padding = entries(node, "output_padding", rank, 0, 0);
  const auto declared = node.attributes().integers("kernel_shape");
  if (!declared.empty() && declared != std::vector<int64_t>(w.begin() + 2, w.end())) {
    throw input_error(fmt::format("kernel_shape {} differs from the weights {}",
                                  to_string(declared), to_string(w)));
  }
  const std::vector<int64_t> wanted = output_extents(node, rank);
  std::vector<Spread> result;
  for (size_t d = 0; d < rank; ++d) {
    if (w[d + 2] < 1) throw input_error("a kernel without elements");
    Spread s{w[d + 2], strides[d], dilations[d], pads[d], output_padding[d], 0};
    set_extent(s, x[d + 2], auto_pad, wanted.empty() ? 0 : wanted[d], pads[rank + d]);
    result.push_back(s);
  }
  return result;
}

int64_t group_count(const NodeView& node) {
  const int64_t groups = node.attributes().integer("group", 1);
  if (groups < 1) throw input_error(fmt::format("group is {}", groups));
  return groups;
}

Dim filters(const NodeView& node, const std::vector<Dim>& x, const std::vector<Dim>& w) {
  const int64_t groups = group_count(node);
  if (x[1].value && w[0].value && *x[1].value != *w[0].value) {
    throw input_error(
        fmt::format("{} input channels, but the weights expect {}", *x[1].value, *w[0].value));
  }
  if (w[0].value && *w[0].value % groups != 0) {
    throw input_error(
        fmt::format("{} input channels are not divisible by {} groups", *w[0].value, groups));
  }
  if (!w[1].value) return {};
  const auto all = checked_multiply(*w[1].value, groups);
  if (!all) throw input_error("too many filters");
  const auto& bias = node.input_type(2).shape;
  if (bias && (bias->size() != 1 || ((*bias)[0].value && *(*bias)[0].value != *all))) {
    throw input_error(fmt::format("the bias {} is not one number for each of {} filters",
                                  to_string(node.input_type(2)), *all));
  }
  return {*all, {}};
}

void infer_conv_transpose(InferContext& context) {
  const NodeView& node = context.node;
  check_same_dtype(node, 3);
  const auto& x = node.input_type(0).shape;
  const auto& w = node.input_type(1).shape;
  TensorType type{node.input_type(0).dtype, std::nullopt};
  if (x && w) {
    if (x->size() < 3 || w->size() != x->size()) {
      throw input_error(fmt::format("input {} and weights {} do not fit a transposed convolution",
                                    to_string(node.input_type(0)), to_string(node.input_type(1))));
    }
    type.shape = {{(*x)[0], filters(node, *x, *w)}};
    type.shape->resize(x->size());
    const auto fixed = output_extents(node, x->size() - 2);
    for (size_t d = 0; d < fixed.size(); ++d) (*type.shape)[d + 2] = {fixed[d], {}};
    const auto weights = node.input_type(1).concrete_shape();
    Shape known{0, 0};
    for (size_t d = 2; d < x->size() && (*x)[d].value; ++d) known.push_back(*(*x)[d].value);
    if (weights && known.size() == x->size()) {
      const auto all = spreads(node, known, *weights);
      for (size_t d = 0; d < all.size(); ++d) (*type.shape)[d + 2] = {all[d].output, {}};
    }
  }
  context.set_output(0, std::move(type));
}

/// The input position that tap k brings to output o, or -1.
int64_t source(const Spread& s, int64_t o, int64_t k, int64_t extent) {
  const int64_t at = o + s.pad_begin - k * s.dilation;
  return at >= 0 && at % s.stride == 0 && at / s.stride < extent ? at / s.stride : -1;
}

/// The index that a flat position has in `extents`.
std::vector<int64_t> unravel(int64_t position, const Shape& extents) {
  std::vector<int64_t> index(extents.size());
  for (size_t d = extents.size(); d-- > 0;) {
    index[d] = position % extents[d];
    position /= extents[d];
  }
  return index;
}

std::vector<Tensor> conv_transpose_reference(const ReferenceCall& call) {
  const Shape& xs = call.input(0).shape();
  const Shape& ws = call.input(1).shape();
  const std::vector<Spread> all = spreads(call.node, xs, ws);
  const int64_t groups = group_count(call.node);
  const int64_t per_group = ws[0] / groups;
  const Shape from(xs.begin() + 2, xs.end());
  const Shape kernel(ws.begin() + 2, ws.end());
  Shape to;
  for (const Spread& s : all) to.push_back(s.output);
  const int64_t plane = element_count(from);
  const int64_t taps = element_count(kernel);
  Shape shape{xs[0], ws[1] * groups};
  shape.insert(shape.end(), to.begin(), to.end());
  std::vector<double> y(static_cast<size_t>(element_count(shape)));
  const std::vector<double> x = reals(call, 0);
  const std::vector<double> w = reals(call, 1);
  const std::vector<double> bias = call.has(2) ? reals(call, 2) : std::vector<double>{};
  const int64_t positions = element_count(to);
  for (int64_t e = 0; e < static_cast<int64_t>(y.size()); ++e) {
    const int64_t m = e / positions % shape[1];
    const int64_t n = e / positions / shape[1];
    const auto o = unravel(e % positions, to);
    double sum = bias.empty() ? 0 : bias[static_cast<size_t>(m)];
    for (int64_t tap = 0; tap < taps; ++tap) {
      const auto k = unravel(tap, kernel);
      int64_t place = 0;
      for (size_t d = 0; d < o.size() && place >= 0; ++d) {
        const int64_t i = source(all[d], o[d], k[d], from[d]);
        place = i < 0 ? -1 : place * from[d] + i;
      }
      for (int64_t c = 0; place >= 0 && c < per_group; ++c) {
        const int64_t channel = m / ws[1] * per_group + c;
        sum += x[static_cast<size_t>((n * xs[1] + channel) * plane + place)] *
               w[static_cast<size_t>((channel * ws[1] + m % ws[1]) * taps + tap)];
      }
    }
    y[static_cast<size_t>(e)] = sum;
  }
  return one_result(real_tensor(call.input(0).dtype(), shape, y));
}

/// The axis of output channels, where each has weights of its own along it.
int transposed_channel_axis(const NodeView& node) {
  return node.attributes().integer("group", 1) == 1 ? 1 : -1;
}

Lowering lower_conv_transpose(const LowerContext& context) {
  const LowerInput& weights = context.inputs[1];
  if (weights.constant == nullptr) return Lowering::refuse("weights that are computed at run time");
  if (context.has(2) && context.inputs[2].constant == nullptr) {
    return Lowering::refuse("a bias that is computed at run time");
  }
  if (auto why = operand_problem(context, 1); !why.empty()) return Lowering::refuse(std::move(why));
  const bool per_channel = weights.params != nullptr && !weights.params->per_tensor();
  if (per_channel && transposed_channel_axis(context.node) < 0) {
    return Lowering::refuse("weights of groups that share scales");
  }
  onednn::ConvolutionSpec spec;
  spec.source = operand(context.inputs[0], Layout::channels_last);
  spec.destination = operand(context.outputs[0], Layout::channels_last);
  spec.weights = weights.constant.get();
  spec.weight_params = weights.params;
  if (context.has(2)) {
    spec.bias = context.inputs[2].constant.get();
    spec.bias_params = context.inputs[2].params;
  }
  spec.groups = group_count(context.node);
  const auto all = spreads(context.node, spec.source.shape, weights.shape);
  spec.pads.resize(2 * all.size());
  for (size_t d = 0; d < all.size(); ++d) {
    spec.strides.push_back(all[d].stride);
    spec.dilations.push_back(all[d].dilation);
    spec.pads[d] = all[d].pad_begin;
    const int64_t reached = covered(all[d], spec.source.shape[d + 2]) - all[d].output_padding;
    spec.pads[all.size() + d] = reached - all[d].pad_begin - all[d].output;
  }
  spec.post_ops = post_op_specs(context, Layout::channels_last);
  std::vector<Layout> inputs(context.inputs.size(), Layout::plain);
  inputs[0] = Layout::channels_last;
  for (const auto& post : spec.post_ops) {
    if (post.operand) inputs.push_back(Layout::channels_last);
  }
  Lowering result = lowering(onednn::make_deconvolution(spec), inputs, {Layout::channels_last});
  result.packed = {1};
  if (context.inputs.size() > 2) result.packed.push_back(2);
  result.in_place = residual_input(context);
  return result;
}

uint64_t conv_transpose_macs(const NodeView& node) {
  const auto x = node.input_type(0).concrete_shape();
  const auto w = node.input_type(1).concrete_shape();
  if (!x || !w || (*w)[0] == 0) return 0;
  return static_cast<uint64_t>(element_count(*x)) *
         static_cast<uint64_t>(element_count(*w) / (*w)[0]);
}

}  // namespace

void register_conv_transpose(OpRegistry& ops) {
  ops.add({.key = {"", "ConvTranspose"},
           .since_version = 1,
           .inputs = {2, 3},
           .outputs = {1, 1},
           .infer = infer_conv_transpose,
           .reference = conv_transpose_reference,
           .tolerance = kAccumulated,
           .taste = LayoutTaste::channels_last,
           .fusion = Fusion::residual,
           .lower = lower_conv_transpose,
           .gradient = conv_transpose_gradient,
           .quant = {.behaviour = Behaviour::compute,
                     .inputs = {{OperandRole::activation},
                                {OperandRole::weight, transposed_channel_axis},
                                {OperandRole::bias}}},
           .macs = conv_transpose_macs});
}

}  // namespace qtool
