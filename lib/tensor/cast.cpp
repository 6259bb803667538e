// SPDX-License-Identifier: Apache-2.0
#include "tensor/cast.h"

#include <algorithm>

namespace qtool {

namespace {

/// 4-bit elements one to a byte: int8 or uint8.
Tensor unpacked(const Tensor& tensor) {
  Tensor wide(is_signed(tensor.dtype()) ? DType::int8 : DType::uint8, tensor.shape());
  for (int64_t i = 0; i < tensor.size(); ++i) {
    const auto byte = static_cast<uint8_t>(tensor.raw()[i / 2]);
    auto nibble = static_cast<uint8_t>(i % 2 == 0 ? byte & 15 : byte >> 4);
    if (is_signed(tensor.dtype()) && nibble > 7) nibble = static_cast<uint8_t>(nibble | 0xF0);
    wide.raw()[i] = static_cast<std::byte>(nibble);
  }
  return wide;
}

Tensor packed(const Tensor& tensor, DType to) {
  const int64_t low = to == DType::int4 ? -8 : 0;
  const int64_t high = to == DType::int4 ? 7 : 15;
  Tensor narrow_tensor(to, tensor.shape());
  const std::vector<int64_t> values = to_int64s(tensor);
  for (size_t i = 0; i < values.size(); ++i) {
    const auto nibble = static_cast<uint8_t>(std::clamp(values[i], low, high)) & 15;
    narrow_tensor.raw()[i / 2] |= static_cast<std::byte>(i % 2 == 0 ? nibble : nibble << 4);
  }
  return narrow_tensor;
}

bool is_int4(DType dtype) { return dtype == DType::int4 || dtype == DType::uint4; }

template <class To>
std::vector<To> to_vector(const Tensor& tensor) {
  if (is_int4(tensor.dtype())) return to_vector<To>(unpacked(tensor));
  return visit_dtype(tensor.dtype(), [&](auto tag) {
    using From = typename decltype(tag)::type;
    std::vector<To> result;
    result.reserve(static_cast<size_t>(tensor.size()));
    for (const From value : tensor.data<From>()) result.push_back(converted<To>(value));
    return result;
  });
}

}  // namespace

void cast_elements(DType from, const void* x, DType to, void* y, int64_t count) {
  visit_dtype(from, [&](auto from_tag) {
    visit_dtype(to, [&](auto to_tag) {
      using From = typename decltype(from_tag)::type;
      using To = typename decltype(to_tag)::type;
      const auto* source = static_cast<const From*>(x);
      std::transform(source, source + count, static_cast<To*>(y), converted<To, From>);
    });
  });
}

Tensor cast(const Tensor& tensor, DType to) {
  if (tensor.dtype() == to) return tensor.clone();
  if (is_int4(tensor.dtype())) return cast(unpacked(tensor), to);
  if (is_int4(to)) return packed(tensor, to);
  Tensor result(to, tensor.shape());
  cast_elements(tensor.dtype(), tensor.raw(), to, result.raw(), tensor.size());
  return result;
}

std::vector<double> to_doubles(const Tensor& tensor) { return to_vector<double>(tensor); }
std::vector<int64_t> to_int64s(const Tensor& tensor) { return to_vector<int64_t>(tensor); }
std::vector<float> to_floats(const Tensor& tensor) { return to_vector<float>(tensor); }

}  // namespace qtool
