// SPDX-License-Identifier: Apache-2.0
#include "exec/values.h"

#include "exec/group.h"
#include "kernels/host/copy.h"

namespace qtool {

Values::Values(const Graph& graph, const OpRegistry& ops, Session::Program& program, Facts facts,
               std::set<ValueId> kept)
    : graph_(graph), ops_(ops), program_(program), facts_(std::move(facts)), kept_(std::move(kept)),
      stored_(graph.value_id_bound()) {}

Constant Values::known_constant(ValueId value) {
  if (facts_[value].constant != nullptr) return facts_[value].constant;
  const auto codes = dequantized(graph_, ops_, facts_, value);
  if (!codes || facts_[codes->codes].constant == nullptr) return nullptr;
  const NodeId producer = graph_.value(value).producer;
  std::vector<Constant> held;
  std::vector<const Tensor*> inputs;
  for (const ValueId input : graph_.node(producer).inputs) {
    held.push_back(input == ValueId::none ? nullptr : facts_[input].constant);
    inputs.push_back(held.back().get());
  }
  const OpDef& def = *ops_.find(graph_.node(producer), graph_.model);
  std::vector<Tensor> results = evaluate(def, view(graph_, facts_, producer), inputs);
  facts_[value].constant = make_constant(std::move(results.at(0)));
  return facts_[value].constant;
}

Layout Values::layout(ValueId value) const {
  const auto& places = stored_[static_cast<size_t>(value)];
  for (const Stored& place : places) {
    if (place.layout == Layout::channels_last) return place.layout;
  }
  if (!places.empty()) return places[0].layout;
  const NodeId producer = graph_.value(value).producer;
  const bool lazy = producer != NodeId::none && facts_[value].constant == nullptr &&
                    ops_.find(graph_.node(producer), graph_.model)->qdq == QdqRole::dequantize;
  return lazy ? layout(graph_.node(producer).inputs[0]) : Layout::plain;
}

void Values::add_feed(ValueId value) {
  const TensorType& type = facts_[value].type;
  const std::string& name = graph_.value(value).name;
  const auto shape = type.concrete_shape();
  if (!shape) {
    throw input_error("the input \"" + name + "\" is " + to_string(type) +
                          ": its open extents must be fixed before it can run",
                      "Give a batch size, or data that has them.");
  }
  if (bits(type.dtype) == 0) {
    throw unsupported_error("the input \"" + name + "\" is " + to_string(type) +
                            ": qtool feeds numbers only");
  }
  Buffer buffer;
  buffer.kind = Buffer::Kind::feed;
  buffer.feed = program_.input_names.size();
  buffer.bytes = storage_bytes(type.dtype, element_count(*shape));
  places(value).push_back({add_buffer(std::move(buffer)), Layout::plain});
  program_.input_names.push_back(name);
  program_.input_types.push_back(type);
  add_tap(value, program_.input_taps);
}

int Values::add_result(ValueId value, Layout layout) {
  Buffer buffer;
  const auto shape = facts_[value].type.concrete_shape();
  const DType dtype = facts_[value].type.dtype;
  if (shape && dtype != DType::undefined && dtype != DType::string) {
    buffer.bytes = storage_bytes(dtype, element_count(*shape));
  } else {
    buffer.kind = Buffer::Kind::dynamic;
  }
  places(value).push_back({add_buffer(std::move(buffer)), layout});
  return places(value).back().buffer;
}

void Values::add_constant(ValueId value, const Constant& elements) {
  Buffer buffer;
  buffer.kind = Buffer::Kind::constant;
  buffer.bytes = elements->bytes();
  buffer.constant = elements;
  places(value).push_back({add_buffer(std::move(buffer)), Layout::plain});
}

Stored Values::in_layout(ValueId value, Layout layout) {
  const auto shape = facts_[value].type.concrete_shape();
  for (const Stored& stored : places(value)) {
    if (stored.layout == layout || (shape && same_order(*shape, stored.layout, layout)))
      return stored;
  }
  return convert(value, *shape, layout);
}

Stored Values::convert(ValueId value, const Shape& shape, Layout layout) {
  const Stored from = places(value)[0];
  const DType dtype = facts_[value].type.dtype;
  Step step;
  step.inputs = {from.buffer};
  step.kernel =
      make_layout_conversion(shape, static_cast<size_t>(bits(dtype) / 8), from.layout, layout);
  step.outputs = {add_result(value, layout)};
  step.info.name = graph_.value(value).name;
  step.info.op = "(layout)";
  step.info.kernel = step.kernel->description();
  step.info.types = std::string(name(dtype));
  step.info.shape = to_string(shape);
  step.info.layout = layout;
  program_.steps.push_back(std::move(step));
  return places(value).back();
}

int Values::add_buffer(Buffer buffer) {
  program_.buffers.push_back(std::move(buffer));
  return static_cast<int>(program_.buffers.size()) - 1;
}

void Values::add_tap(ValueId value, std::vector<TapPoint>& taps) {
  if (!kept_.contains(value)) return;
  const auto shape = facts_[value].type.concrete_shape();
  taps.push_back({value, facts_[value].type.dtype, shape.value_or(Shape{}), places(value).back()});
}

}  // namespace qtool
