// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <type_traits>

#include "ops/shapes.h"
#include "tensor/cast.h"

namespace qtool {

// How references compute with elements of any type.

/// Sets of element types, to be or-ed.
inline constexpr unsigned kFloats = 1;  ///< float16, bfloat16, float, double
inline constexpr unsigned kSigned = 2;
inline constexpr unsigned kUnsigned = 4;
inline constexpr unsigned kBooleans = 8;
inline constexpr unsigned kIntegers = kSigned | kUnsigned;
inline constexpr unsigned kNumbers = kFloats | kIntegers;

template <class T>
inline constexpr unsigned kind_of = is_half<T> || std::is_floating_point_v<T> ? kFloats
                                    : std::is_same_v<T, bool>                 ? kBooleans
                                    : std::is_signed_v<T>                     ? kSigned
                                                                              : kUnsigned;

/// What elements of type T are computed as: themselves, halves as float.
template <class T>
using Computed = std::conditional_t<is_half<T>, float, T>;

template <class T>
Computed<T> loaded(T value) {
  if constexpr (is_half<T>) {
    return value.to_float();
  } else {
    return value;
  }
}

template <class T, class V>
T stored(V value) {
  if constexpr (is_half<T>) {
    return T::from(static_cast<float>(value));
  } else {
    return static_cast<T>(value);
  }
}

/// f(TypeTag<T>{}) for a dtype of `kinds`; f gives a Tensor. Errors (unsupported): another dtype.
template <unsigned kinds, class F>
Tensor visit_kinds(DType dtype, F&& f) {
  return visit_dtype(dtype, [&](auto tag) -> Tensor {
    using T = typename decltype(tag)::type;
    if constexpr ((kind_of<T> & kinds) != 0) {
      return f(tag);
    } else {
      throw unsupported_error("elements of type " + std::string(name(dtype)));
    }
  });
}

/// f of each element, as Computed<T> both ways.
template <unsigned kinds, class F>
Tensor map_elements(const Tensor& x, F f) {
  return visit_kinds<kinds>(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    Tensor y(x.dtype(), x.shape());
    std::ranges::transform(x.data<T>(), y.data<T>().begin(),
                           [&](T v) { return stored<T>(f(loaded(v))); });
    return y;
  });
}

/// Signed integers wrap: op on their unsigned counterparts, where it has the same low bits.
template <class T, class F>
T wrapping(T a, T b, F op) {
  if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    using U = std::conditional_t<(sizeof(T) < sizeof(uint32_t)), uint32_t, std::make_unsigned_t<T>>;
    return static_cast<T>(op(static_cast<U>(a), static_cast<U>(b)));
  } else {
    return op(a, b);
  }
}

}  // namespace qtool
