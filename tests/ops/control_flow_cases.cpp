// SPDX-License-Identifier: Apache-2.0
// Bodies without captures; tests/exec/control_flow_test.cpp has those that read from outside.
#include "ops/op_case.h"

namespace qtool::test {

namespace {

/// A body in a few lines.
struct Body {
  Graph graph;

  ValueId input(const char* name, TensorType type = {}) {
    const ValueId id = graph.add_value(name, std::move(type));
    graph.add_input(id);
    return id;
  }
  ValueId constant(const char* name, Constant tensor) {
    return graph.add_constant(name, std::move(tensor));
  }
  ValueId add(const char* op, std::vector<ValueId> inputs, const char* result) {
    Node node;
    node.op = {"", op};
    node.inputs = std::move(inputs);
    node.outputs = {graph.add_value(result, {DType::float32, std::nullopt})};
    const ValueId id = node.outputs[0];
    graph.add_node(std::move(node));
    return id;
  }
  Attribute done(const std::vector<ValueId>& outputs) {
    for (const ValueId id : outputs) graph.add_output(id);
    return std::make_shared<const Graph>(std::move(graph));
  }
};

Constant yes() { return elements<bool>({}, {true}); }
Constant no() { return elements<bool>({}, {false}); }

/// A branch that gives these elements.
Attribute gives(Constant tensor) {
  Body body;
  return body.done({body.constant("given", std::move(tensor))});
}

OpCase control(std::string op, std::string name, CaseAttributes attributes,
               std::vector<Constant> inputs, std::vector<Constant> expected = {},
               std::string error = {}) {
  const auto outputs = std::max<int>(1, static_cast<int>(expected.size()));
  return {.name = std::move(name),
          .op = std::move(op),
          .attributes = std::move(attributes),
          .inputs = std::move(inputs),
          .constants = {0, 1},
          .expected = std::move(expected),
          .error = std::move(error),
          .outputs = outputs};
}

std::vector<OpCase> if_cases() {
  const CaseAttributes branches = {{"then_branch", gives(f32({2}, {1, 2}))},
                                   {"else_branch", gives(f32({2}, {3, 4}))}};
  OpCase shapes = control(
      "If", "branches of two shapes",
      {{"then_branch", gives(f32({2}, {1, 2}))}, {"else_branch", gives(f32({1, 3}, {3, 4, 5}))}},
      {no()}, {f32({1, 3}, {3, 4, 5})});
  shapes.open_shape = true;
  return {
      control("If", "then", branches, {yes()}, {f32({2}, {1, 2})}),
      control("If", "else", branches, {no()}, {f32({2}, {3, 4})}),
      control("If", "condition of rank 1", branches, {elements<bool>({1}, {false})},
              {f32({2}, {3, 4})}),
      std::move(shapes),
      control("If", "two conditions", branches, {elements<bool>({2}, {true, false})}, {},
              "expected one boolean"),
      control("If", "a number", branches, {scalar(1)}, {}, "expected one boolean"),
      control("If", "no else", {{"then_branch", gives(scalar(1))}}, {yes()}, {},
              "\"else_branch\" is missing"),
  };
}

/// Doubles x and shows it, while the body's condition says so.
Attribute doubling(Constant go_on, TensorType type) {
  Body body;
  body.input("i", {DType::int64, Shape{}});
  body.input("go", {DType::boolean, Shape{}});
  const ValueId x = body.input("x", std::move(type));
  const ValueId twice = body.add("Add", {x, x}, "twice");
  const ValueId shown = body.add("Identity", {twice}, "shown");
  return body.done({body.constant("on", std::move(go_on)), twice, shown});
}

std::vector<OpCase> loop_cases() {
  const TensorType pair(DType::float32, Shape{2});
  const Constant x = f32({2}, {1, 3});
  OpCase once = control("Loop", "the body's condition ends it", {{"body", doubling(no(), pair)}},
                        {s64({}, {3}), yes(), x}, {f32({2}, {2, 6}), f32({1, 2}, {2, 6})});
  once.open_shape = true;
  OpCase never = control("Loop", "condition false before it", {{"body", doubling(yes(), pair)}},
                         {s64({}, {3}), no(), x}, {x, f32({0, 2}, {})});
  never.open_shape = true;
  OpCase unbounded = control("Loop", "no trip count", {{"body", doubling(no(), pair)}},
                             {nullptr, yes(), x}, {f32({2}, {2, 6}), f32({1, 2}, {2, 6})});
  unbounded.open_shape = true;
  return {
      control("Loop", "three trips", {{"body", doubling(yes(), pair)}}, {s64({}, {3}), yes(), x},
              {f32({2}, {8, 24}), f32({3, 2}, {2, 6, 4, 12, 8, 24})}),
      control("Loop", "no condition", {{"body", doubling(yes(), pair)}},
              {s64({1}, {2}), nullptr, x}, {f32({2}, {4, 12}), f32({2, 2}, {2, 6, 4, 12})}),
      control("Loop", "no trips", {{"body", doubling(yes(), pair)}}, {s64({}, {0}), yes(), x},
              {x, f32({0, 2}, {})}),
      control("Loop", "fewer than no trips", {{"body", doubling(yes(), pair)}},
              {s64({}, {-5}), yes(), x}, {x, f32({0, 2}, {})}),
      std::move(once),
      std::move(never),
      std::move(unbounded),
      control("Loop", "no trips, type not declared", {{"body", doubling(yes(), {})}},
              {s64({}, {0}), yes(), f32({}, {1})}, {scalar(1), f32({0}, {})}),
      control("Loop", "no carried value", {{"body", doubling(yes(), pair)}}, {s64({}, {1}), yes()},
              {}, "0 carried values"),
      control("Loop", "absent carried value", {{"body", doubling(yes(), pair)}},
              {s64({}, {1}), yes(), nullptr}, {}, "input 2 is absent"),
      control("Loop", "two trip counts", {{"body", doubling(yes(), pair)}},
              {s64({2}, {1, 2}), yes(), x}, {}, "trip count"),
      control("Loop", "no body", {}, {s64({}, {1}), yes(), x}, {}, "\"body\" is missing"),
  };
}

/// state + element → the new state, shown.
Attribute summing() {
  Body body;
  const ValueId state = body.input("state");
  const ValueId element = body.input("element");
  const ValueId sum = body.add("Add", {state, element}, "sum");
  const ValueId shown = body.add("Identity", {sum}, "shown");
  return body.done({sum, shown});
}

OpCase with_opset(int64_t opset, OpCase item) {
  item.opset = opset;
  return item;
}

std::vector<OpCase> scan_cases() {
  const CaseAttributes one = {{"body", summing()}, {"num_scan_inputs", int64_t{1}}};
  const auto with = [&](CaseAttributes more) {
    more.insert(more.end(), one.begin(), one.end());
    return more;
  };
  const Attribute first = ints({1});
  const Constant zero = f32({2}, {0, 10});
  const Constant x = f32({3, 2}, {1, 2, 3, 4, 5, 6});
  OpCase lengths =
      control("Scan", "sequences of unlike length", one,
              {s64({2}, {2, 1}), f32({2, 1}, {0, 10}), f32({2, 3, 1}, {1, 2, 3, 4, 5, 6})},
              {f32({2, 1}, {3, 14}), f32({2, 3, 1}, {1, 3, 0, 14, 0, 0})});
  lengths.opset = 8;
  lengths.open_shape = true;
  OpCase batch = control("Scan", "batch, backward", with({{"directions", first}}),
                         {nullptr, f32({1, 1}, {0}), f32({1, 3, 1}, {1, 2, 3})},
                         {f32({1, 1}, {6}), f32({1, 3, 1}, {3, 5, 6})});
  batch.opset = 8;
  batch.open_shape = true;
  return {
      control("Scan", "running sums", one, {zero, x},
              {f32({2}, {9, 22}), f32({3, 2}, {1, 12, 4, 16, 9, 22})}),
      control("Scan", "backward", with({{"scan_input_directions", first}}), {zero, x},
              {f32({2}, {9, 22}), f32({3, 2}, {5, 16, 8, 20, 9, 22})}),
      control("Scan", "results backward", with({{"scan_output_directions", first}}), {zero, x},
              {f32({2}, {9, 22}), f32({3, 2}, {9, 22, 4, 16, 1, 12})}),
      control("Scan", "along columns",
              with({{"scan_input_axes", first}, {"scan_output_axes", ints({-1})}}),
              {f32({3}, {0, 0, 0}), x}, {f32({3}, {3, 7, 11}), f32({3, 2}, {1, 3, 3, 7, 5, 11})}),
      control("Scan", "no slices", one, {zero, f32({0, 2}, {})}, {zero, f32({0, 2}, {})}),
      std::move(lengths),
      std::move(batch),
      with_opset(8, control("Scan", "a sequence that is too long", one,
                            {s64({1}, {4}), f32({1, 1}, {0}), f32({1, 3, 1}, {1, 2, 3})}, {},
                            "sequence lengths")),
      control("Scan", "axis", with({{"scan_input_axes", ints({2})}}), {zero, x}, {},
              "axis 2 is outside"),
      control("Scan", "nothing to scan", {{"body", summing()}, {"num_scan_inputs", int64_t{3}}},
              {zero, x}, {}, "num_scan_inputs is 3"),
      control("Scan", "direction", with({{"scan_input_directions", ints({2})}}), {zero, x}, {},
              "has the entry 2"),
  };
}

}  // namespace

std::vector<OpCase> control_flow_cases() {
  std::vector<OpCase> all = if_cases();
  for (OpCase& item : loop_cases()) all.push_back(std::move(item));
  for (OpCase& item : scan_cases()) all.push_back(std::move(item));
  return all;
}

}  // namespace qtool::test
