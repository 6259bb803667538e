// SPDX-License-Identifier: Apache-2.0
// Einsum (12). Operands are contracted in their order, two at a time, after what only one of them
// has was summed; so no intermediate result has more labels than it must.
#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "kernels/contraction.h"
#include "ops/einsum_equation.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "ops/gradients/gradients.h"
#include "ops/lowering.h"
#include "support/checked.h"
#include "support/text.h"

namespace qtool {

namespace {

using Labels = std::vector<int>;

bool holds(const Labels& labels, int label) {
  return std::ranges::find(labels, label) != labels.end();
}

std::vector<std::vector<Dim>> input_shapes(const NodeView& node) {
  std::vector<std::vector<Dim>> shapes;
  for (size_t i = 0; i < node.input_count(); ++i) {
    if (!node.input_type(i).shape) return {};
    shapes.push_back(*node.input_type(i).shape);
  }
  return shapes;
}

EinsumEquation equation_of(const NodeView& node, const std::vector<std::vector<Dim>>& shapes) {
  std::vector<size_t> ranks;
  for (const auto& shape : shapes) ranks.push_back(shape.size());
  return parse_equation(node.attributes().text("equation", ""), ranks);
}

void infer_einsum(InferContext& context) {
  const NodeView& node = context.node;
  check_same_dtype(node, node.input_count());
  TensorType type{node.input_type(0).dtype, std::nullopt};
  if (const auto shapes = input_shapes(node); !shapes.empty()) {
    const EinsumEquation equation = equation_of(node, shapes);
    const auto extents = label_extents(equation, shapes);
    type.shape.emplace();
    for (const int label : equation.output) type.shape->push_back(extents.at(label));
  }
  context.set_output(0, std::move(type));
}

// ---- reference --------------------------------------------------------------------------------

/// An operand or a product of some: distinct labels, elements in row-major order.
template <class C>
struct Term {
  Labels labels;
  Shape shape;
  std::vector<C> elements;

