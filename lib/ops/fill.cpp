// SPDX-License-Identifier: Apache-2.0
// Tensors made from numbers: ConstantOfShape (9), Range (11), Size (1), EyeLike (9), OneHot (9,
// negative indices since 11).
#include <cmath>
#include <cstring>

#include "ops/elements.h"
#include "ops/families.h"
#include "support/checked.h"
#include "support/text.h"

namespace qtool {

namespace {

// ---- ConstantOfShape --------------------------------------------------------------------------

Tensor fill_value(const NodeView& node) {
  const Constant value = node.attributes().tensor("value");
  if (value == nullptr) return Tensor::scalar(0.0F);
  if (value->size() != 1) {
    throw input_error(fmt::format("\"value\" has {} elements, expected one", value->size()));
  }
  return value->clone();
}

Shape checked_shape(Shape shape) {
  for (const int64_t extent : shape) {
    if (extent < 0 || extent > kMostExtent)
      throw input_error("the shape " + to_string(shape) + " has no meaning");
  }
  element_count(shape);
  return shape;
}

void infer_constant_of_shape(InferContext& context) {
  const NodeView& node = context.node;
  TensorType type{fill_value(node).dtype(), std::nullopt};
  if (const auto shape = constant_integers(node, 0)) {
    type.shape = TensorType(type.dtype, checked_shape(*shape)).shape;
  } else if (const auto count = node.input_type(0).concrete_shape()) {
    if (count->size() != 1 || (*count)[0] > 1024)
      throw input_error("the shape is " + to_string(node.input_type(0)) +
                        ", not a list of extents");
    type.shape.emplace(static_cast<size_t>((*count)[0]));
  }
  context.set_output(0, std::move(type));
}

std::vector<Tensor> constant_of_shape_reference(const ReferenceCall& call) {
  const Tensor value = fill_value(call.node);
  const size_t width = moved_bytes(value.dtype());
  Tensor y(value.dtype(), checked_shape(to_int64s(call.input(0))));
  for (int64_t i = 0; i < y.size(); ++i) {
    std::memcpy(y.raw() + static_cast<size_t>(i) * width, value.raw(), width);
  }
  return one_result(std::move(y));
}

// ---- Range ------------------------------------------------------------------------------------

/// ceil((limit - start) / delta), or none. Errors (input): a step of 0, no number, too many.
template <class T>
int64_t range_count(T start, T limit, T delta) {
  const auto too_many = [] { return input_error("a Range of too many elements"); };
  if (delta == 0) throw input_error("a Range with a step of 0");
  if constexpr (std::is_integral_v<T>) {
    if (delta > 0 ? limit <= start : limit >= start) return 0;
    const uint64_t low = static_cast<uint64_t>(delta > 0 ? start : limit);
    const uint64_t distance = static_cast<uint64_t>(delta > 0 ? limit : start) - low;
    const uint64_t step =
        delta > 0 ? static_cast<uint64_t>(delta) : 0 - static_cast<uint64_t>(delta);
    const uint64_t count = (distance - 1) / step + 1;
    if (count > static_cast<uint64_t>(kMostExtent)) throw too_many();
    return static_cast<int64_t>(count);
  } else {
    const double count = std::ceil((static_cast<double>(limit) - static_cast<double>(start)) /
                                   static_cast<double>(delta));
    if (std::isnan(count)) throw input_error("a Range whose bounds are no numbers");
    if (count > static_cast<double>(kMostExtent)) throw too_many();
    return count > 0 ? static_cast<int64_t>(count) : 0;
  }
}

template <class F>
void visit_range(const Tensor& start, const Tensor& limit, const Tensor& delta, F&& use) {
  visit_kinds<kNumbers>(start.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    use(tag, loaded(start.data<T>()[0]), loaded(limit.data<T>()[0]), loaded(delta.data<T>()[0]));
    return Tensor();
  });
}

void infer_range(InferContext& context) {
  const NodeView& node = context.node;
  check_same_dtype(node, 3);
  for (size_t i = 0; i < 3; ++i) check_single(node, i, "a bound of a Range");
  std::vector<Dim> shape(1);
  const Constant start = node.input_constant(0);
  const Constant limit = node.input_constant(1);
  const Constant delta = node.input_constant(2);
  if (start != nullptr && limit != nullptr && delta != nullptr) {
    visit_range(*start, *limit, *delta, [&](auto, auto low, auto high, auto step) {
      shape[0].value = range_count(low, high, step);
    });
  }
  context.set_output(0, {node.input_type(0).dtype, shape});
}

std::vector<Tensor> range_reference(const ReferenceCall& call) {
  Tensor y;
  visit_range(call.input(0), call.input(1), call.input(2),
              [&](auto tag, auto start, auto limit, auto delta) {
                using T = typename decltype(tag)::type;
                using C = decltype(start);
                y = Tensor(dtype_of<T>, {range_count(start, limit, delta)});
                const auto to = y.data<T>();
                for (size_t i = 0; i < to.size(); ++i) {
                  const auto steps =
                      wrapping(static_cast<C>(i), delta, [](auto a, auto b) { return a * b; });
                  to[i] = stored<T>(wrapping(start, steps, [](auto a, auto b) { return a + b; }));
                }
              });
  return one_result(std::move(y));
}

// ---- Size, EyeLike ----------------------------------------------------------------------------

void infer_size(InferContext& context) {
  context.set_output(0, {DType::int64, Shape{}});
  if (const auto shape = context.node.input_type(0).concrete_shape()) {
    context.set_constant(0, Tensor::scalar(element_count(*shape)));
  }
}

std::vector<Tensor> size_reference(const ReferenceCall& call) {
  return one_result(Tensor::scalar(call.input(0).size()));
}

void infer_eye_like(InferContext& context) {
  const NodeView& node = context.node;
  const TensorType& x = node.input_type(0);
  if (x.shape && x.shape->size() != 2) {
    throw input_error(fmt::format("EyeLike of a tensor of rank {}, expected 2", x.shape->size()));
  }
  const DType dtype =
      node.attributes().has("dtype") ? dtype_attribute(node, "dtype", DType::float32) : x.dtype;
  context.set_output(0, {dtype, x.shape});
}

std::vector<Tensor> eye_like_reference(const ReferenceCall& call) {
  const Shape& shape = call.input(0).shape();
  const int64_t k = call.node.attributes().integer("k", 0);
  const DType dtype = dtype_attribute(call.node, "dtype", call.input(0).dtype());
  Tensor ones(DType::int8, shape);
  for (int64_t row = 0; row < shape[0]; ++row) {
    const auto column = checked_add(row, k);
    if (!column || *column < 0 || *column >= shape[1]) continue;
    ones.data<int8_t>()[static_cast<size_t>(row * shape[1] + *column)] = 1;
  }
  return one_result(cast(ones, dtype));
}

// ---- OneHot -----------------------------------------------------------------------------------

int64_t checked_depth(const Tensor& depth) {
  const int64_t count = to_int64s(depth)[0];
  if (count < 1 || count > kMostExtent) throw input_error(fmt::format("a depth of {}", count));
  return count;
}

void infer_one_hot(InferContext& context) {
  const NodeView& node = context.node;
  check_single(node, 1, "the depth");
  const auto values = node.input_type(2).concrete_shape();
  if (values && *values != Shape{2}) {
    throw input_error("the values are " + to_string(node.input_type(2)) +
                      ", expected two: off and on");
  }
  TensorType type{node.input_type(2).dtype, node.input_type(0).shape};
  if (type.shape) {
    const auto rank = static_cast<int64_t>(type.shape->size()) + 1;
    const int64_t axis = normalized_axis(node.attributes().integer("axis", -1), rank);
    const Constant depth = node.input_constant(1);
    type.shape->insert(type.shape->begin() + axis,
                       depth != nullptr ? Dim{checked_depth(*depth), {}} : Dim{});
  }
  context.set_output(0, std::move(type));
}

std::vector<Tensor> one_hot_reference(const ReferenceCall& call) {
  const Tensor& values = call.input(2);
  const int64_t depth = checked_depth(call.input(1));
  const std::vector<int64_t> indices = to_int64s(call.input(0));
  Shape shape = call.input(0).shape();
  const auto axis = static_cast<size_t>(normalized_axis(call.node.attributes().integer("axis", -1),
                                                        static_cast<int64_t>(shape.size()) + 1));
  int64_t inner = 1;
  for (size_t d = axis; d < shape.size(); ++d) inner *= shape[d];
  shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(axis), depth);
  const size_t width = moved_bytes(values.dtype());
  Tensor y(values.dtype(), shape);
  const auto put = [&](int64_t at, size_t value) {
    std::memcpy(y.raw() + static_cast<size_t>(at) * width, values.raw() + value * width, width);
  };
  for (int64_t i = 0; i < y.size(); ++i) put(i, 0);
  // What is outside of the depth is off everywhere, as before 11 what is negative.
  const bool wraps = call.node.opset() >= 11;
  for (size_t i = 0; i < indices.size(); ++i) {
    const int64_t hot = indices[i] < 0 && wraps ? indices[i] + depth : indices[i];
    if (hot < 0 || hot >= depth) continue;
    const auto place = static_cast<int64_t>(i);
    put((place / inner * depth + hot) * inner + place % inner, 1);
  }
  return one_result(std::move(y));
}

OpDef record(const char* type, int since, int inputs, void (*infer)(InferContext&),
             std::vector<Tensor> (*reference)(const ReferenceCall&)) {
  return {.key = {"", type},
          .since_version = since,
          .inputs = {inputs, inputs},
          .outputs = {1, 1},
          .infer = infer,
          .reference = reference};
}

}  // namespace

void register_fill(OpRegistry& ops) {
  ops.add(record("ConstantOfShape", 9, 1, infer_constant_of_shape, constant_of_shape_reference));
  ops.add(record("Range", 11, 3, infer_range, range_reference));
  ops.add(record("Size", 1, 1, infer_size, size_reference));
  ops.add(record("EyeLike", 9, 1, infer_eye_like, eye_like_reference));
  ops.add(record("OneHot", 9, 3, infer_one_hot, one_hot_reference));
}

}  // namespace qtool
