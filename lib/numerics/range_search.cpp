// SPDX-License-Identifier: Apache-2.0
#include "numerics/range_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

namespace qtool {

namespace {

/// How far each bound is shrunk: to 2^-low and 2^-high of its full length.
struct Shrink {
  double low = 0;
  double high = 0;
};

enum class Move { both, low, high };

class Search {
 public:
  Search(const Range& full, QuantType type, Scheme scheme, SearchLimits limits,
         const std::function<double(const QuantParams&)>& error)
      : full_(full), type_(type), scheme_(scheme), octaves_(limits.octaves), error_(error) {
    attempt({});
  }

  /// Tries the best with the moved bounds at `count` positions `step` apart, in octaves, around
  /// where they are. Returns whether that found a better one.
  bool around(Move move, double step, int count) {
    const double center = move == Move::low ? best_.low : best_.high;
    return line(move, center - count * step, center + count * step, step);
  }

  /// The same over all positions.
  bool everywhere(Move move, double step) { return line(move, 0, octaves_, step); }

  Range best() const { return shrunk(best_); }

 private:
  Range shrunk(const Shrink& shrink) const {
    const double low = static_cast<double>(full_.low) * std::exp2(-shrink.low);
    const double high = static_cast<double>(full_.high) * std::exp2(-shrink.high);
    if (scheme_ == Scheme::asymmetric) return {static_cast<float>(low), static_cast<float>(high)};
    // One threshold for both sides: the shorter side is cut only when it is reached.
    const double threshold =
        std::max(-static_cast<double>(full_.low), static_cast<double>(full_.high)) *
        std::exp2(-shrink.high);
    return {std::max(full_.low, static_cast<float>(-threshold)),
            std::min(full_.high, static_cast<float>(threshold))};
  }

  bool attempt(const Shrink& shrink) {
    const Range range = shrunk(shrink);
    const double error = error_(choose_params(std::span(&range, 1), type_, scheme_));
    if (!(error < least_)) return false;
    least_ = error;
    best_ = shrink;
    return true;
  }

  bool line(Move move, double first, double last, double step) {
    const Shrink start = best_;
    bool found = false;
    for (int i = 0; first + i * step <= last; ++i) {
      const double place = first + i * step;
      if (place < 0 || place > octaves_) continue;
      found |=
          attempt({move == Move::high ? start.low : place, move == Move::low ? start.high : place});
    }
    return found;
  }

  Range full_;
  QuantType type_;
  Scheme scheme_;
  double octaves_;
  const std::function<double(const QuantParams&)>& error_;
  double least_ = std::numeric_limits<double>::infinity();
  Shrink best_;
};

}  // namespace

Range search_range(const Range& full, QuantType type, Scheme scheme, SearchLimits limits,
                   const std::function<double(const QuantParams&)>& error) {
  if (full.low == 0 && full.high == 0) return full;
  Search search(full, type, scheme, limits, error);
  const bool two_sided = full.low < 0 && full.high > 0;
  if (!two_sided || scheme != Scheme::asymmetric) {
    search.everywhere(Move::both, 1.0 / 16);
    search.around(Move::both, 1.0 / 128, 8);
    return search.best();
  }
  search.everywhere(Move::both, 1.0 / 8);
  for (int round = 0; round < 2; ++round) {
    const bool high_moved = search.everywhere(Move::high, 1.0 / 8);
    const bool low_moved = search.everywhere(Move::low, 1.0 / 8);
    if (!high_moved && !low_moved) break;
  }
  for (const double step : {1.0 / 32, 1.0 / 128}) {
    search.around(Move::high, step, 4);
    search.around(Move::low, step, 4);
  }
  return search.best();
}

}  // namespace qtool