  /// Strides along `wanted`, 0 for labels it has not and where it broadcasts.
  std::vector<int64_t> steps(const Labels& wanted) const {
    const std::vector<int64_t> own = row_major_strides(shape);
    std::vector<int64_t> result;
    for (const int label : wanted) {
      const auto at = static_cast<size_t>(std::ranges::find(labels, label) - labels.begin());
      result.push_back(at < labels.size() && shape[at] != 1 ? own[at] : 0);
    }
    return result;
  }
};

/// visit(offset of each walker) for all places of `extents` in row-major order.
template <size_t count, class F>
void walk(const Shape& extents, const std::array<std::vector<int64_t>, count>& steps, F&& visit) {
  std::vector<int64_t> at(extents.size(), 0);
  std::array<int64_t, count> offsets{};
  if (element_count(extents) == 0) return;
  for (;;) {
    visit(offsets);
    size_t d = extents.size();
    while (d-- > 0) {
      for (size_t i = 0; i < count; ++i) offsets[i] += steps[i][d];
      if (++at[d] < extents[d]) break;
      for (size_t i = 0; i < count; ++i) offsets[i] -= steps[i][d] * extents[d];
      at[d] = 0;
    }
    if (d == SIZE_MAX) return;
  }
}

/// a times b, summed over the labels that are not kept; b may be missing.
template <class C>
Term<C> contracted(const Term<C>& a, const Term<C>* b, const Labels& kept) {
  Labels all = a.labels;
  if (b != nullptr) {
    for (const int label : b->labels) {
      if (!holds(all, label)) all.push_back(label);
    }
  }
  std::stable_partition(all.begin(), all.end(), [&](int label) { return holds(kept, label); });
  const auto extent_in = [](const Term<C>& term, int label) {
    const auto at =
        static_cast<size_t>(std::ranges::find(term.labels, label) - term.labels.begin());
    return at < term.labels.size() ? term.shape[at] : 1;
  };
  Term<C> result;
  Shape extents;
  for (const int label : all) {
    const int64_t own = extent_in(a, label);
    extents.push_back(b != nullptr && own == 1 ? extent_in(*b, label) : own);
    if (!holds(kept, label)) continue;
    result.labels.push_back(label);
    result.shape.push_back(extents.back());
  }
  // Makes an Error of a size that no memory holds.
  const Tensor room(DType::float64, result.shape);
  result.elements.assign(static_cast<size_t>(room.size()), C{});
  const Term<C> one{{}, {}, {C{1}}};
  const Term<C>& other = b != nullptr ? *b : one;
  walk<3>(extents, {a.steps(all), other.steps(all), result.steps(all)}, [&](const auto& offsets) {
    result.elements[static_cast<size_t>(offsets[2])] +=
        a.elements[static_cast<size_t>(offsets[0])] *
        other.elements[static_cast<size_t>(offsets[1])];
  });
  return result;
}

/// An input with the diagonal taken where a label repeats.
template <class C>
Term<C> term_of(const Labels& labels, const Shape& shape, const std::vector<C>& elements) {
  Term<C> term;
  std::vector<int64_t> steps;
  const std::vector<int64_t> own = row_major_strides(shape);
  for (size_t d = 0; d < labels.size(); ++d) {
    const auto at =
        static_cast<size_t>(std::ranges::find(term.labels, labels[d]) - term.labels.begin());
    if (at == term.labels.size()) {
      term.labels.push_back(labels[d]);
      term.shape.push_back(1);
      steps.push_back(0);
    }
    if (shape[d] == 1) continue;
    term.shape[at] = shape[d];
    steps[at] += own[d];
  }
  walk<1>(term.shape, {steps}, [&](const auto& offsets) {
    term.elements.push_back(elements[static_cast<size_t>(offsets[0])]);
  });
  return term;
}

/// What must stay behind the terms up to `done`: the output's labels and those of later terms.
Labels needed(const EinsumEquation& equation, size_t done) {
  Labels labels = equation.output;
  for (size_t i = done + 1; i < equation.inputs.size(); ++i) {
    labels.insert(labels.end(), equation.inputs[i].begin(), equation.inputs[i].end());
  }
  return labels;
}

template <class C>
std::vector<C> computed(const EinsumEquation& equation, std::vector<Term<C>> terms) {
  for (size_t i = 0; i < terms.size(); ++i) {
    Labels others = equation.output;
    for (size_t j = 0; j < terms.size(); ++j) {
      if (j != i) others.insert(others.end(), terms[j].labels.begin(), terms[j].labels.end());
    }
    terms[i] = contracted<C>(terms[i], nullptr, others);
  }
  Term<C> product = std::move(terms[0]);
  for (size_t i = 1; i < terms.size(); ++i) {
    product = contracted<C>(product, &terms[i], needed(equation, i));
  }
  std::vector<C> ordered;
  Shape extents;
  for (const int label : equation.output) {
    extents.push_back(product.shape[static_cast<size_t>(std::ranges::find(product.labels, label) -
                                                        product.labels.begin())]);
  }
  walk<1>(extents, {product.steps(equation.output)}, [&](const auto& offsets) {
    ordered.push_back(product.elements[static_cast<size_t>(offsets[0])]);
  });
  return ordered;
}

std::vector<Tensor> einsum_reference(const ReferenceCall& call) {
  const auto shapes = input_shapes(call.node);
  const EinsumEquation equation = equation_of(call.node, shapes);
  const auto extents = label_extents(equation, shapes);
  Shape shape;
  for (const int label : equation.output) shape.push_back(*extents.at(label).value);
  return one_result(visit_kinds<kNumbers>(call.input(0).dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    // Integers modulo 2^64 have the right low bits whatever their width.
    using C = std::conditional_t<kind_of<T> == kFloats, double, uint64_t>;
    std::vector<Term<C>> terms;
    for (size_t i = 0; i < call.inputs.size(); ++i) {
      const Tensor& x = call.input(i);
      std::vector<C> elements;
      for (const T element : x.data<T>()) elements.push_back(static_cast<C>(loaded(element)));
      terms.push_back(term_of(equation.inputs[i], x.shape(), elements));
    }
    const std::vector<C> values = computed(equation, std::move(terms));
    Tensor y(call.input(0).dtype(), shape);
    std::ranges::transform(values, y.data<T>().begin(), [](C value) { return stored<T>(value); });
    return y;
  }));
}

// ---- lowering ---------------------------------------------------------------------------------

/// The labels of a product of two operands, by what they are in a product of matrices.
struct Roles {
  Labels batch, rows, inner, columns;
};

Roles roles_of(const EinsumEquation& equation) {
  Roles roles;
  for (const int label : equation.inputs[0]) {
    const bool shared = holds(equation.inputs[1], label);
    const bool kept = holds(equation.output, label);
    (shared ? kept ? roles.batch : roles.inner : roles.rows).push_back(label);
  }
  for (const int label : equation.inputs[1]) {
    if (!holds(equation.inputs[0], label)) roles.columns.push_back(label);
  }
  return roles;
}

/// "", or why the equation is no product of two matrices.
std::string product_problem(const EinsumEquation& equation) {
  if (equation.inputs.size() != 2) return "not two operands";
  for (const Labels& labels : equation.inputs) {
    if (std::set<int>(labels.begin(), labels.end()).size() != labels.size()) return "a diagonal";
    const Labels& other = equation.inputs[&labels == &equation.inputs[0] ? 1 : 0];
    for (const int label : labels) {
      if (!holds(other, label) && !holds(equation.output, label)) {
        return "a sum over one operand's axis";
      }
    }
  }
  return {};
}

Labels joined(const Labels& a, const Labels& b, const Labels& c) {
  Labels all = a;
  all.insert(all.end(), b.begin(), b.end());
  all.insert(all.end(), c.begin(), c.end());
  return all;
}

/// A copy between a tensor with `labels` and a dense one in the order of `wanted`.
struct Reordering {
  const std::map<int, Dim>& extents;

