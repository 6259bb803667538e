// SPDX-License-Identifier: Apache-2.0
#include "train/gradient_case.h"

namespace qtool::test {

namespace {

/// Every input that a gradient can be asked for, and all outputs.
GradientCase recurrent(std::string name, std::string op, CaseAttributes attributes,
                       bool optional = true, int64_t directions = 1) {
  const int64_t gates = op == "RNN" ? 1 : op == "GRU" ? 3 : 4;
  const bool lstm = op == "LSTM";
  const Shape state{directions, 2, 3};
  attributes.emplace_back("hidden_size", int64_t{3});
  GradientCase item{
      .name = std::move(name),
      .op = std::move(op),
      .attributes = std::move(attributes),
      .inputs = {smooth({4, 2, 2}, 1, 0.5F), smooth({directions, gates * 3, 2}, 2, 0.3F),
                 smooth({directions, gates * 3, 3}, 3, 0.3F)},
      .wanted = {0, 1, 2},
      .outputs = {0, 1},
      .output_count = lstm ? 3 : 2};
  if (lstm) item.outputs.push_back(2);
  if (!optional) return item;
  item.inputs.push_back(smooth({directions, gates * 6}, 4, 0.3F));
  item.inputs.push_back(make_constant(Tensor::of<int32_t>({2}, {3, 4})));
  item.inputs.push_back(smooth(state, 5, 0.5F));
  item.wanted.insert(item.wanted.end(), {3, 5});
  if (!lstm) return item;
  item.inputs.push_back(smooth(state, 6, 0.5F));
  item.inputs.push_back(smooth({directions, 9}, 7, 0.3F));
  item.wanted.insert(item.wanted.end(), {6, 7});
  return item;
}

}  // namespace

std::vector<GradientCase> recurrent_gradients() {
  std::vector<GradientCase> all;
  for (const char* op : {"RNN", "GRU", "LSTM"}) {
    all.push_back(recurrent("plain", op, {}, false));
    all.push_back(recurrent("everything", op, {}));
    all.push_back(recurrent("both ways", op, {{"direction", text("bidirectional")}}, true, 2));
    all.push_back(
        recurrent("reverse, clipped", op, {{"direction", text("reverse")}, {"clip", 0.9F}}, true));
  }
  all.push_back(recurrent("linear before the reset", "GRU", {{"linear_before_reset", int64_t{1}}}));
  all.push_back(recurrent("coupled", "LSTM", {{"input_forget", int64_t{1}}}));
  all.push_back(recurrent("the state alone", "LSTM", {}));
  all.back().outputs = {2};
  for (const char* activation : {"Relu", "Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh",
                                 "HardSigmoid", "Elu", "Softsign", "Softplus"}) {
    all.push_back(recurrent(activation, "RNN",
                            {{"activations", std::vector<std::string>{activation}},
                             {"activation_alpha", std::vector<float>{0.4F}},
                             {"activation_beta", std::vector<float>{0.3F}}}));
  }
  return all;
}

}  // namespace qtool::test
