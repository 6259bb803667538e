// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>
#include <utility>

#include "numerics/scan.h"
#include "numerics/stats.h"
#include "support/checked.h"
#include "support/simd.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

namespace qtool {

namespace {

constexpr size_t kBlock = 4096;
constexpr size_t kTables = 4;
constexpr size_t kLane = 16;
constexpr size_t kCountsInTable = size_t{1} << 16;  // at most, in all tables: none overflows

/// floor(value / 2^exponent), exact, or a number that is far beyond every grid.
int64_t floor_bin(double value, int exponent) {
  constexpr double kFar = 0x1p40;
  return static_cast<int64_t>(std::clamp(std::floor(std::ldexp(value, -exponent)), -kFar, kFar));
}

/// The bin that holds `bin` on a grid coarser by 2^shift; at 62 all of them are 0 or -1.
int64_t coarser(int64_t bin, int shift) { return bin >> std::min(shift, 62); }

/// Whether the grid with this exponent holds 0 and both bins in kBins consecutive ones.
bool fits(int64_t low_bin, int64_t high_bin) {
  return std::max<int64_t>(high_bin, 0) - std::min<int64_t>(low_bin, 0) < Histogram::kBins;
}

/// The bins of a block's values, counted from `first`, in float alone. `inverse` is 2^-k: the
/// product is exact unless it is denormal, and then only its sign matters, which the comparison
/// takes from the value.
QTOOL_SIMD void find_bins(const float* values, size_t count, float inverse, float width,
                          int32_t first, uint16_t* bins) {
  for (size_t i = 0; i < count; ++i) {
    const auto truncated = static_cast<int32_t>(values[i] * inverse);
    const int32_t above = values[i] < static_cast<float>(truncated) * width ? 1 : 0;
    bins[i] = static_cast<uint16_t>(truncated - above - first);
  }
}

QTOOL_SIMD void add_tables(const uint16_t* tables, size_t bins, uint64_t* totals) {
  for (size_t bin = 0; bin < bins; ++bin) {
    uint32_t sum = 0;
    for (size_t t = 0; t < kTables; ++t) sum += tables[t * Histogram::kBins + bin];
    totals[bin] += sum;
  }
}

#if defined(__x86_64__) && defined(__GNUC__)
bool drops_zeros() {
  static const bool known = __builtin_cpu_supports("avx512f") != 0;
  return known;
}

/// Copies what is not 0, from count values to at most as many and kLane - 1 more.
__attribute__((target("avx512f"))) size_t drop_zeros(const float* values, size_t count, float* to) {
  size_t kept = 0;
  for (size_t i = 0; i < count; i += kLane) {
    const size_t left = std::min(kLane, count - i);
    const auto exists = static_cast<__mmask16>((1U << left) - 1);
    const __m512 some = _mm512_maskz_loadu_ps(exists, values + i);
    const __mmask16 keep = _mm512_cmp_ps_mask(some, _mm512_setzero_ps(), _CMP_NEQ_UQ);
    _mm512_storeu_ps(to + kept, _mm512_maskz_compress_ps(keep, some));
    kept += static_cast<size_t>(std::popcount(static_cast<uint32_t>(keep)));
  }
  return kept;
}
#else
bool drops_zeros() { return false; }
size_t drop_zeros(const float*, size_t, float*) { return 0; }
#endif

struct Bins {
  int64_t first;
  size_t count;
  float inverse;
  float width;
};

/// Adds to totals[i] what lies in the bin i from the first on, the zeros only where they are not
/// `sparse`.
void count_values(std::span<const float> values, const Bins& grid, bool sparse, uint64_t* totals) {
  std::array<float, kBlock + kLane> others;
  std::array<uint16_t, kBlock> bins;
  // Neighbours count in different tables: a run of equal values, such as the zeros after a ReLU,
  // would otherwise wait for its own last store each time.
  std::array<uint16_t, kTables * Histogram::kBins> tables;
  const bool many = values.size() >= kTables * grid.count;
  if (many) {
    for (size_t t = 0; t < kTables; ++t) {
      std::fill_n(tables.begin() + static_cast<std::ptrdiff_t>(t * Histogram::kBins), grid.count,
                  uint16_t{0});
    }
  }
  for (size_t begin = 0; begin < values.size(); begin += kBlock) {
    const float* at = values.data() + begin;
    size_t count = std::min(kBlock, values.size() - begin);
    if (sparse) {
      count = drop_zeros(at, count, others.data());
      at = others.data();
    }
    find_bins(at, count, grid.inverse, grid.width, static_cast<int32_t>(grid.first), bins.data());
    size_t i = 0;
    for (; many && i + kTables <= count; i += kTables) {
      for (size_t t = 0; t < kTables; ++t) ++tables[t * Histogram::kBins + bins[i + t]];
    }
    for (; i < count; ++i) ++totals[bins[i]];
  }
  if (many) add_tables(tables.data(), grid.count, totals);
}

}  // namespace

int64_t Histogram::bin_of(float value) const {
  return floor_bin(static_cast<double>(value), exponent_);
}

uint64_t Histogram::count(int64_t bin) const {
  const int64_t index = bin - first_bin_;
  if (index < 0 || index >= static_cast<int64_t>(counts_.size())) return 0;
  return counts_[static_cast<size_t>(index)];
}

uint64_t Histogram::total() const {
  return std::accumulate(counts_.begin(), counts_.end(), uint64_t{0});
}

/// Makes the grid coarse enough for what it holds and for the two bounds. Starting from the
/// present exponent gives the least one of the union, as a coarser grid never needs more bins.
void Histogram::coarsen_to_hold(double low, double high) {
  int exponent = exponent_;
  const int64_t last_bin = first_bin_ + static_cast<int64_t>(counts_.size()) - 1;
  const auto holds_all = [&](int candidate) {
    int64_t first = floor_bin(low, candidate);
    int64_t last = floor_bin(high, candidate);
    if (!counts_.empty()) {
      first = std::min(first, coarser(first_bin_, candidate - exponent_));
      last = std::max(last, coarser(last_bin, candidate - exponent_));
    }
    return fits(first, last);
  };
  while (!holds_all(exponent)) ++exponent;
  if (exponent == exponent_) return;
  const int shift = exponent - std::exchange(exponent_, exponent);
  if (counts_.empty()) return;
  const int64_t first = coarser(first_bin_, shift);
  std::vector<uint64_t> merged(static_cast<size_t>(coarser(last_bin, shift) - first + 1), 0);
  for (int64_t bin = first_bin_; bin <= last_bin; ++bin) {
    merged[static_cast<size_t>(coarser(bin, shift) - first)] += count(bin);
  }
  first_bin_ = first;
  counts_ = std::move(merged);
}

void Histogram::extend_to(int64_t first, int64_t last) {
  if (counts_.empty()) first_bin_ = first;
  if (first < first_bin_) {
    counts_.insert(counts_.begin(), static_cast<size_t>(first_bin_ - first), 0);
    first_bin_ = first;
  }
  const auto size = static_cast<size_t>(last - first_bin_ + 1);
  if (size > counts_.size()) counts_.resize(size, 0);
}

void Histogram::observe(std::span<const float> values) {
  if (values.empty()) return;
  const Scan seen = scan(values);
  QTOOL_CHECK(seen.finite, "a value that is not finite");
  observe(values, seen.range, seen.zeros);
}

void Histogram::observe(std::span<const float> values, Range range, uint64_t zeros) {
  if (values.empty()) return;
  coarsen_to_hold(static_cast<double>(range.low), static_cast<double>(range.high));
  const int64_t first = bin_of(range.low);
  const int64_t last = bin_of(range.high);
  extend_to(first, last);
  uint64_t* const totals = counts_.data() + (first - first_bin_);
  const Bins bins{first, static_cast<size_t>(last - first + 1), std::ldexp(1.0F, -exponent_),
                  std::ldexp(1.0F, exponent_)};
  const bool sparse = zeros > values.size() / 4 && drops_zeros();
  if (sparse) totals[-first] += zeros;
  for (size_t begin = 0; begin < values.size(); begin += kCountsInTable) {
    count_values(values.subspan(begin, std::min(kCountsInTable, values.size() - begin)), bins,
                 sparse, totals);
  }
}

void Histogram::merge(const Histogram& other) {
  if (other.empty()) return;
  // Its bins' edges stand for the values: both ends hold some, and floor() of any value in a bin
  // is floor() of the bin's lower edge on every coarser grid.
  const auto edge = [&](int64_t bin) {
    return std::ldexp(static_cast<double>(bin), other.exponent_);
  };
  const int64_t other_last = other.first_bin_ + static_cast<int64_t>(other.counts_.size()) - 1;
  if (counts_.empty() || exponent_ < other.exponent_) {
    Histogram mine = std::exchange(*this, other);
    merge(mine);
    return;
  }
  coarsen_to_hold(edge(other.first_bin_), edge(other_last));
  const int shift = exponent_ - other.exponent_;
  extend_to(coarser(other.first_bin_, shift), coarser(other_last, shift));
  for (int64_t bin = other.first_bin_; bin <= other_last; ++bin) {
    counts_[static_cast<size_t>(coarser(bin, shift) - first_bin_)] += other.count(bin);
  }
}

Histogram Histogram::from_parts(int exponent, int64_t first_bin, std::vector<uint64_t> counts) {
  Histogram result;
  if (counts.empty()) {
    if (exponent == kMinExponent && first_bin == 0) return result;
    throw input_error("a histogram without counts has exponent " + std::to_string(kMinExponent) +
                      " and first bin 0");
  }
  if (exponent < kMinExponent || exponent > kMaxExponent) {
    throw input_error("a histogram with the exponent " + std::to_string(exponent));
  }
  if (counts.front() == 0 || counts.back() == 0) {
    throw input_error("a histogram that begins or ends with an empty bin");
  }
  const auto size = static_cast<int64_t>(counts.size());
  if (first_bin < -kBins || first_bin > kBins || !fits(first_bin, first_bin + size - 1)) {
    throw input_error("a histogram of " + std::to_string(size) + " bins from bin " +
                      std::to_string(first_bin) + " on; " + std::to_string(kBins) +
                      " bins have to hold them and 0");
  }
  // On the next finer grid the outermost values lie at most this far apart.
  if (exponent > kMinExponent && fits(2 * first_bin, 2 * (first_bin + size - 1) + 1)) {
    throw input_error("a histogram that fits a finer grid than 2^" + std::to_string(exponent));
  }
  uint64_t total = 0;
  for (const uint64_t count : counts) {
    const auto sum = checked_add(total, count);
    if (!sum) throw input_error("a histogram with more than 2^64 elements");
    total = *sum;
  }
  result.exponent_ = exponent;
  result.first_bin_ = first_bin;
  result.counts_ = std::move(counts);
  return result;
}

}  // namespace qtool
