// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <charconv>
#include <functional>
#include <string_view>

#include "numerics/stats.h"
#include "support/text.h"

namespace qtool {

namespace {

constexpr int kLimbBits = 32;
constexpr int kBias = 1074;  // bit 0 of limb 0 stands for 2^-1074, the least double
constexpr int kMantissaBits = 53;
constexpr uint32_t kPendingLimit = uint32_t{1} << 30;  // each adds less than 2^32 to a limb

}  // namespace

void ExactSum::add(double term) {
  QTOOL_CHECK(std::isfinite(term), "a term that is not finite");
  if (term == 0) return;
  if (pending_ >= kPendingLimit) assign(normalised());
  ++pending_;
  const auto word = std::bit_cast<uint64_t>(term);
  const int field = static_cast<int>(word >> 52) & 0x7FF;
  const uint64_t fraction = word & ((uint64_t{1} << 52) - 1);
  const uint64_t mantissa = field == 0 ? fraction : fraction | (uint64_t{1} << 52);
  const int place = field == 0 ? 0 : field - 1;
  const size_t limb = static_cast<size_t>(place / kLimbBits);
  const int shift = place % kLimbBits;
  // Three limbs hold 53 bits at any shift; split before shifting so that nothing is lost.
  const uint64_t low = (mantissa & 0xFFFFFFFFU) << shift;
  const uint64_t high = ((mantissa >> kLimbBits) << shift) + (low >> kLimbBits);
  const int64_t sign = std::signbit(term) ? -1 : 1;
  int64_t* const at = window(limb, limb + 3);
  at[0] += sign * static_cast<int64_t>(low & 0xFFFFFFFFU);
  at[1] += sign * static_cast<int64_t>(high & 0xFFFFFFFFU);
  at[2] += sign * static_cast<int64_t>(high >> kLimbBits);
}

int64_t* ExactSum::window(size_t begin, size_t end) {
  if (limbs_.empty()) first_ = begin;
  if (begin < first_) {
    limbs_.insert(limbs_.begin(), first_ - begin, 0);
    first_ = begin;
  }
  if (end > first_ + limbs_.size()) limbs_.resize(end - first_, 0);
  return limbs_.data() + (begin - first_);
}

ExactSum::Limbs ExactSum::carried(const Limbs& limbs) {
  Limbs result{};
  int64_t carry = 0;
  for (size_t i = 0; i < limbs.size(); ++i) {
    const int64_t sum = limbs[i] + carry;
    carry = sum >> kLimbBits;  // rounds down, so that what stays is never negative
    result[i] = i + 1 < limbs.size() ? sum & 0xFFFFFFFF : sum;
  }
  return result;
}

ExactSum::Limbs ExactSum::normalised() const {
  Limbs all{};
  std::copy(limbs_.begin(), limbs_.end(), all.begin() + static_cast<std::ptrdiff_t>(first_));
  return carried(all);
}

ExactSum::Limbs ExactSum::absolute(const Limbs& normalised) {
  if (normalised.back() >= 0) return normalised;
  Limbs result;
  std::transform(normalised.begin(), normalised.end(), result.begin(), std::negate<>());
  return carried(result);
}

void ExactSum::assign(const Limbs& limbs) {
  *this = {};
  for (size_t i = 0; i < limbs.size(); ++i) {
    if (limbs[i] != 0) *window(i, i + 1) = limbs[i];
  }
  pending_ = 1;
}

void ExactSum::merge(const ExactSum& other) {
  if (other.pending_ >= kPendingLimit) {
    ExactSum addend;
    addend.assign(other.normalised());
    merge(addend);
    return;
  }
  if (other.limbs_.empty()) return;
  if (pending_ >= kPendingLimit) assign(normalised());
  int64_t* const at = window(other.first_, other.first_ + other.limbs_.size());
  for (size_t i = 0; i < other.limbs_.size(); ++i) at[i] += other.limbs_[i];
  pending_ += other.pending_;
}

namespace {

/// The bits of a normalised, non-negative sum as one long integer.
struct Magnitude {
  std::span<const int64_t> limbs;

