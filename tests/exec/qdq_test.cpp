// SPDX-License-Identifier: Apache-2.0
// Models with Q/DQ: what runs on codes gives what the float graph around the same Q/DQ gives, to
// one step of the result; steps() says what runs on codes, and why something does not.
#include <algorithm>

#include "catch.h"
#include "exec/agree.h"
#include "exec/model.h"

using namespace qtool;
using namespace qtool::test;

namespace {

const Shape kImages{2, 5, 7, 6};
const Grid kIn{0.03F, 120, false};
const Grid kOut{0.04F, 128, false};
const Grid kSignedIn{0.03F, -4, true};
const Grid kSignedOut{0.04F, 0, true};

/// A model whose one input x is quantized to `in`.
struct Quantized {
  Model m;
  Grid in;
  ValueId x;
  ValueId real;

  explicit Quantized(Grid grid = kIn, const Shape& shape = kImages, int64_t opset = 17)
      : m(opset), in(grid), x(m.input("x", shape)), real(m.qdq(x, grid)) {}

  /// The result quantized and dequantized as the model's output.
  void finish(ValueId result, const Grid& out) { m.output(m.qdq(result, out)); }
};

const StepInfo& step_of(const Session& session, const std::string& op) {
  const auto steps = session.steps();
  const auto found =
      std::ranges::find_if(steps, [&](const StepInfo& step) { return step.op.starts_with(op); });
  INFO(op << " in " << ops_of(session));
  REQUIRE(found != steps.end());
  return *found;
}

/// The compiled results are within `steps` of `grid` of the reference's; `expected` are its steps.
void check(const Model& m, const Grid& grid, double steps, const std::string& expected) {
  CHECK(disagreement(m.graph, 0, steps * 1.0001 * static_cast<double>(grid.scale)) == "");
  CHECK(ops_of(Session(m.graph, builtin_ops(), {})) == expected);
}

}  // namespace

TEST_CASE("Convolutions on codes, with every kind of activation and grid") {
  struct Variant {
    const char* activation;
    std::vector<float> bounds;
  };
  for (const bool is_signed : {false, true}) {
    for (const Variant& variant : {Variant{"", {}}, Variant{"Relu", {}}, Variant{"Clip", {0, 1}},
                                   Variant{"LeakyRelu", {}}, Variant{"Sigmoid", {}}}) {
      for (const int64_t group : {1, 5}) {
        Quantized q(is_signed ? kSignedIn : kIn);
        ValueId y = q.m.quantized_conv(q.real, q.in.scale, 5 / group, 10, 1,
                                       {{"group", group}, {"strides", ints({1, 2})}});
        std::string name = "Conv";
        if (*variant.activation != 0) {
          std::vector<ValueId> inputs{y};
          for (const float bound : variant.bounds) inputs.push_back(q.m.constant(scalar(bound)));
          y = q.m.add(variant.activation, inputs);
          name += std::string(" + ") + variant.activation;
        }
        q.finish(y, is_signed ? kSignedOut : kOut);
        CAPTURE(is_signed, group, variant.activation);
        check(q.m, kOut, 1,
              "QuantizeLinear; " + name + " + QuantizeLinear; DequantizeLinear; (layout)");
        CHECK(step_of(Session(q.m.graph, builtin_ops(), {}), "Conv").integer);
      }
    }
  }
}

TEST_CASE("A convolution on codes whose result stays float") {
  Quantized q;
  q.m.output(q.m.add("Relu", {q.m.quantized_conv(q.real, q.in.scale, 5, 8, 1)}));
  CHECK(disagreement(q.m.graph, 1e-5, 1e-5) == "");
  const Session session(q.m.graph, builtin_ops(), {});
  CHECK(ops_of(session) == "QuantizeLinear; Conv + Relu; (layout)");
  CHECK(step_of(session, "Conv").integer);
}