  Shape shape(const Labels& labels) const {
    Shape result;
    for (const int label : labels) result.push_back(*extents.at(label).value);
    return result;
  }
  int64_t count(const Labels& labels) const { return element_count(shape(labels)); }

  StridedCopy into(const Labels& labels, const Shape& own, const Labels& wanted) const {
    const Term<float> term{labels, own, {}};
    const Shape dense = shape(wanted);
    return {dense, term.steps(wanted), row_major_strides(dense), 0, 0, 0};
  }
  StridedCopy out_of(const Labels& ordered, const Labels& output) const {
    const Term<float> term{ordered, shape(ordered), {}};
    const Shape dense = shape(output);
    return {dense, term.steps(output), row_major_strides(dense), 0, 0, 0};
  }
};

Lowering lower_einsum(const LowerContext& context) {
  if (!context.post_ops.empty()) return Lowering::refuse("post-ops behind Einsum");
  if (context.quantized()) return Lowering::refuse("Einsum runs in float");
  if (context.outputs[0].dtype != DType::float32) {
    return Lowering::refuse("elements of type " + std::string(name(context.outputs[0].dtype)));
  }
  const auto shapes = input_shapes(context.node);
  const EinsumEquation equation = equation_of(context.node, shapes);
  if (auto why = product_problem(equation); !why.empty()) return Lowering::refuse(std::move(why));
  const auto extents = label_extents(equation, shapes);
  const Roles roles = roles_of(equation);
  const Reordering order{extents};
  ContractionSpec spec;
  spec.batch = order.count(roles.batch);
  spec.rows = order.count(roles.rows);
  spec.inner = order.count(roles.inner);
  spec.columns = order.count(roles.columns);
  if (std::min({spec.batch, spec.rows, spec.inner, spec.columns}) == 0)
    return Lowering::refuse("operands without elements");
  spec.left = order.into(equation.inputs[0], context.inputs[0].shape,
                         joined(roles.batch, roles.rows, roles.inner));
  spec.right = order.into(equation.inputs[1], context.inputs[1].shape,
                          joined(roles.batch, roles.inner, roles.columns));
  spec.result = order.out_of(joined(roles.batch, roles.rows, roles.columns), equation.output);
  return lowering(make_contraction(spec), {Layout::plain, Layout::plain});
}

/// Of all labels, as if contracted at once; what is counted is only a product of two.
uint64_t einsum_macs(const NodeView& node) {
  const auto shapes = input_shapes(node);
  if (shapes.size() != 2) return 0;
  uint64_t product = 1;
  for (const auto& [label, dim] : label_extents(equation_of(node, shapes), shapes)) {
    if (!dim.value || *dim.value < 0) return 0;
    product = checked_multiply(product, static_cast<uint64_t>(*dim.value)).value_or(0);
  }
  return product;
}

}  // namespace

void register_einsum(OpRegistry& ops) {
  ops.add({.key = {"", "Einsum"},
           .since_version = 12,
           .inputs = {1, -1},
           .outputs = {1, 1},
           .infer = infer_einsum,
           .reference = einsum_reference,
           .tolerance = kAccumulated,
           .lower = lower_einsum,
           .gradient = einsum_gradient,
           .macs = einsum_macs});
}

}  // namespace qtool
