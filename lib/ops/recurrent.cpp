// SPDX-License-Identifier: Apache-2.0
// RNN, GRU and LSTM, opsets 7 to 22 (14 added the layout).
#include "ops/recurrent.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>

#include "ops/families.h"
#include "ops/gradients/gradients.h"
#include "ops/lowering.h"
#include "ops/shapes.h"
#include "support/text.h"

namespace qtool {

namespace {

using Kind = RecurrentActivation::Kind;
using Cell = RecurrentSpec::Cell;

/// Which arguments an activation takes from the node's lists, and what they are otherwise.
struct ActivationForm {
  Kind kind;
  bool takes_alpha;
  bool takes_beta;
  double alpha;
  double beta;
};

const std::map<std::string, ActivationForm>& activation_forms() {
  static const std::map<std::string, ActivationForm> forms = {
      {"relu", {Kind::relu, false, false, 0, 0}},
      {"tanh", {Kind::tanh, false, false, 0, 0}},
      {"sigmoid", {Kind::sigmoid, false, false, 0, 0}},
      {"affine", {Kind::affine, true, true, 1, 0}},
      {"leakyrelu", {Kind::leaky_relu, true, false, static_cast<double>(0.01F), 0}},
      {"thresholdedrelu", {Kind::thresholded_relu, true, false, 1, 0}},
      {"scaledtanh", {Kind::scaled_tanh, true, true, 1, 1}},
      {"hardsigmoid", {Kind::hard_sigmoid, true, true, static_cast<double>(0.2F), 0.5}},
      {"elu", {Kind::elu, true, false, 1, 0}},
      {"softsign", {Kind::softsign, false, false, 0, 0}},
      {"softplus", {Kind::softplus, false, false, 0, 0}},
  };
  return forms;
}

std::vector<std::string> default_activations(Cell cell) {
  if (cell == Cell::rnn) return {"Tanh"};
  if (cell == Cell::gru) return {"Sigmoid", "Tanh"};
  return {"Sigmoid", "Tanh", "Tanh"};
}

std::vector<std::string> names_of(const NodeView& node) {
  const Attribute* given = node.attributes().find("activations");
  if (given == nullptr) return {};
  const auto* names = std::get_if<std::vector<std::string>>(given);
  if (names == nullptr) throw input_error("\"activations\" is no list of names");
  return *names;
}

/// The lists of arguments are used up in the order of the activations that take some.
void read_activations(const NodeView& node, RecurrentForm& form) {
  std::vector<std::string> names = names_of(node);
  const std::vector<std::string> usual = default_activations(form.cell);
  const size_t wanted = usual.size() * form.backward.size();
  if (names.empty()) {
    for (size_t i = 0; i < wanted; ++i) names.push_back(usual[i % usual.size()]);
  }
  if (names.size() != wanted) {
    throw input_error(fmt::format("{} activations, expected {}", names.size(), wanted));
  }
  const std::vector<float> alphas = node.attributes().reals("activation_alpha");
  const std::vector<float> betas = node.attributes().reals("activation_beta");
  size_t next_alpha = 0;
  size_t next_beta = 0;
  for (size_t i = 0; i < names.size(); ++i) {
    std::string name = names[i];
    std::ranges::transform(name, name.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const auto found = activation_forms().find(name);
    if (found == activation_forms().end()) {
      throw input_error("the activation \"" + names[i] + "\" is not one of ONNX's");
    }
    const ActivationForm& f = found->second;
    RecurrentActivation activation{f.kind, f.alpha, f.beta};
    if (f.takes_alpha && next_alpha < alphas.size()) {
      activation.alpha = static_cast<double>(alphas[next_alpha++]);
    }
    if (f.takes_beta && next_beta < betas.size()) {
      activation.beta = static_cast<double>(betas[next_beta++]);
    }
    if (i % usual.size() == 0) form.activations.emplace_back();
    form.activations.back().push_back(activation);
  }
}

Cell cell_of(const NodeView& node) {
  const std::string& type = node.op().type;
  if (type.starts_with("LSTM")) return Cell::lstm;  // as well as their gradients
  return type.starts_with("GRU") ? Cell::gru : Cell::rnn;
}

}  // namespace

double RecurrentActivation::value(double x) const {
  switch (kind) {
    case Kind::relu: return x < 0 ? 0 : x;
    case Kind::tanh: return std::tanh(x);
    case Kind::sigmoid: return 1 / (1 + std::exp(-x));
    case Kind::affine: return alpha * x + beta;
    case Kind::leaky_relu: return x < 0 ? alpha * x : x;
    case Kind::thresholded_relu: return x > alpha ? x : 0;
    case Kind::scaled_tanh: return alpha * std::tanh(beta * x);
    case Kind::hard_sigmoid: return std::fmin(std::fmax(alpha * x + beta, 0), 1);
    case Kind::elu: return x < 0 ? alpha * std::expm1(x) : x;
    case Kind::softsign: return x / (1 + std::fabs(x));
    case Kind::softplus: return std::fmax(x, 0) + std::log1p(std::exp(-std::fabs(x)));
  }
  return x;
}

std::vector<PostOp> RecurrentActivation::post_ops() const {
  const auto a = static_cast<float>(alpha);
  const auto b = static_cast<float>(beta);
  switch (kind) {
    case Kind::relu: return {{PostOp::Kind::relu}};
    case Kind::tanh: return {{PostOp::Kind::tanh}};
    case Kind::sigmoid: return {{PostOp::Kind::sigmoid}};
    case Kind::affine: return {{PostOp::Kind::linear, a, b}};
    case Kind::leaky_relu: return {{PostOp::Kind::leaky_relu, a}};
    case Kind::thresholded_relu: return {{PostOp::Kind::thresholded_relu, a}};
    case Kind::scaled_tanh:
      return {{PostOp::Kind::linear, b, 0}, {PostOp::Kind::tanh}, {PostOp::Kind::linear, a, 0}};
    case Kind::hard_sigmoid: return {{PostOp::Kind::hard_sigmoid, a, b}};
    case Kind::elu: return {{PostOp::Kind::elu, a}};
    case Kind::softsign: return {{PostOp::Kind::softsign}};
    case Kind::softplus: return {{PostOp::Kind::softplus}};
  }
  return {};
}

RecurrentForm recurrent_form(const NodeView& node) {
  RecurrentForm form;
  form.cell = cell_of(node);
  const Attributes& attributes = node.attributes();
  const std::string direction = attributes.text("direction", "forward");
  if (direction == "forward") {
    form.backward = {false};
  } else if (direction == "reverse") {
    form.backward = {true};
  } else if (direction == "bidirectional") {
    form.backward = {false, true};
  } else {
    throw input_error("direction is \"" + direction + "\"");
  }
  form.hidden = attributes.integer("hidden_size", 0);
  form.clip = static_cast<double>(attributes.real("clip", 0.0F));
  if (form.hidden < 0 || !(form.clip >= 0)) {
    throw input_error(fmt::format("hidden_size is {}, clip is {}", form.hidden, form.clip));
  }
  form.input_forget = attributes.integer("input_forget", 0) != 0;
  form.linear_before_reset = attributes.integer("linear_before_reset", 0) != 0;
  form.batch_first = attributes.integer("layout", 0) != 0;
  read_activations(node, form);
  return form;
}

RecurrentExtents recurrent_extents(const RecurrentForm& form, const Shape& x, const Shape& r) {
  return {x[form.batch_first ? 1 : 0], x[form.batch_first ? 0 : 1], x[2], r[2]};
}

namespace {

/// Errors (input): the input's known extents are not the wanted ones.
void check_shape(const NodeView& node, size_t slot, const std::vector<Dim>& wanted) {
  const auto& shape = node.input_type(slot).shape;
  if (!shape) return;
  bool fits = shape->size() == wanted.size();
  for (size_t d = 0; fits && d < wanted.size(); ++d) {
    fits = !(*shape)[d].value || !wanted[d].value || *(*shape)[d].value == *wanted[d].value;
  }
  if (!fits) {
    throw input_error(fmt::format("input {} is {}, expected {}", slot,
                                  to_string(node.input_type(slot)),
                                  to_string(TensorType(node.input_type(slot).dtype, wanted))));
  }
}

Dim times(int64_t factor, const Dim& dim) {
  return dim.value && *dim.value <= kMostExtent ? Dim{factor * *dim.value, {}} : Dim{};
}

void infer_recurrent(InferContext& context) {
  const NodeView& node = context.node;
  const RecurrentForm form = recurrent_form(node);
  check_same_dtype(node, 4);
  const auto& x = node.input_type(0).shape;
  const auto& r = node.input_type(2).shape;
  if (x && x->size() != 3) throw input_error("X is " + to_string(node.input_type(0)));
  if (r && r->size() != 3) throw input_error("R is " + to_string(node.input_type(2)));
  Dim hidden = form.hidden > 0 ? Dim{form.hidden, {}} : Dim{};
  if (!hidden.value && r) hidden = (*r)[2];
  const Dim steps = x ? (*x)[form.batch_first ? 1 : 0] : Dim{};
  const Dim batch = x ? (*x)[form.batch_first ? 0 : 1] : Dim{};
  const Dim inputs = x ? (*x)[2] : Dim{};
  const Dim directions{form.directions(), {}};
  const Dim width = times(form.gates(), hidden);
  const std::vector<Dim> state = form.batch_first ? std::vector{batch, directions, hidden}
                                                  : std::vector{directions, batch, hidden};
  check_shape(node, 1, {directions, width, inputs});
  check_shape(node, 2, {directions, width, hidden});
  check_shape(node, 3, {directions, times(2, width)});
  check_shape(node, 4, {batch});
  check_shape(node, 5, state);
  check_shape(node, 6, state);
  check_shape(node, 7, {directions, times(3, hidden)});
  const DType dtype = node.input_type(0).dtype;
  context.set_output(0, {dtype, form.batch_first ? std::vector{batch, steps, directions, hidden}
                                                 : std::vector{steps, directions, batch, hidden}});
  context.set_output(1, {dtype, state});
  context.set_output(2, {dtype, state});
}

Lowering lower_recurrent(const LowerContext& context) {
  if (context.quantized()) return Lowering::refuse("it runs in float");
  for (size_t i = 0; i < context.inputs.size(); ++i) {
    if (!context.has(i)) continue;
    const DType wanted = i == 4 ? DType::int32 : DType::float32;
    if (context.inputs[i].dtype != wanted) return Lowering::refuse("elements that are not float");
    if ((i < 4 || i == 7) && i != 0 && context.inputs[i].constant == nullptr) {
      return Lowering::refuse("weights that are computed at run time");
    }
  }
  const RecurrentForm form = recurrent_form(context.node);
  const RecurrentExtents extents =
      recurrent_extents(form, context.inputs[0].shape, context.inputs[2].shape);
  if (element_count(context.inputs[0].shape) == 0 || extents.hidden == 0) {
    return Lowering::refuse("an empty tensor");
  }
  RecurrentSpec spec;
  spec.cell = form.cell;
  spec.steps = extents.steps;
  spec.batch = extents.batch;
  spec.inputs = extents.inputs;
  spec.hidden = extents.hidden;
  spec.batch_first = form.batch_first;
  for (size_t d = 0; d < form.backward.size(); ++d) {
    RecurrentSpec::Direction direction{form.backward[d], {}};
    for (const auto& activation : form.activations[d]) {
      direction.activations.push_back(activation.post_ops());
    }
    spec.directions.push_back(std::move(direction));
  }
  spec.clip = static_cast<float>(form.clip);
  spec.input_forget = form.input_forget;
  spec.linear_before_reset = form.linear_before_reset;
  const auto constant = [&](size_t slot) {
    return context.has(slot) ? context.inputs[slot].constant.get() : nullptr;
  };
  spec.weights = constant(1);
  spec.recurrence = constant(2);
  spec.bias = constant(3);
  spec.peepholes = constant(7);
  Lowering result =
      lowering(make_recurrent(spec), std::vector<Layout>(context.inputs.size(), Layout::plain));
  result.packed = {1, 2, 3, 7};
  return result;
}

uint64_t recurrent_macs(const NodeView& node) {
  const auto x = node.input_type(0).concrete_shape();
  const auto w = node.input_type(1).concrete_shape();
  const auto r = node.input_type(2).concrete_shape();
  if (!x || !w || !r) return 0;
  return static_cast<uint64_t>((*x)[0]) * static_cast<uint64_t>((*x)[1]) *
         static_cast<uint64_t>(element_count(*w) + element_count(*r));
}

}  // namespace

void register_recurrent(OpRegistry& ops) {
  for (const char* type : {"RNN", "GRU", "LSTM"}) {
    const bool lstm = std::string(type) == "LSTM";
    ops.add({.key = {"", type},
             .since_version = 7,
             .inputs = {3, lstm ? 8 : 6},
             .outputs = {0, lstm ? 3 : 2},
             .infer = infer_recurrent,
             .reference = recurrent_reference,
             .tolerance = kAccumulated,
             .lower = lower_recurrent,
             .gradient = recurrent_gradient,
             .macs = recurrent_macs});
  }
}

}  // namespace qtool