TEST_CASE("Codes are added, with and without Relu") {
  for (const bool is_signed : {false, true}) {
    const Grid in = is_signed ? kSignedIn : kIn;
    const Grid other{0.05F, in.zero_point + 3, is_signed};
    const Grid out = is_signed ? kSignedOut : kOut;
    Quantized q(in);
    const ValueId y = q.m.qdq(q.m.input("y", kImages), other);
    q.finish(q.m.add("Relu", {q.m.add("Add", {q.real, y})}), out);
    check(q.m, out, 0,
          "QuantizeLinear; QuantizeLinear; Add + Relu + QuantizeLinear; DequantizeLinear");
    CHECK(step_of(Session(q.m.graph, builtin_ops(), {}), "Add").integer);
  }
}

TEST_CASE("A residual block on codes") {
  Quantized q;
  const ValueId first = q.m.qdq(q.m.add("Relu", {q.m.quantized_conv(q.real, q.in.scale, 5, 8, 1)}),
                                {0.02F, 0, false});
  const ValueId second = q.m.qdq(q.m.quantized_conv(first, 0.02F, 8, 8, 3), kOut);
  q.finish(q.m.add("Relu", {q.m.add("Add", {second, first})}), {0.05F, 0, false});
  check(q.m, {0.05F, 0, false}, 1,
        "QuantizeLinear; Conv + Relu + QuantizeLinear; Conv + QuantizeLinear; Add + Relu + "
        "QuantizeLinear; "
        "DequantizeLinear; (layout)");
}

TEST_CASE("A convolution on codes in front of an addition in float still computes on codes") {
  Quantized q;
  const ValueId conv = q.m.quantized_conv(q.real, q.in.scale, 5, 5, 1);
  q.finish(q.m.add("Relu", {q.m.add("Add", {conv, q.real})}), kOut);
  check(q.m, kOut, 1,
        "QuantizeLinear; Conv; DequantizeLinear; Add + Relu; QuantizeLinear; DequantizeLinear");
  CHECK(step_of(Session(q.m.graph, builtin_ops(), {}), "Conv").integer);
}

TEST_CASE("What only moves data moves codes") {
  const CaseAttributes pooled{{"kernel_shape", ints({2, 2})}, {"strides", ints({2, 2})}};
  const struct {
    const char* op;
    CaseAttributes attributes;
    std::vector<Constant> constants;
  } moves[] = {
      {"MaxPool", pooled, {}},
      {"GlobalMaxPool", {}, {}},
      {"Flatten", {}, {}},
      {"Reshape", {}, {s64({2}, {2, -1})}},
      {"Transpose", {{"perm", ints({0, 2, 3, 1})}}, {}},
      {"Slice", {}, {s64({1}, {1}), s64({1}, {4}), s64({1}, {1})}},
      {"Pad", {}, {s64({8}, {0, 0, 1, 1, 0, 0, 0, 2})}},
      {"Pad", {}, {s64({8}, {0, 0, 1, 1, 0, 0, 0, 2}), scalar(-1)}},
      {"Unsqueeze", {}, {s64({1}, {0})}},
      {"Identity", {}, {}},
      {"Dropout", {}, {}},
  };
  for (const auto& move : moves) {
    for (const bool channels_last : {false, true}) {
      for (const bool is_signed : {false, true}) {
        const Grid in = is_signed ? kSignedIn : kIn;
        Quantized q(in);
        ValueId real = q.real;
        if (channels_last)
          real = q.m.qdq(q.m.add("MaxPool", {real}, {{"kernel_shape", ints({1, 1})}}), in);
        std::vector<ValueId> inputs{real};
        for (const Constant& constant : move.constants) inputs.push_back(q.m.constant(constant));
        q.finish(q.m.add(move.op, inputs, move.attributes), in);
        CAPTURE(move.op, channels_last, is_signed);
        CHECK(disagreement(q.m.graph, 0, 0) == "");
        const Session session(q.m.graph, builtin_ops(), {});
        int dequantized = 0;
        for (const StepInfo& step : session.steps())
          dequantized += step.op == "DequantizeLinear" ? 1 : 0;
        CHECK(dequantized == 1);
      }
    }
  }
}

TEST_CASE("Moving codes between unlike grids runs in float and says why") {
  Quantized q;
  q.finish(q.m.add("MaxPool", {q.real}, {{"kernel_shape", ints({2, 2})}}), kOut);
  CHECK(disagreement(q.m.graph, 0, 0) == "");
  const Session session(q.m.graph, builtin_ops(), {});
  CHECK(step_of(session, "MaxPool").fallback == "input and output have different scales");
  CHECK(!step_of(session, "MaxPool").integer);
}

