// SPDX-License-Identifier: Apache-2.0
// If (1 to 21) and Loop (1 to 21): bodies are run by the caller's SubgraphRunner, which bounds how
// often. Sequences and optionals are no values here.
#include <algorithm>
#include <cstring>

#include "ops/families.h"
#include "ops/shapes.h"
#include "ops/stacking.h"
#include "support/text.h"

namespace qtool {

namespace {

/// What holds of a value that may be either.
TensorType common_type(const TensorType& a, const TensorType& b) {
  TensorType type;
  if (a.dtype == b.dtype) type.dtype = a.dtype;
  if (!a.shape || !b.shape || a.shape->size() != b.shape->size()) return type;
  type.shape.emplace(a.shape->size());
  for (size_t d = 0; d < a.shape->size(); ++d) {
    if ((*a.shape)[d] == (*b.shape)[d]) (*type.shape)[d] = (*a.shape)[d];
  }
  return type;
}

const Graph& body_of(const NodeView& node, const char* attribute) {
  const SubgraphPtr body = node.attributes().subgraph(attribute);
  if (body == nullptr) {
    throw input_error(std::string("the attribute \"") + attribute + "\" is missing");
  }
  return *body;
}

void check_outputs(const NodeView& node, size_t has) {
  if (has < node.output_count()) {
    throw input_error(fmt::format("{} results, but the body gives {}", node.output_count(), has));
  }
}

/// One boolean, whatever rank it has.
bool condition_of(const Tensor& tensor) {
  if (tensor.dtype() != DType::boolean || tensor.size() != 1) {
    throw input_error("the condition is " + to_string(TensorType(tensor.dtype(), tensor.shape())) +
                      ", expected one boolean");
  }
  return tensor.data<bool>()[0];
}

void check_condition(const TensorType& type) {
  const auto shape = type.concrete_shape();
  if ((type.dtype != DType::undefined && type.dtype != DType::boolean) ||
      (shape && element_count(*shape) != 1)) {
    throw input_error("the condition is " + to_string(type) + ", expected one boolean");
  }
}

// ---- If ---------------------------------------------------------------------------------------

/// A branch that contradicts itself for these shapes cannot be the one that runs: then the other
/// one says what comes out. Models choose by the rank or the batch of what they get.
std::pair<std::vector<ValueFacts>, std::vector<ValueFacts>> both_branches(
    const BodyInference& infer) {
  std::optional<std::vector<ValueFacts>> chosen;
  try {
    chosen = infer("then_branch", {});
  } catch (const Error& error) {
    if (error.kind() != Error::Kind::input) throw;
    auto other = infer("else_branch", {});
    return {other, other};
  }
  try {
    return {*chosen, infer("else_branch", {})};
  } catch (const Error& error) {
    if (error.kind() != Error::Kind::input) throw;
    return {*chosen, *chosen};
  }
}

void infer_if(InferContext& context) {
  const NodeView& node = context.node;
  check_condition(node.input_type(0));
  check_outputs(node, body_of(node, "then_branch").outputs().size());
  check_outputs(node, body_of(node, "else_branch").outputs().size());
  if (context.bodies == nullptr) return;
  if (const Constant condition = node.input_constant(0)) {
    const auto facts =
        (*context.bodies)(condition_of(*condition) ? "then_branch" : "else_branch", {});
    for (size_t i = 0; i < node.output_count(); ++i) context.set_output(i, facts[i].type);
    return;
  }
  const auto [then_facts, else_facts] = both_branches(*context.bodies);
  for (size_t i = 0; i < node.output_count(); ++i)
    context.set_output(i, common_type(then_facts[i].type, else_facts[i].type));
}

std::vector<Tensor> if_reference(const ReferenceCall& call) {
  QTOOL_CHECK(call.subgraphs != nullptr, call.node.description());
  const bool condition = condition_of(call.input(0));
  return (*call.subgraphs)(body_of(call.node, condition ? "then_branch" : "else_branch"), {});
}

// ---- Loop -------------------------------------------------------------------------------------

/// Inputs: trip count, condition, carried values; body: iteration, condition, carried → condition,
/// carried, one element of each stacked result.
struct LoopShape {
  const Graph& body;
  size_t carried;
  size_t stacked;
};

LoopShape loop_shape(const NodeView& node) {
  const Graph& body = body_of(node, "body");
  const size_t carried = node.input_count() < 2 ? 0 : node.input_count() - 2;
  for (size_t i = 0; i < carried; ++i) {
    if (!node.has_input(i + 2)) throw input_error(fmt::format("input {} is absent", i + 2));
  }
  if (body.inputs().size() != carried + 2 || body.outputs().size() < carried + 1) {
    throw input_error(
        fmt::format("{} carried values, but the body takes {} inputs and gives {} outputs", carried,
                    body.inputs().size(), body.outputs().size()));
  }
  check_outputs(node, body.outputs().size() - 1);
  return {body, carried, body.outputs().size() - 1 - carried};
}

/// The body's results given types of the carried values that hold in every iteration: what an
/// iteration changes is taken as unknown. Gives these types in `carried`.
std::vector<ValueFacts> settled_body(const InferContext& context,
                                     std::vector<TensorType>& carried) {
  const TensorType count{DType::int64, std::vector<Dim>{}};
  const TensorType condition{DType::boolean, std::vector<Dim>{}};
  for (int round = 0;; ++round) {
    std::vector<TensorType> inputs{count, condition};
    inputs.insert(inputs.end(), carried.begin(), carried.end());
    auto results = (*context.bodies)("body", inputs);
    bool settled = true;
    for (size_t i = 0; i < carried.size(); ++i) {
      TensorType both = common_type(carried[i], results[i + 1].type);
      if (both == carried[i]) continue;
      settled = false;
      if (round > 0) both.shape.reset();
      carried[i] = std::move(both);
    }
    if (settled || round == 2) return results;
  }
}

/// How often the body runs, where that is known.
std::optional<int64_t> known_trips(const NodeView& node, const ValueFacts& condition) {
  const auto trips = constant_integers(node, 0);
  if (!trips || trips->size() != 1 || condition.constant == nullptr) return std::nullopt;
  const Constant first = node.input_constant(1);
  if (node.has_input(1) && (first == nullptr || !condition_of(*first))) return std::nullopt;
  if (!condition_of(*condition.constant)) return std::nullopt;
  return std::max<int64_t>(0, trips->front());
}

void infer_loop(InferContext& context) {
  const NodeView& node = context.node;
  const LoopShape shape = loop_shape(node);
  check_condition(node.input_type(1));
  if (context.bodies == nullptr) return;
  std::vector<TensorType> carried;
  for (size_t i = 0; i < shape.carried; ++i) carried.push_back(node.input_type(i + 2));
  const auto results = settled_body(context, carried);
  for (size_t i = 0; i < shape.carried; ++i) context.set_output(i, carried[i]);
  const auto trips = known_trips(node, results[0]);
  for (size_t i = 0; i < shape.stacked; ++i) {
    TensorType type = results[shape.carried + 1 + i].type;
    if (type.shape) type.shape->insert(type.shape->begin(), Dim{trips, {}});
    context.set_output(shape.carried + i, std::move(type));
  }
}

int64_t trip_count(const ReferenceCall& call) {
  if (!call.has(0)) return kMostExtent;
  const auto trips = to_int64s(call.input(0));
  if (trips.size() != 1) throw input_error("the trip count is not one number");
  return trips[0];
}

std::vector<Tensor> loop_reference(const ReferenceCall& call) {
  QTOOL_CHECK(call.subgraphs != nullptr, call.node.description());
  const LoopShape shape = loop_shape(call.node);
  const int64_t trips = trip_count(call);
  bool go_on = !call.has(1) || condition_of(call.input(1));
  std::vector<Tensor> carried;
  for (size_t i = 0; i < shape.carried; ++i) carried.push_back(call.input(i + 2).clone());
  std::vector<Stack> stacks;
  for (size_t i = 0; i < shape.stacked; ++i) {
    const ValueId result = shape.body.outputs()[shape.carried + 1 + i];
    stacks.emplace_back(
        element_type(call.node.output_type(shape.carried + i), 0, shape.body.value(result).type));
  }
  for (int64_t trip = 0; go_on && trip < trips; ++trip) {
    std::vector<Tensor> inputs;
    inputs.push_back(Tensor::scalar<int64_t>(trip));
    inputs.push_back(Tensor::scalar<bool>(true));
    std::ranges::move(carried, std::back_inserter(inputs));
    std::vector<Tensor> results = (*call.subgraphs)(shape.body, std::move(inputs));
    go_on = condition_of(results[0]);
    for (size_t i = 0; i < shape.carried; ++i) carried[i] = std::move(results[i + 1]);
    for (size_t i = 0; i < shape.stacked; ++i) {
      stacks[i].push(std::move(results[shape.carried + 1 + i]));
    }
  }
  for (Stack& stack : stacks) carried.push_back(stack.tensor(0));
  return carried;
}

OpDef control_record(const char* type, Arity inputs, void (*infer)(InferContext&),
                     std::vector<Tensor> (*reference)(const ReferenceCall&)) {
  return {.key = {"", type},
          .since_version = 1,
          .inputs = inputs,
          .outputs = {1, -1},
          .infer = infer,
          .reference = reference,
          .deterministic = false};  // a fold has nobody to run the bodies
}

}  // namespace

void register_control_flow(OpRegistry& ops) {
  ops.add(control_record("If", {1, 1}, infer_if, if_reference));
  // The trip count and the condition may both be absent.
  OpDef loop = control_record("Loop", {0, -1}, infer_loop, loop_reference);
  loop.outputs = {0, -1};
  ops.add(std::move(loop));
}

}  // namespace qtool
