// SPDX-License-Identifier: Apache-2.0
#include "ops/op_case.h"

namespace qtool::test {

namespace {

using Names = std::vector<std::string>;
using Reals = std::vector<float>;

OpCase layer(std::string op, std::string name, CaseAttributes attributes,
             std::vector<Constant> inputs, std::vector<Constant> expected = {},
             std::string error = {}) {
  const int outputs = op == "LSTM" ? 3 : 2;
  const bool said = std::ranges::any_of(
      attributes, [](const auto& attribute) { return attribute.first == "hidden_size"; });
  if (!said) attributes.emplace_back("hidden_size", inputs[2]->shape().back());  // ORT wants it
  return {.name = std::move(name),
          .op = std::move(op),
          .attributes = std::move(attributes),
          .inputs = std::move(inputs),
          .constants = {1, 2, 3, 4, 7},
          .expected = std::move(expected),
          .near = 1e-6,
          .error = std::move(error),
          .outputs = outputs};
}

/// One unit over three steps of one number.
const Constant kSteps = f32({3, 1, 1}, {1, 2, 3});

/// h = relu(2 x + h).
std::vector<OpCase> rnn_cases() {
  const Attribute relu = Names{"Relu"};
  const Constant w = f32({1, 1, 1}, {2});
  const Constant r = f32({1, 1, 1}, {1});
  const auto both = [&](CaseAttributes more) {
    more.emplace_back("direction", text("bidirectional"));
    more.emplace_back("activations", Names{"Relu", "Relu"});
    return more;
  };
  const Constant w2 = f32({2, 1, 1}, {2, 1});
  const Constant r2 = f32({2, 1, 1}, {1, 10});
  return {
      layer("RNN", "forward", {{"activations", relu}}, {kSteps, w, r},
            {f32({3, 1, 1, 1}, {2, 6, 12}), f32({1, 1, 1}, {12})}),
      layer("RNN", "reverse", {{"activations", relu}, {"direction", text("reverse")}},
            {kSteps, w, r}, {f32({3, 1, 1, 1}, {12, 10, 6}), f32({1, 1, 1}, {12})}),
      layer("RNN", "both ways", both({}), {kSteps, w2, r2},
            {f32({3, 2, 1, 1}, {2, 321, 6, 32, 12, 3}), f32({2, 1, 1}, {12, 321})}),
      layer("RNN", "biases and initial state", {{"activations", relu}},
            {kSteps, w, r, f32({1, 2}, {10, 100}), nullptr, f32({1, 1, 1}, {1000})},
            {f32({3, 1, 1, 1}, {1112, 1226, 1342}), f32({1, 1, 1}, {1342})}),
      layer("RNN", "a name in other letters", {{"activations", Names{"rElu"}}}, {kSteps, w, r},
            {f32({3, 1, 1, 1}, {2, 6, 12}), f32({1, 1, 1}, {12})}),
      layer("RNN", "a sequence without elements", {{"activations", relu}},
            {kSteps, w, r, nullptr, s32({1}, {0}), f32({1, 1, 1}, {1000})},
            {f32({3, 1, 1, 1}, {0, 0, 0}), f32({1, 1, 1}, {0})}),
      layer("RNN", "clip", {{"activations", relu}, {"clip", 5.0F}}, {kSteps, w, r},
            {f32({3, 1, 1, 1}, {2, 5, 5}), f32({1, 1, 1}, {5})}),
      layer("RNN", "sequences of unlike length", both({}),
            {f32({3, 2, 1}, {1, 10, 2, 20, 3, 30}), w2, r2, nullptr, s32({2}, {2, 1})},
            {f32({3, 2, 2, 1}, {2, 20, 21, 10, 6, 0, 2, 0, 0, 0, 0, 0}),
             f32({2, 2, 1}, {6, 20, 21, 10})}),
      layer("RNN", "batch first", both({{"layout", int64_t{1}}}),
            {f32({1, 3, 1}, {1, 2, 3}), w2, r2},
            {f32({1, 3, 2, 1}, {2, 321, 6, 32, 12, 3}), f32({1, 2, 1}, {12, 321})}),
      layer("RNN", "affine",
            {{"activations", Names{"Affine"}},
             {"activation_alpha", Reals{2}},
             {"activation_beta", Reals{1}}},
            {f32({1, 1, 1}, {3}), w, r}, {f32({1, 1, 1, 1}, {13}), f32({1, 1, 1}, {13})}),
      layer("RNN", "no steps", {{"activations", relu}}, {f32({0, 1, 1}, {}), w, r},
            {f32({0, 1, 1, 1}, {}), f32({1, 1, 1}, {0})}),
      layer("RNN", "a sequence that is too long", {}, {kSteps, w, r, nullptr, s32({1}, {4})}, {},
            "length 4 in 3 steps"),
      layer("RNN", "direction", {{"direction", text("up")}}, {kSteps, w, r}, {},
            "direction is \"up\""),
      layer("RNN", "activation", {{"activations", Names{"Sinh"}}}, {kSteps, w, r}, {},
            "\"Sinh\" is not one of"),
      layer("RNN", "too many activations", {{"activations", Names{"Tanh", "Tanh"}}}, {kSteps, w, r},
            {}, "2 activations, expected 1"),
      layer("RNN", "negative clip", {{"clip", -1.0F}}, {kSteps, w, r}, {}, "clip is -1"),
      layer("RNN", "inputs", {}, {kSteps, f32({1, 1, 2}, {1, 1}), r}, {}, "input 1 is"),
      layer("RNN", "hidden_size", {{"hidden_size", int64_t{2}}}, {kSteps, w, r}, {}, "input 1 is"),
      layer("RNN", "bias of one half", {}, {kSteps, w, r, f32({1, 1}, {1})}, {}, "input 3 is"),
      layer("RNN", "matrix", {}, {f32({3, 1}, {1, 2, 3}), w, r}, {}, "X is"),
  };
}

/// Gates that are always one half.
CaseAttributes halves(Names names, Reals alphas, Reals betas) {
  return {{"activations", std::move(names)},
          {"activation_alpha", std::move(alphas)},
          {"activation_beta", std::move(betas)}};
}

std::vector<OpCase> gru_cases() {
  // Candidates 2 x + r h, each weighted with one half.
  CaseAttributes simple = halves({"HardSigmoid", "Affine"}, {0, 1}, {0.5F, 0});
  const Constant w = f32({1, 3, 1}, {0, 0, 2});
  const Constant r = f32({1, 3, 1}, {0, 0, 1});
  const Constant b = f32({1, 6}, {0, 0, 1, 0, 0, 8});
  const Constant two = f32({2, 1, 1}, {1, 2});
  CaseAttributes before = simple;
  before.emplace_back("linear_before_reset", int64_t{1});
  return {
      layer("GRU", "half gates", simple, {two, w, r},
            {f32({2, 1, 1, 1}, {1, 2.75F}), f32({1, 1, 1}, {2.75F})}),
      // 2 + 1 + 8 and 4 + 1 + 8 + 0.5 * 5.5.
      layer("GRU", "the bias is not reset", simple, {two, w, r, b},
            {f32({2, 1, 1, 1}, {5.5F, 10.625F}), f32({1, 1, 1}, {10.625F})}),
      // 2 + 1 + 0.5 * 8 and 4 + 1 + 0.5 * (3.5 + 8).
      layer("GRU", "the bias is reset", before, {two, w, r, b},
            {f32({2, 1, 1, 1}, {3.5F, 7.125F}), f32({1, 1, 1}, {7.125F})}),
      layer("GRU", "sequence", {}, {noise({5, 3, 7}), noise({1, 30, 7}, 2), noise({1, 30, 10}, 3)}),
      layer("GRU", "both ways, lengths",
            {{"direction", text("bidirectional")}, {"linear_before_reset", int64_t{1}}},
            {noise({4, 3, 5}), noise({2, 69, 5}, 2), noise({2, 69, 23}, 3), noise({2, 138}, 4),
             s32({3}, {4, 1, 3}), noise({2, 3, 23}, 5)}),
      layer("GRU", "batch first, reverse, clip",
            {{"direction", text("reverse")}, {"layout", int64_t{1}}, {"clip", 1.5F}},
            {noise({2, 4, 3}), noise({1, 15, 3}, 2), noise({1, 15, 5}, 3), noise({1, 30}, 4),
             nullptr, noise({2, 1, 5}, 5)}),
      layer("GRU", "clip, biases", {{"clip", 1.5F}},
            {noise({4, 2, 3}), noise({1, 15, 3}, 2), noise({1, 15, 5}, 3), noise({1, 30}, 4)}),
      layer("GRU", "other activations",
            {{"direction", text("bidirectional")},
             {"activations", Names{"Softsign", "Elu", "ScaledTanh", "ThresholdedRelu"}},
             {"activation_alpha", Reals{0.5F, 1.5F, 0.25F}},
             {"activation_beta", Reals{0.75F}}},
            {noise({3, 2, 4}), noise({2, 9, 4}, 2), noise({2, 9, 3}, 3)}),
      layer("GRU", "doubles", simple,
            {elements<double>({1, 1, 1}, {1}), elements<double>({1, 3, 1}, {0, 0, 2}),
             elements<double>({1, 3, 1}, {0, 0, 1})},
            {elements<double>({1, 1, 1, 1}, {1}), elements<double>({1, 1, 1}, {1})}),
  };
}

std::vector<OpCase> lstm_cases() {
  // Cell inputs 2 x + h; every gate is one half.
  const CaseAttributes simple =
      halves({"HardSigmoid", "Affine", "Affine"}, {0, 1, 1}, {0.5F, 0, 0});
  const Constant w = f32({1, 4, 1}, {0, 0, 0, 2});
  const Constant r = f32({1, 4, 1}, {0, 0, 0, 1});
  const Constant two = f32({2, 1, 1}, {1, 2});
  // Gates that are the peepholes' sums: with c = 1 before and p = 0.25, 0.5, 0.125,
  // i = 0.25, f = 0.125, c = 0.125 + 0.25 * 2 = 0.625, o = 0.5 * 0.625.
  const CaseAttributes open = halves({"Affine", "Affine", "Affine"}, {1, 1, 1}, {0, 0, 0});
  CaseAttributes coupled = open;
  coupled.emplace_back("input_forget", int64_t{1});
  const Constant one = f32({1, 1, 1}, {1});
  const Constant zero = f32({1, 1, 1}, {0});
  const Constant p = f32({1, 3}, {0.25F, 0.5F, 0.125F});
  return {
      layer("LSTM", "half gates", simple, {two, w, r},
            {f32({2, 1, 1, 1}, {0.5F, 1.375F}), f32({1, 1, 1}, {1.375F}), f32({1, 1, 1}, {2.75F})}),
      layer("LSTM", "initial states", simple,
            {one, w, r, nullptr, nullptr, f32({1, 1, 1}, {4}), f32({1, 1, 1}, {10})},
            {f32({1, 1, 1, 1}, {4}), f32({1, 1, 1}, {4}), f32({1, 1, 1}, {8})}),
      layer("LSTM", "peepholes", open, {one, w, r, nullptr, nullptr, zero, one, p},
            {f32({1, 1, 1, 1}, {0.1953125F}), f32({1, 1, 1}, {0.1953125F}),
             f32({1, 1, 1}, {0.625F})}),
      // f = 1 - i: c = 0.75 + 0.5.
      layer("LSTM", "input forgets", coupled, {one, w, r, nullptr, nullptr, zero, one, p},
            {f32({1, 1, 1, 1}, {0.78125F}), f32({1, 1, 1}, {0.78125F}), f32({1, 1, 1}, {1.25F})}),
      layer("LSTM", "sequence", {},
            {noise({6, 2, 5}), noise({1, 40, 5}, 2), noise({1, 40, 10}, 3), noise({1, 80}, 4)}),
      layer(
          "LSTM", "both ways, lengths, peepholes", {{"direction", text("bidirectional")}},
          {noise({5, 4, 3}), noise({2, 68, 3}, 2), noise({2, 68, 17}, 3), noise({2, 136}, 4),
           s32({4}, {5, 0, 2, 4}), noise({2, 4, 17}, 5), noise({2, 4, 17}, 6), noise({2, 51}, 7)}),
      layer("LSTM", "batch first, both ways, clip",
            {{"direction", text("bidirectional")}, {"layout", int64_t{1}}, {"clip", 2.0F}},
            {noise({3, 4, 5}), noise({2, 24, 5}, 2), noise({2, 24, 6}, 3), noise({2, 48}, 4)}),
      layer("LSTM", "clip, peepholes, input forgets",
            {{"clip", 1.5F}, {"input_forget", int64_t{1}}},
            {noise({4, 3, 5}), noise({1, 24, 5}, 2), noise({1, 24, 6}, 3), noise({1, 48}, 4),
             nullptr, nullptr, nullptr, noise({1, 18}, 5)}),
      layer("LSTM", "wide", {},
            {noise({2, 1, 33}), noise({1, 520, 33}, 2), noise({1, 520, 130}, 3)}),
      layer("LSTM", "integers", {},
            {s32({1, 1, 1}, {1}), s32({1, 4, 1}, {0, 0, 0, 2}), s32({1, 4, 1}, {0, 0, 0, 1})}, {},
            "elements of type int32"),
      layer("LSTM", "peepholes of two gates", {},
            {one, w, r, nullptr, nullptr, nullptr, nullptr, f32({1, 2}, {1, 1})}, {}, "input 7 is"),
  };
}

}  // namespace

std::vector<OpCase> recurrent_cases() {
  std::vector<OpCase> all = rnn_cases();
  for (OpCase& item : gru_cases()) all.push_back(std::move(item));
  for (OpCase& item : lstm_cases()) all.push_back(std::move(item));
  return all;
}

}  // namespace qtool::test