TEST_CASE("Concat of codes: one grid for all, or in float; floats among codes are seen") {
  const CaseAttributes channels{{"axis", int64_t{1}}};
  Quantized same;
  const ValueId other = same.m.qdq(same.m.input("y", kImages), kIn);
  same.finish(same.m.add("Concat", {same.real, other}, channels), kIn);
  check(same.m, kIn, 0,
        "QuantizeLinear; QuantizeLinear; Concat + QuantizeLinear; DequantizeLinear");

  Quantized unlike;
  const ValueId second = unlike.m.qdq(unlike.m.input("y", kImages), kOut);
  unlike.finish(unlike.m.add("Concat", {unlike.real, second}, channels), kIn);
  CHECK(disagreement(unlike.m.graph, 0, 0) == "");
  CHECK(step_of(Session(unlike.m.graph, builtin_ops(), {}), "Concat").fallback ==
        "inputs of different scales");

  Quantized constant;
  constant.finish(
      constant.m.add("Concat", {constant.real, constant.m.constant(noise({2, 1, 7, 6}))}, channels),
      kIn);
  CHECK(disagreement(constant.m.graph, 0, 0) == "");
  CHECK(step_of(Session(constant.m.graph, builtin_ops(), {}), "Concat").fallback ==
        "floats among codes");
}

TEST_CASE("Global average pooling, Flatten and Gemm on codes") {
  Quantized q;
  const ValueId conv = q.m.qdq(q.m.add("Relu", {q.m.quantized_conv(q.real, q.in.scale, 5, 12, 1)}),
                               {0.02F, 0, false});
  const Grid mean_grid{0.01F, 0, false};
  const ValueId mean = q.m.qdq(q.m.add("GlobalAveragePool", {conv}), mean_grid);
  const ValueId flat = q.m.qdq(q.m.add("Flatten", {mean}), mean_grid);
  std::vector<float> scales;
  const ValueId w = q.m.weights(*noise({10, 12}, 7), 0, scales);
  const ValueId logits =
      q.m.add("Gemm", {flat, w, q.m.bias(*noise({10}, 8), mean_grid.scale, scales)},
              {{"transB", int64_t{1}}});
  q.finish(logits, {0.05F, 110, false});
  // One code of the mean is 0.01 * |w| <= 0.04 of a logit, less than a step of 0.05.
  check(q.m, {0.05F, 110, false}, 2,
        "QuantizeLinear; Conv + Relu + QuantizeLinear; GlobalAveragePool + QuantizeLinear; Gemm + "
        "QuantizeLinear; DequantizeLinear");
  for (const char* op : {"Conv", "GlobalAveragePool", "Gemm"}) {
    CHECK(step_of(Session(q.m.graph, builtin_ops(), {}), op).integer);
  }
}

TEST_CASE("Matrix products on codes: weights of any scaling that follows the columns") {
  for (const int axis : {0, 1}) {
    Quantized q(kIn, {3, 6, 8});
    std::vector<float> scales;
    // Square, so that a wrong axis would fit too.
    const ValueId w = q.m.weights(*noise({8, 8}, 7), axis, scales);
    q.finish(q.m.add("MatMul", {q.real, w}), {0.5F, 128, false});
    CHECK(disagreement(q.m.graph, 0, 0.5001) == "");
    const Session session(q.m.graph, builtin_ops(), {});
    CHECK(step_of(session, "MatMul").integer == (axis == 1));
    CHECK(step_of(session, "MatMul").fallback ==
          (axis == 1 ? "" : "weights that are not scaled by output channel"));
  }
  Quantized square;
  std::vector<float> scales;
  const ValueId w = square.m.weights(*noise({5, 5, 3, 3}, 7), 1, scales);
  square.finish(square.m.add("Conv", {square.real, w}), {0.5F, 128, false});
  CHECK(disagreement(square.m.graph, 0, 0.5001) == "");
  CHECK(!step_of(Session(square.m.graph, builtin_ops(), {}), "Conv").integer);
}

