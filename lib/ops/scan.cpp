// SPDX-License-Identifier: Apache-2.0
// Scan: 8 has a batch dimension and sequence lengths; since 9 each input and output has an axis and
// a direction of its own.
#include <algorithm>

#include "ops/families.h"
#include "ops/shapes.h"
#include "ops/stacking.h"
#include "support/text.h"

namespace qtool {

namespace {

/// Body: states, one slice of each scanned input → states, one slice of each stacked output.
struct ScanShape {
  const Graph& body;
  size_t states;
  size_t scanned;
  size_t stacked;
  std::vector<int64_t> input_axes;  ///< by scanned input
  std::vector<bool> input_backward;
  std::vector<int64_t> output_axes;  ///< by stacked output, as the model has them
  std::vector<bool> output_backward;
};

std::vector<int64_t> list_of(const NodeView& node, const char* name, size_t count) {
  std::vector<int64_t> list = node.attributes().integers(name);
  if (list.empty()) list.assign(count, 0);
  if (list.size() != count) {
    throw input_error(fmt::format("\"{}\" has {} entries, expected {}", name, list.size(), count));
  }
  return list;
}

std::vector<bool> directions(const NodeView& node, const char* name, size_t count) {
  std::vector<bool> backward;
  for (const int64_t direction : list_of(node, name, count)) {
    if (direction != 0 && direction != 1) {
      throw input_error(fmt::format("\"{}\" has the entry {}", name, direction));
    }
    backward.push_back(direction == 1);
  }
  return backward;
}

/// `first`: inputs in front of the states, the sequence lengths of opset 8.
template <bool batched>
ScanShape scan_shape(const NodeView& node) {
  const SubgraphPtr body = node.attributes().subgraph("body");
  if (body == nullptr) throw input_error("the attribute \"body\" is missing");
  const size_t first = batched ? 1 : 0;
  const int64_t declared = node.attributes().integer("num_scan_inputs", 0);
  const size_t inputs = node.input_count() - std::min(first, node.input_count());
  if (declared < 1 || static_cast<size_t>(declared) > inputs) {
    throw input_error(fmt::format("num_scan_inputs is {} for {} inputs", declared, inputs));
  }
  for (size_t i = first; i < node.input_count(); ++i) {
    if (!node.has_input(i)) throw input_error(fmt::format("input {} is absent", i));
  }
  const auto scanned = static_cast<size_t>(declared);
  const size_t states = inputs - scanned;
  if (body->inputs().size() != inputs || body->outputs().size() < states ||
      body->outputs().size() < node.output_count()) {
    throw input_error(
        fmt::format("{} states and {} inputs to scan, but the body takes {} and gives {}", states,
                    scanned, body->inputs().size(), body->outputs().size()));
  }
  ScanShape shape{*body, states, scanned, body->outputs().size() - states, {}, {}, {}, {}};
  shape.input_axes.assign(scanned, 0);
  shape.output_axes.assign(shape.stacked, 0);
  shape.output_backward.assign(shape.stacked, false);
  if (batched) {
    shape.input_backward = directions(node, "directions", scanned);
  } else {
    shape.input_axes = list_of(node, "scan_input_axes", scanned);
    shape.input_backward = directions(node, "scan_input_directions", scanned);
    shape.output_axes = list_of(node, "scan_output_axes", shape.stacked);
    shape.output_backward = directions(node, "scan_output_directions", shape.stacked);
  }
  return shape;
}

/// The extent that all scanned inputs have along their axes, as far as known.
Dim scanned_extent(const NodeView& node, const ScanShape& shape, size_t first) {
  Dim length;
  for (size_t i = 0; i < shape.scanned; ++i) {
    const auto& dims = node.input_type(first + shape.states + i).shape;
    if (!dims) continue;
    const int64_t axis = normalized_axis(shape.input_axes[i] + static_cast<int64_t>(first),
                                         static_cast<int64_t>(dims->size()));
    const Dim& dim = (*dims)[static_cast<size_t>(axis)];
    if (!dim.value) continue;
    if (length.value && *length.value != *dim.value) {
      throw input_error(
          fmt::format("inputs of {} and {} slices are scanned", *length.value, *dim.value));
    }
    length = dim;
  }
  return length;
}

void infer_scan(InferContext& context) {
  const NodeView& node = context.node;
  const ScanShape shape = scan_shape<false>(node);
  const Dim length = scanned_extent(node, shape, 0);
  std::vector<TensorType> inputs;
  for (size_t i = 0; i < shape.states; ++i) inputs.push_back(node.input_type(i));
  for (size_t i = 0; i < shape.scanned; ++i) {
    inputs.push_back(without(node.input_type(shape.states + i), shape.input_axes[i]));
  }
  for (size_t i = 0; i < shape.states; ++i) context.set_output(i, inputs[i]);
  if (context.bodies == nullptr) return;
  const auto results = (*context.bodies)("body", inputs);
  for (size_t i = 0; i < shape.stacked; ++i) {
    TensorType type = results[shape.states + i].type;
    if (type.shape) {
      const int64_t axis =
          normalized_axis(shape.output_axes[i], static_cast<int64_t>(type.shape->size()) + 1);
      type.shape->insert(type.shape->begin() + static_cast<std::ptrdiff_t>(axis), length);
    }
    context.set_output(shape.states + i, std::move(type));
  }
}

/// With the batch in front.
void infer_batched_scan(InferContext& context) {
  const NodeView& node = context.node;
  const ScanShape shape = scan_shape<true>(node);
  const Dim length = scanned_extent(node, shape, 1);
  std::vector<TensorType> inputs;
  for (size_t i = 0; i < shape.states + shape.scanned; ++i) {
    const TensorType own = without(node.input_type(i + 1), 0);
    inputs.push_back(i < shape.states ? own : without(own, 0));
  }
  for (size_t i = 0; i < shape.states; ++i) context.set_output(i, node.input_type(i + 1));
  if (context.bodies == nullptr) return;
  const auto results = (*context.bodies)("body", inputs);
  const auto& leading = node.input_type(1 + shape.states).shape;
  for (size_t i = 0; i < shape.stacked; ++i) {
    TensorType type = results[shape.states + i].type;
    if (type.shape) {
      type.shape->insert(type.shape->begin(), {leading ? (*leading)[0] : Dim{}, length});
    }
    context.set_output(shape.states + i, std::move(type));
  }
}

std::vector<Stack> empty_stacks(const NodeView& node, const ScanShape& shape, bool batched) {
  std::vector<Stack> stacks;
  for (size_t i = 0; i < shape.stacked; ++i) {
    const size_t at = shape.states + i;
    const TensorType result = batched ? without(node.output_type(at), 0) : node.output_type(at);
    stacks.emplace_back(element_type(result, shape.output_axes[i],
                                     shape.body.value(shape.body.outputs()[at]).type));
  }
  return stacks;
}

/// Runs the body along one sequence; `states` change in place.
void scan_sequence(const ReferenceCall& call, const ScanShape& shape,
                   const std::vector<const Tensor*>& scanned, int64_t length,
                   std::vector<Tensor>& states, std::vector<Stack>& stacks) {
  for (int64_t step = 0; step < length; ++step) {
    std::vector<Tensor> inputs;
    std::ranges::move(states, std::back_inserter(inputs));
    for (size_t i = 0; i < scanned.size(); ++i) {
      const int64_t axis = normalized_axis(shape.input_axes[i], scanned[i]->rank());
      inputs.push_back(
          slice_at(*scanned[i], axis, shape.input_backward[i] ? length - 1 - step : step));
    }
    std::vector<Tensor> results = (*call.subgraphs)(shape.body, std::move(inputs));
    for (size_t i = 0; i < shape.states; ++i) states[i] = std::move(results[i]);
    for (size_t i = 0; i < shape.stacked; ++i) {
      stacks[i].push(std::move(results[shape.states + i]));
    }
  }
}

std::vector<Tensor> scan_reference(const ReferenceCall& call) {
  QTOOL_CHECK(call.subgraphs != nullptr, call.node.description());
  const ScanShape shape = scan_shape<false>(call.node);
  std::vector<Tensor> states;
  for (size_t i = 0; i < shape.states; ++i) states.push_back(call.input(i).clone());
  std::vector<const Tensor*> scanned;
  for (size_t i = 0; i < shape.scanned; ++i) scanned.push_back(&call.input(shape.states + i));
  const int64_t axis = normalized_axis(shape.input_axes[0], scanned[0]->rank());
  std::vector<Stack> stacks = empty_stacks(call.node, shape, false);
  scan_sequence(call, shape, scanned, scanned[0]->shape()[static_cast<size_t>(axis)], states,
                stacks);
  for (size_t i = 0; i < shape.stacked; ++i) {
    states.push_back(stacks[i].tensor(shape.output_axes[i], shape.output_backward[i]));
  }
  return states;
}

/// One sequence a batch element; shorter ones leave zeros behind.
std::vector<Tensor> batched_scan_reference(const ReferenceCall& call) {
  QTOOL_CHECK(call.subgraphs != nullptr, call.node.description());
  const ScanShape shape = scan_shape<true>(call.node);
  const Shape& leading = call.input(1 + shape.states).shape();
  if (leading.size() < 2) throw input_error("an input to scan has no batch and sequence");
  std::vector<int64_t> lengths(static_cast<size_t>(leading[0]), leading[1]);
  if (call.has(0)) lengths = to_int64s(call.input(0));
  std::vector<Stack> states;
  std::vector<Stack> stacked;
  for (size_t i = 0; i < shape.states; ++i) {
    states.emplace_back(without(call.node.input_type(i + 1), 0));
  }
  for (size_t i = 0; i < shape.stacked; ++i) {
    stacked.emplace_back(element_type(call.node.output_type(shape.states + i), 0, {}));
  }
  for (int64_t b = 0; b < leading[0]; ++b) {
    const int64_t length =
        static_cast<size_t>(b) < lengths.size() ? lengths[static_cast<size_t>(b)] : int64_t{-1};
    if (length < 0 || length > leading[1]) throw input_error("sequence lengths that do not fit");
    std::vector<Tensor> own;
    std::vector<Tensor> slices;
    for (size_t i = 0; i < shape.states + shape.scanned; ++i) {
      const Tensor& x = call.input(1 + i);
      if (x.rank() < 1 || x.shape()[0] != leading[0]) throw input_error("unlike batch sizes");
      (i < shape.states ? own : slices).push_back(slice_at(x, 0, b));
    }
    std::vector<const Tensor*> scanned;
    for (const Tensor& slice : slices) scanned.push_back(&slice);
    std::vector<Stack> steps = empty_stacks(call.node, shape, true);
    scan_sequence(call, shape, scanned, length, own, steps);
    for (size_t i = 0; i < shape.states; ++i) states[i].push(std::move(own[i]));
    for (size_t i = 0; i < shape.stacked; ++i) {
      stacked[i].push(steps[i].tensor(0, false, leading[1]));
    }
  }
  std::vector<Tensor> results;
  for (const Stack& stack : states) results.push_back(stack.tensor(0));
  for (const Stack& stack : stacked) results.push_back(stack.tensor(0));
  return results;
}

}  // namespace

void register_scan(OpRegistry& ops) {
  OpDef scan{.key = {"", "Scan"},
             .since_version = 8,
             .inputs = {0, -1},
             .outputs = {1, -1},
             .infer = infer_batched_scan,
             .reference = batched_scan_reference,
             .deterministic = false};
  ops.add(scan);
  scan.since_version = 9;
  scan.infer = infer_scan;
  scan.reference = scan_reference;
  ops.add(std::move(scan));
}

}  // namespace qtool
