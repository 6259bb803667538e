// SPDX-License-Identifier: Apache-2.0
// Pow (7: one type, 12: any two), Mod (10), PRelu (7; 9 adds integers), BitShift (11),
// BitwiseAnd, BitwiseOr, BitwiseXor (18).
#include <cmath>
#include <limits>

#include "ops/binary.h"
#include "ops/families.h"
#include "ops/gradients/gradients.h"
#include "tensor/cast.h"

namespace qtool {

namespace {

// ---- Pow --------------------------------------------------------------------------------------

/// By squaring; wraps as multiplication does. exponent >= 0.
template <class T>
T integer_power(T base, int64_t exponent) {
  const auto times = [](auto x, auto y) { return x * y; };
  T result{1};
  for (; exponent > 0; exponent /= 2) {
    if (exponent % 2 != 0) result = wrapping(result, base, times);
    base = wrapping(base, base, times);
  }
  return result;
}

/// Integers to integers stay exact; all else goes through double and back as Cast does.
template <class T>
Tensor power(const Tensor& base, const Tensor& exponent) {
  const auto real = [](T x, double y) {
    return converted<T>(std::pow(static_cast<double>(loaded(x)), y));
  };
  if constexpr (std::is_integral_v<T>) {
    if (is_integer(exponent.dtype())) {
      return reference::broadcast_elements<T, int64_t, T>(
          base, cast(exponent, DType::int64), [&](T x, int64_t y) {
            return y >= 0 ? integer_power(x, y) : real(x, static_cast<double>(y));
          });
    }
  }
  return reference::broadcast_elements<T, double, T>(base, cast(exponent, DType::float64), real);
}

std::vector<Tensor> pow_reference(const ReferenceCall& call) {
  return one_result(visit_kinds<kNumbers>(call.input(0).dtype(), [&](auto tag) {
    return power<typename decltype(tag)::type>(call.input(0), call.input(1));
  }));
}

OpDef pow_record(int since, void (*infer)(InferContext&)) {
  OpDef def = binary_record("Pow", since, pow_reference);
  def.infer = infer;
  def.tolerance = kElementary;
  def.fusion = Fusion::unary;
  def.lower = lower_binary<BinaryOp::power>;
  def.gradient = power_gradient;
  return def;
}

// ---- Mod --------------------------------------------------------------------------------------

/// C's remainder has the sign of a, ONNX's Mod that of b.
template <bool c_remainder>
struct Remainder {
  template <class T>
  static T of(T a, T b) {
    if constexpr (std::is_floating_point_v<T>) {
      return std::fmod(a, b);
    } else {
      if (b == 0) throw input_error("an integer remainder of a division by zero");
      if constexpr (std::is_signed_v<T>) {
        if (b == -1) return T{};  // the quotient of the lowest integer would not fit
      }
      const T rest = static_cast<T>(a % b);
      const bool other_sign = rest != 0 && (rest < 0) != (b < 0);
      return !c_remainder && other_sign ? static_cast<T>(rest + b) : rest;
    }
  }
};

bool c_remainder(const NodeView& node) { return node.attributes().integer("fmod", 0) != 0; }

void infer_mod(InferContext& context) {
  if (!c_remainder(context.node) && is_floating(context.node.input_type(0).dtype)) {
    throw input_error("floats need fmod=1", "ONNX defines fmod=0 for integers only.");
  }
  infer_binary(context);
}

std::vector<Tensor> mod_reference(const ReferenceCall& call) {
  return c_remainder(call.node) ? binary_reference<kNumbers, Remainder<true>>(call)
                                : binary_reference<kIntegers, Remainder<false>>(call);
}

// ---- PRelu ------------------------------------------------------------------------------------

struct Sloped {
  template <class T>
  static T of(T x, T slope) {
    return x < T{} ? wrapping(x, slope, [](auto a, auto b) { return a * b; }) : x;
  }
};

/// The slope is broadcast to x, not x to the slope.
void infer_prelu(InferContext& context) {
  const NodeView& node = context.node;
  check_same_dtype(node, 2);
  const auto& x = node.input_type(0).shape;
  const auto& slope = node.input_type(1).shape;
  if (x && slope) {
    const std::vector<Dim> both = broadcast_dims(*x, *slope);
    bool fits = both.size() == x->size();
    for (size_t d = 0; fits && d < both.size(); ++d) {
      fits = !both[d].value || !(*x)[d].value || both[d] == (*x)[d];
    }
    if (!fits) {
      throw input_error("the slope " + to_string(node.input_type(1)) + " is larger than " +
                        to_string(node.input_type(0)));
    }
  }
  infer_same_type(context);
}

OpDef prelu_record() {
  OpDef def = binary_record("PRelu", 7, binary_reference<kNumbers, Sloped>);
  def.infer = infer_prelu;
  def.fusion = Fusion::unary;
  def.lower = lower_binary<BinaryOp::prelu>;
  def.gradient = prelu_gradient;
  return def;
}

// ---- bits -------------------------------------------------------------------------------------

struct BitsOfBoth {
  template <class T>
  static T of(T a, T b) {
    return static_cast<T>(a & b);
  }
};
struct BitsOfEither {
  template <class T>
  static T of(T a, T b) {
    return static_cast<T>(a | b);
  }
};
struct BitsOfOne {
  template <class T>
  static T of(T a, T b) {
    return static_cast<T>(a ^ b);
  }
};

/// All bits are gone where C leaves the result open.
template <bool left>
struct Shifted {
  template <class T>
  static T of(T a, T b) {
    if (b >= std::numeric_limits<T>::digits) return T{};
    return left ? static_cast<T>(a << b) : static_cast<T>(a >> b);
  }
};

bool shifts_left(const NodeView& node) {
  const std::string direction = node.attributes().text("direction", "");
  if (direction != "LEFT" && direction != "RIGHT") {
    throw input_error("\"direction\" is \"" + direction + "\", not \"LEFT\" or \"RIGHT\"");
  }
  return direction == "LEFT";
}

void infer_shift(InferContext& context) {
  shifts_left(context.node);
  infer_binary(context);
}

std::vector<Tensor> shift_reference(const ReferenceCall& call) {
  return shifts_left(call.node) ? binary_reference<kUnsigned, Shifted<true>>(call)
                                : binary_reference<kUnsigned, Shifted<false>>(call);
}

}  // namespace

void register_arithmetic(OpRegistry& ops) {
  ops.add(pow_record(7, infer_binary));
  ops.add(pow_record(12, infer_broadcast));

  OpDef mod = binary_record("Mod", 10, mod_reference);
  mod.infer = infer_mod;
  mod.fusion = Fusion::unary;
  mod.lower = lower_binary<BinaryOp::remainder>;
  ops.add(std::move(mod));

  ops.add(prelu_record());

  OpDef shift = binary_record("BitShift", 11, shift_reference);
  shift.infer = infer_shift;
  ops.add(std::move(shift));
  ops.add(binary_record("BitwiseAnd", 18, binary_reference<kIntegers, BitsOfBoth>));
  ops.add(binary_record("BitwiseOr", 18, binary_reference<kIntegers, BitsOfEither>));
  ops.add(binary_record("BitwiseXor", 18, binary_reference<kIntegers, BitsOfOne>));
}

}  // namespace qtool