TEST_CASE("Unsigned weights around 128 are signed ones") {
  Quantized q;
  const ValueId w =
      q.m.add("DequantizeLinear", {q.m.constant(noise_u8({4, 5, 3, 3})),
                                   q.m.constant(scalar(0.01F)), q.m.constant(u8({}, {128}))});
  q.finish(q.m.add("Conv", {q.real, w}), kOut);
  CHECK(disagreement(q.m.graph, 0, 1.0001 * 0.04) == "");
  CHECK(step_of(Session(q.m.graph, builtin_ops(), {}), "Conv").integer);
}

TEST_CASE("Weights with other zero points and half-quantized products run in float") {
  for (const bool is_signed : {false, true}) {
    Quantized q;
    const Constant codes = is_signed ? noise_s8({4, 5, 3, 3}) : noise_u8({4, 5, 3, 3});
    const Constant zero = is_signed ? s8({}, {5}) : u8({}, {127});
    const ValueId w = q.m.add(
        "DequantizeLinear", {q.m.constant(codes), q.m.constant(scalar(0.01F)), q.m.constant(zero)});
    q.finish(q.m.add("Conv", {q.real, w}), kOut);
    CHECK(disagreement(q.m.graph, 0, 1.0001 * 0.04) == "");
    const Session session(q.m.graph, builtin_ops(), {});
    CHECK(step_of(session, "Conv").fallback == "weights with zero points");
    CHECK(!step_of(session, "Conv").integer);
  }
  Quantized half;
  half.finish(half.m.conv(half.real, 5, 4, 1), kOut);
  CHECK(disagreement(half.m.graph, 0, 1.0001 * 0.04) == "");
  CHECK(step_of(Session(half.m.graph, builtin_ops(), {}), "Conv").fallback ==
        "the weights are not quantized");
}

TEST_CASE("A DequantizeLinear that several read is taken in by some and computed once for others") {
  Quantized q;
  const ValueId conv = q.m.quantized_conv(q.real, q.in.scale, 5, 5, 1);
  q.finish(conv, kOut);
  q.finish(q.m.quantized_conv(q.real, q.in.scale, 5, 3, 5), kOut);
  q.m.output(q.m.add("Sigmoid", {q.real}));
  q.m.output(q.m.add("Tanh", {q.real}));
  CHECK(disagreement(q.m.graph, 0, 1.0001 * 0.04) == "");
  const Session session(q.m.graph, builtin_ops(), {});
  int dequantized = 0;
  for (const StepInfo& step : session.steps()) dequantized += step.op == "DequantizeLinear" ? 1 : 0;
  CHECK(dequantized == 3);  // the two outputs, and x once
}

TEST_CASE("Codes as the model's input and output, and requantization") {
  Model m;
  const ValueId codes = m.input("codes", {DType::uint8, kImages});
  const ValueId conv = m.quantized_conv(m.dequantize(codes, kIn), kIn.scale, 5, 6, 1);
  const ValueId result = m.output(m.quantize(conv, kOut));
  m.output(m.quantize(m.dequantize(result, kOut), kSignedOut));
  m.output(codes);
  CHECK(disagreement(m.graph, 0, 1) == "");
}

TEST_CASE("16-bit, per-channel and computed Q/DQ run, if not on codes") {
  Model m(21);
  const ValueId x = m.input("x", kImages);
  const ValueId zero = m.constant(elements<uint16_t>({}, {30000}));
  const ValueId wide = m.add("QuantizeLinear", {x, m.constant(scalar(0.001F)), zero});
  const ValueId real = m.add("DequantizeLinear", {wide, m.constant(scalar(0.001F)), zero});
  const ValueId conv = m.conv(real, 5, 5, 1);
  const ValueId scales = m.constant(f32({5}, {0.1F, 0.2F, 0.3F, 0.4F, 0.5F}));
  const ValueId zeros = m.constant(s8({5}, {0, 1, 2, 3, 4}));
  const ValueId channels =
      m.add("DequantizeLinear", {m.add("QuantizeLinear", {conv, scales, zeros}), scales, zeros});
  const ValueId scale = m.input("scale", Shape{});
  const ValueId late =
      m.add("QuantizeLinear",
            {channels, m.add("Add", {m.add("Sigmoid", {scale}), m.constant(scalar(0.1F))})});
  m.output(m.add("Relu", {channels}));
  m.output(late);
  const TensorMap feeds = random_feeds(m.graph);
  const TensorMap reference = run_on(m.graph, Backend::reference, feeds);
  const TensorMap compiled = run_on(m.graph, Backend::onednn, feeds);
  const std::string relu = m.graph.value(m.graph.outputs()[0]).name;
  CHECK(difference(compiled.at(relu), reference.at(relu), 0, 0.5001) == "");
  const std::string codes = m.graph.value(late).name;
  CHECK(difference(compiled.at(codes), reference.at(codes), 0, 2) == "");
}

