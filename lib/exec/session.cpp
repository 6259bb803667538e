// SPDX-License-Identifier: Apache-2.0
#include "exec/session.h"

#include <chrono>
#include <cstring>

#include "exec/group.h"
#include "exec/program.h"
#include "ops/body.h"
#include "support/text.h"

namespace qtool {

const void* Session::Program::address(int index) const {
  const Buffer& buffer = buffers[static_cast<size_t>(index)];
  switch (buffer.kind) {
    case Buffer::Kind::arena: return arena.get() + buffer.offset;
    case Buffer::Kind::feed: return feeds.empty() ? nullptr : feeds[buffer.feed];
    case Buffer::Kind::constant: return buffer.constant->raw();
    case Buffer::Kind::dynamic: return buffer.dynamic.raw();
  }
  return nullptr;
}

Session::Session(const Graph& graph, const OpRegistry& ops, SessionOptions options)
    : program_(std::make_unique<Program>()) {
  program_->body_runs =
      options.body_runs != nullptr ? options.body_runs : std::make_shared<BodyRuns>();
  program_->counts_runs = options.body_runs == nullptr;
  // Conditions that follow from the shapes: the branch that runs is compiled with the rest.
  std::optional<Graph> inlined;
  if (has_branches(graph)) {
    inlined = graph;
    if (inline_known_branches(*inlined, ops, {options.input_shapes}) == 0) inlined.reset();
  }
  compile(inlined ? *inlined : graph, ops, options, *program_);
  place_buffers(*program_);
  for (const Step& step : program_->steps) program_->infos.push_back(step.info);
}

Session::~Session() = default;
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;

namespace {

/// A tensor over memory that outlives it.
Tensor borrowed(DType dtype, const Shape& shape, const void* data) {
  const size_t bytes = storage_bytes(dtype, element_count(shape));
  const auto* begin = static_cast<const std::byte*>(data);
  return Tensor::in_place(dtype, shape, {begin, bytes},
                          std::shared_ptr<const void>(data, [](const void*) {}));
}

/// What inference could not know was planned for as the file declares it.
void check_result(const Session::Program& program, ValueId id, const Tensor& result) {
  const TensorType& planned = program.facts[id].type;
  const TensorType type(result.dtype(), result.shape());
  if (type.dtype == planned.dtype && type.concrete_shape() == planned.concrete_shape()) return;
  throw input_error("\"" + program.graph->value(id).name + "\" is declared as " +
                        to_string(planned) + ", but is " + to_string(type),
                    "The model's value_info is wrong; remove it or export the model again.");
}

/// Evaluates a node by its reference, from and to the buffers.
void run_reference(Session::Program& program, const Step& step) {
  const Node& node = program.graph->node(step.node);
  std::vector<Tensor> held(step.inputs.size());
  std::vector<const Tensor*> inputs(step.inputs.size(), nullptr);
  const size_t slots = node.inputs.size();
  for (size_t i = 0; i < step.inputs.size(); ++i) {
    if (step.inputs[i] < 0) continue;
    Buffer& buffer = program.buffers[static_cast<size_t>(step.inputs[i])];
    if (buffer.kind == Buffer::Kind::constant) {
      inputs[i] = buffer.constant.get();
    } else if (buffer.kind == Buffer::Kind::dynamic) {
      inputs[i] = &buffer.dynamic;
    } else {
      const ValueId value = i < slots ? node.inputs[i] : node.captures[i - slots].outer;
      const TensorType& type = program.facts[value].type;
      held[i] = borrowed(type.dtype, *type.concrete_shape(), program.address(step.inputs[i]));
      inputs[i] = &held[i];
    }
  }
  const NodeView node_view = view(*program.graph, program.facts, step.node);
  const std::span<const Tensor* const> all(inputs);
  std::vector<Tensor> results;
  if (step.bodies != nullptr) {
    const SubgraphRunner runner = step.bodies->runner(node, program.facts, all.subspan(slots));
    results = evaluate(*step.def, node_view, all.first(slots), &runner);
  } else {
    results = evaluate(*step.def, node_view, inputs);
  }
  for (size_t i = 0; i < step.outputs.size(); ++i) {
    if (step.outputs[i] < 0) continue;
    QTOOL_CHECK(i < results.size(), step.info.name + " gave too few results");
    Buffer& buffer = program.buffers[static_cast<size_t>(step.outputs[i])];
    if (buffer.kind == Buffer::Kind::dynamic) {
      program.facts[node.outputs[i]].type = {results[i].dtype(), results[i].shape()};
      buffer.dynamic = std::move(results[i]);
    } else {
      check_result(program, node.outputs[i], results[i]);
      std::memcpy(program.arena.get() + buffer.offset, results[i].raw(), buffer.bytes);
    }
  }
}

void show(const Session::Program& program, std::span<const TapPoint> taps, const Tap& tap) {
  for (const TapPoint& point : taps) {
    const Buffer& buffer = program.buffers[static_cast<size_t>(point.where.buffer)];
    if (buffer.kind == Buffer::Kind::dynamic) {
      tap({point.id, buffer.dynamic.dtype(), &buffer.dynamic.shape(), Layout::plain,
           buffer.dynamic.raw()});
    } else {
      tap({point.id, point.dtype, &point.shape, point.where.layout,
           program.address(point.where.buffer)});
    }
  }
}

}  // namespace

void Session::execute(std::span<const TensorView> feeds, const Tap& tap) {
  Program& program = *program_;
  QTOOL_CHECK(feeds.size() == program.feeds.size(), "one feed an input");
  if (program.counts_runs) program.body_runs->count = 0;
  for (size_t i = 0; i < feeds.size(); ++i) program.feeds[i] = feeds[i].data;
  for (const FeedPatch& patch : program.patches) {
    program.steps[patch.step].input_pointers[patch.slot] = program.feeds[patch.feed];
  }
  if (tap) show(program, program.input_taps, tap);
  for (size_t s = 0; s < program.steps.size(); ++s) {
    Step& step = program.steps[s];
    const auto start = program.profile ? std::chrono::steady_clock::now()
                                       : std::chrono::steady_clock::time_point{};
    if (step.kernel == nullptr) {
      run_reference(program, step);
    } else {
      if (step.copy_to_output >= 0) {
        const auto from = static_cast<size_t>(step.copy_to_output);
        const size_t bytes = program.buffers[static_cast<size_t>(step.outputs[0])].bytes;
        std::memcpy(step.output_pointers[0], step.input_pointers[from], bytes);
      }
      within_frame([&] { return step.info.name; },
                   [&] {
                     step.kernel->run({step.input_pointers, step.output_pointers, program.scratch});
                   });
    }
    if (program.profile) {
      const auto spent = std::chrono::steady_clock::now() - start;
      program.infos[s].total_ms += std::chrono::duration<double, std::milli>(spent).count();
    }
    if (tap && !step.taps.empty()) show(program, step.taps, tap);
  }
}

TensorView Session::output(size_t i) const {
  const GraphOutput& output = program_->outputs.at(i);
  const Buffer& buffer = program_->buffers[static_cast<size_t>(output.buffer)];
  if (buffer.kind == Buffer::Kind::dynamic) return buffer.dynamic.view();
  return {output.dtype, output.shape, program_->address(output.buffer)};
}

Tensor Session::copy_of_output(size_t i) const {
  const GraphOutput& result = program_->outputs.at(i);
  const Buffer& buffer = program_->buffers[static_cast<size_t>(result.buffer)];
  if (buffer.kind == Buffer::Kind::dynamic) return buffer.dynamic.clone();
  // Strings have no bytes to borrow; the output may be the constant under another shape.
  if (buffer.kind == Buffer::Kind::constant) return buffer.constant->clone().reshaped(result.shape);
  const TensorView view = output(i);
  return borrowed(view.dtype, view.shape, view.data).clone();
}

TensorMap Session::run(const TensorMap& feeds, const Tap& tap) {
  std::vector<TensorView> views;
  for (size_t i = 0; i < program_->input_names.size(); ++i) {
    const std::string& name = program_->input_names[i];
    const auto found = feeds.find(name);
    if (found == feeds.end()) throw input_error("no data for the input \"" + name + '"');
    const TensorType given(found->second.dtype(), found->second.shape());
    const TensorType wanted(program_->input_types[i].dtype,
                            *program_->input_types[i].concrete_shape());
    if (!(given == wanted)) {
      throw input_error("the input \"" + name + "\" takes " + to_string(wanted) + ", the data is " +
                        to_string(given));
    }
    views.push_back(found->second.view());
  }
  execute(views, tap);
  TensorMap results;
  for (size_t i = 0; i < program_->outputs.size(); ++i) {
    results.emplace(program_->outputs[i].name, copy_of_output(i));
  }
  return results;
}

std::span<const std::string> Session::input_names() const { return program_->input_names; }
std::span<const TensorType> Session::input_types() const { return program_->input_types; }
std::span<const std::string> Session::output_names() const { return program_->output_names; }
std::span<const StepInfo> Session::steps() const { return program_->infos; }
size_t Session::arena_bytes() const { return program_->arena_bytes; }
uint64_t Session::macs() const { return program_->macs; }

}  // namespace qtool