  bool bit(int place) const {
    return (limbs[static_cast<size_t>(place / kLimbBits)] >> (place % kLimbBits) & 1) != 0;
  }
  int highest() const {  ///< -1 for zero
    for (size_t i = limbs.size(); i-- > 0;) {
      const auto limb = static_cast<uint64_t>(limbs[i]);
      if (limb != 0)
        return static_cast<int>(i) * kLimbBits + static_cast<int>(std::bit_width(limb)) - 1;
    }
    return -1;
  }
  int lowest() const {  ///< of a sum that is not zero
    int place = 0;
    while (!bit(place)) ++place;
    return place;
  }
};

}  // namespace

double ExactSum::value() const {
  const Limbs plain = normalised();
  const bool negative = plain.back() < 0;
  const Limbs positive = absolute(plain);
  const Magnitude magnitude{positive};
  const int highest = magnitude.highest();
  if (highest < 0) return 0;
  const int lowest_kept = std::max(0, highest - kMantissaBits + 1);
  uint64_t mantissa = 0;
  for (int place = highest; place >= lowest_kept; --place) {
    mantissa = 2 * mantissa + (magnitude.bit(place) ? 1 : 0);
  }
  if (lowest_kept > 0 && magnitude.bit(lowest_kept - 1)) {
    const bool above_half = magnitude.lowest() < lowest_kept - 1;
    if (above_half || mantissa % 2 == 1) ++mantissa;
  }
  const double result = std::ldexp(static_cast<double>(mantissa), lowest_kept - kBias);
  return negative ? -result : result;
}

std::string ExactSum::to_text() const {
  const Limbs plain = normalised();
  const bool negative = plain.back() < 0;
  const Limbs positive = absolute(plain);
  const Magnitude magnitude{positive};
  const int highest = magnitude.highest();
  if (highest < 0) return "0x0p0";
  const int lowest = magnitude.lowest();
  std::string digits;
  for (int group = (highest - lowest) / 4; group >= 0; --group) {
    int digit = 0;
    for (int place = 3; place >= 0; --place) {
      const int at = lowest + 4 * group + place;
      digit = 2 * digit + (at <= highest && magnitude.bit(at) ? 1 : 0);
    }
    digits += "0123456789abcdef"[digit];
  }
  return (negative ? "-0x" : "0x") + digits + "p" + std::to_string(lowest - kBias);
}

ExactSum ExactSum::from_text(const std::string& text) {
  const auto wrong = [&] {
    return input_error(fmt::format("\"{}\" is not an exact sum", text.substr(0, 80)),
                       "It looks like -0x3p-1.");
  };
  const bool negative = text.starts_with('-');
  const size_t begin = negative ? 3 : 2;
  const size_t p = text.find('p');
  if (text.compare(begin - 2, 2, "0x") != 0 || p == std::string::npos || p <= begin) throw wrong();
  int exponent = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data() + p + 1, end, exponent);
  if (parsed.ec != std::errc{} || parsed.ptr != end) throw wrong();
  // Checked as text, so that a hostile one of a million digits costs nothing.
  const size_t digits = p - begin;
  if (digits > kLimbs * kLimbBits / 4 || exponent < -kBias || exponent > kLimbs * kLimbBits) {
    throw wrong();
  }
  ExactSum sum;
  for (size_t i = 0; i < digits; ++i) {
    const size_t digit = std::string_view("0123456789abcdef").find(text[begin + i]);
    const int place = exponent + kBias + 4 * static_cast<int>(digits - 1 - i);
    // The last limb keeps the sign and head room.
    if (digit > 15 || (digit > 0 && place + 4 > (kLimbs - 1) * kLimbBits)) throw wrong();
    if (digit == 0) continue;
    const uint64_t bits = static_cast<uint64_t>(digit) << (place % kLimbBits);
    const auto limb = static_cast<size_t>(place / kLimbBits);
    const int64_t sign = negative ? -1 : 1;
    int64_t* const at = sum.window(limb, limb + 2);
    at[0] += sign * static_cast<int64_t>(bits & 0xFFFFFFFFU);
    at[1] += sign * static_cast<int64_t>(bits >> kLimbBits);
    sum.pending_ = 1;
  }
  if (sum.to_text() != text) throw wrong();
  return sum;
}

}  // namespace qtool