TEST_CASE("Softmax and normalizations between Q/DQ run in float, say so, and store codes") {
  Quantized q(kIn, {4, 10});
  q.finish(q.m.add("Softmax", {q.real}), {1.0F / 256, 0, false});
  CHECK(disagreement(q.m.graph, 0, 1.0001 / 256) == "");
  const Session session(q.m.graph, builtin_ops(), {});
  CHECK(ops_of(session) ==
        "QuantizeLinear; DequantizeLinear; Softmax + QuantizeLinear; DequantizeLinear");
  CHECK(step_of(session, "Softmax").fallback == "softmax runs alone, in float");
  CHECK(!step_of(session, "Softmax").integer);

  Quantized n(kIn, {3, 20});
  n.finish(n.m.add("LayerNormalization",
                   {n.real, n.m.constant(noise({20})), n.m.constant(noise({20}, 2))}),
           kSignedOut);
  check(n.m, kSignedOut, 1,
        "QuantizeLinear; DequantizeLinear; LayerNormalization + QuantizeLinear; DequantizeLinear");
}

TEST_CASE("A MatMul takes in the constant behind it as its bias, and a residual") {
  for (const bool codes : {false, true}) {
    Quantized q(kIn, {2, 6, 20});
    std::vector<float> scales;
    const ValueId w = q.m.weights(*Model::scaled(noise({20, 17}, 3), 20), 1, scales);
    const ValueId biased =
        q.m.add("Add", {q.m.constant(noise({17}, 5)), q.m.add("MatMul", {q.real, w})});
    const ValueId sum = q.m.add("Add", {biased, q.m.input("residual", {2, 6, 17})});
    std::string ops = "QuantizeLinear; MatMul + Add + Add";
    if (codes) {
      q.finish(q.m.add("Relu", {sum}), kOut);
      ops += " + Relu + QuantizeLinear; DequantizeLinear";
    } else {
      q.m.output(sum);
    }
    CAPTURE(codes);
    check(q.m, codes ? kOut : Grid{1e-4F}, 1, ops);
  }
}

TEST_CASE("Matrix products of two activations run on codes") {
  for (const bool is_signed : {false, true}) {
    Quantized q(is_signed ? kSignedIn : kIn, {2, 3, 6, 8});
    const ValueId other = q.m.qdq(q.m.input("z", {2, 1, 8, 20}), Grid{0.05F, 17, false});
    q.finish(q.m.add("MatMul", {q.real, other}), Grid{0.5F, 3, true});
    CAPTURE(is_signed);
    CHECK(disagreement(q.m.graph, 0, 0.5001) == "");
    const Session session(q.m.graph, builtin_ops(), {});
    CHECK(step_of(session, "MatMul + QuantizeLinear").integer);
  }
}

TEST_CASE("MatMulInteger of two activations, their zero points known at run time, is exact") {
  Model m;
  const ValueId a = m.input("a", {DType::uint8, Shape{2, 5, 9}});
  const ValueId b = m.input("b", {DType::int8, Shape{2, 9, 7}});
  const ValueId za = m.input("za", {DType::uint8, Shape{}});
  const ValueId zb = m.input("zb", {DType::int8, Shape{}});
  m.output(m.add("MatMulInteger", {a, b, za, zb}));
  CHECK(disagreement(m.graph, 0, 0) == "");
  CHECK(!step_of(Session(m.graph, builtin_ops(), {}), "MatMulInteger").reference);
}
