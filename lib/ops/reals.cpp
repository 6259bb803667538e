// SPDX-License-Identifier: Apache-2.0
#include "ops/reals.h"

#include "ops/elements.h"

namespace qtool {

std::vector<double> reals(const ReferenceCall& call, size_t slot) {
  const Tensor& tensor = call.input(slot);
  std::vector<double> values(static_cast<size_t>(tensor.size()));
  visit_kinds<kFloats>(tensor.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::ranges::transform(tensor.data<T>(), values.begin(),
                           [](T v) { return static_cast<double>(loaded(v)); });
    return Tensor();
  });
  return values;
}

Tensor real_tensor(DType dtype, Shape shape, const std::vector<double>& values) {
  return visit_kinds<kFloats>(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    Tensor tensor(dtype, std::move(shape));
    QTOOL_CHECK(values.size() == static_cast<size_t>(tensor.size()), "element count");
    std::ranges::transform(values, tensor.data<T>().begin(),
                           [](double v) { return converted<T>(v); });
    return tensor;
  });
}

std::vector<uint64_t> integers(const ReferenceCall& call, size_t slot) {
  const Tensor& tensor = call.input(slot);
  std::vector<uint64_t> values(static_cast<size_t>(tensor.size()));
  visit_kinds<kIntegers>(tensor.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::ranges::transform(tensor.data<T>(), values.begin(),
                           [](T v) { return static_cast<uint64_t>(v); });
    return Tensor();
  });
  return values;
}

Tensor integer_tensor(DType dtype, Shape shape, const std::vector<uint64_t>& values) {
  return visit_kinds<kIntegers>(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    Tensor tensor(dtype, std::move(shape));
    QTOOL_CHECK(values.size() == static_cast<size_t>(tensor.size()), "element count");
    std::ranges::transform(values, tensor.data<T>().begin(),
                           [](uint64_t v) { return static_cast<T>(v); });
    return tensor;
  });
}

}  // namespace qtool
