// SPDX-License-Identifier: Apache-2.0
#include "kernels/host/code_tile.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/onednn/primitives.h"
#include "support/simd.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define QTOOL_VNNI 1
#include <immintrin.h>
#define QTOOL_TARGET_VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
#endif

namespace qtool::code_tile {

namespace {

constexpr int64_t kQuad = 4;
constexpr int64_t kPanelQuad = kPanel * kQuad;  ///< bytes

/// Any strides, any edge.
void pack_any(const Matrix& right, int64_t inner, int64_t first, int64_t columns, int64_t quad,
              int8_t* to) {
  const uint8_t mask = right.flip ? 0x80 : 0;
  for (int64_t c = 0; c < kPanel; ++c) {
    for (int64_t i = 0; i < kQuad; ++i) {
      const int64_t k = quad * kQuad + i;
      const bool exists = first + c < columns && k < inner;
      const int64_t at = (first + c) * right.outer_stride + k * right.inner_stride;
      to[c * kQuad + i] = exists ? static_cast<int8_t>(right.codes[at] ^ mask) : int8_t{0};
    }
  }
}

QTOOL_SIMD void plain_multiply(const Tile& tile, int32_t* sums) {
  for (int64_t r = 0; r < tile.rows; ++r) {
    const uint8_t* row = tile.left + r * tile.left_stride;
    const auto row_add = static_cast<uint32_t>(tile.row_add[r]);
    for (int64_t p = 0; p < tile.panels; ++p) {
      uint32_t lane[kPanel];
      for (int64_t c = 0; c < kPanel; ++c) {
        lane[c] = static_cast<uint32_t>(tile.column_add[p * kPanel + c]) + row_add;
      }
      const int8_t* panel = tile.right + p * tile.quads * kPanelQuad;
      for (int64_t k = 0; k < tile.quads; ++k) {
        const uint8_t* a = row + k * kQuad;
        const int8_t* b = panel + k * kPanelQuad;
        for (int64_t c = 0; c < kPanel; ++c) {
          lane[c] += static_cast<uint32_t>(a[0] * b[c * kQuad] + a[1] * b[c * kQuad + 1] +
                                           a[2] * b[c * kQuad + 2] + a[3] * b[c * kQuad + 3]);
        }
      }
      for (int64_t c = 0; c < kPanel; ++c) {
        sums[r * kWidth + p * kPanel + c] = static_cast<int32_t>(lane[c]);
      }
    }
  }
}

#ifdef QTOOL_VNNI

/// Four rows of the inner dimension, 16 columns side by side: bytes of a column come together.
void interleave(const uint8_t* rows, int64_t stride, __m128i mask, int8_t* to) {
  __m128i row[4];
  for (int64_t i = 0; i < kQuad; ++i) {
    row[i] =
        _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(rows + i * stride)), mask);
  }
  const __m128i low01 = _mm_unpacklo_epi8(row[0], row[1]);
  const __m128i low23 = _mm_unpacklo_epi8(row[2], row[3]);
  const __m128i high01 = _mm_unpackhi_epi8(row[0], row[1]);
  const __m128i high23 = _mm_unpackhi_epi8(row[2], row[3]);
  auto* out = reinterpret_cast<__m128i*>(to);
  _mm_storeu_si128(out, _mm_unpacklo_epi16(low01, low23));
  _mm_storeu_si128(out + 1, _mm_unpackhi_epi16(low01, low23));
  _mm_storeu_si128(out + 2, _mm_unpacklo_epi16(high01, high23));
  _mm_storeu_si128(out + 3, _mm_unpackhi_epi16(high01, high23));
}

/// Four columns of 16 consecutive elements: their first quads side by side, then the second ...
void transpose_quads(const uint8_t* columns, int64_t stride, __m128i mask, int8_t* to) {
  __m128i column[4];
  for (int64_t i = 0; i < 4; ++i) {
    column[i] = _mm_xor_si128(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(columns + i * stride)), mask);
  }
  const __m128i low01 = _mm_unpacklo_epi32(column[0], column[1]);
  const __m128i low23 = _mm_unpacklo_epi32(column[2], column[3]);
  const __m128i high01 = _mm_unpackhi_epi32(column[0], column[1]);
  const __m128i high23 = _mm_unpackhi_epi32(column[2], column[3]);
  const auto store = [to](int64_t quad, __m128i value) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + quad * kPanelQuad), value);
  };
  store(0, _mm_unpacklo_epi64(low01, low23));
  store(1, _mm_unpackhi_epi64(low01, low23));
  store(2, _mm_unpacklo_epi64(high01, high23));
  store(3, _mm_unpackhi_epi64(high01, high23));
}

/// The quads that can be packed without reading beyond the matrix; how many they were. Behind the
/// last column stands what the matrix holds there, which nobody asks for.
int64_t pack_inside(const Matrix& right, int64_t inner, int64_t first, int64_t columns,
                    int8_t* to) {
  const __m128i mask = _mm_set1_epi8(static_cast<char>(right.flip ? 0x80 : 0));
  const uint8_t* from = right.codes + first * right.outer_stride;
  int64_t quad = 0;
  if (right.outer_stride == 1) {
    const int64_t bytes = (inner - 1) * right.inner_stride + columns;
    const auto last = [&] {
      return first + (quad * kQuad + kQuad - 1) * right.inner_stride + kPanel;
    };
    for (; (quad + 1) * kQuad <= inner && last() <= bytes; ++quad) {
      interleave(from + quad * kQuad * right.inner_stride, right.inner_stride, mask,
                 to + quad * kPanelQuad);
    }
  } else if (right.inner_stride == 1 && first + kPanel <= columns) {
    for (; (quad + 4) * kQuad <= inner; quad += 4) {
      for (int64_t c = 0; c < kPanel; c += 4) {
        transpose_quads(from + c * right.outer_stride + quad * kQuad, right.outer_stride, mask,
                        to + quad * kPanelQuad + c * kQuad);
      }
    }
  }
  return quad;
}

template <size_t... i>
using Indices = std::index_sequence<i...>;

// Each register is named by a constant index, or the compiler keeps them in memory.

/// What the sums start from.
template <int panels, size_t... i>
[[gnu::always_inline]] QTOOL_TARGET_VNNI inline void start(const Tile& tile, __m512i* sum,
                                                           Indices<i...>) {
  ((sum[i] = _mm512_add_epi32(_mm512_loadu_si512(tile.column_add + i % panels * kPanel),
                              _mm512_set1_epi32(tile.row_add[i / panels]))),
   ...);
}

/// One row's quad times a quad of each panel.
template <size_t... p>
[[gnu::always_inline]] QTOOL_TARGET_VNNI inline void add_row(const uint8_t* left,
                                                             const __m512i* right, __m512i* sum,
                                                             Indices<p...>) {
  int32_t quad = 0;
  std::memcpy(&quad, left, sizeof quad);
  const __m512i all = _mm512_set1_epi32(quad);
  ((sum[p] = _mm512_dpbusd_epi32(sum[p], all, right[p])), ...);
}

template <size_t... r, size_t... p>
[[gnu::always_inline]] QTOOL_TARGET_VNNI inline void add_quad(const uint8_t* left, int64_t stride,
                                                              const int8_t* right, int64_t panel,
                                                              __m512i* sum, Indices<r...>,
                                                              Indices<p...> panels) {
  const __m512i columns[] = {_mm512_loadu_si512(right + static_cast<int64_t>(p) * panel)...};
  (add_row(left + static_cast<int64_t>(r) * stride, columns, sum + r * sizeof...(p), panels), ...);
}

template <int panels, size_t... i>
[[gnu::always_inline]] QTOOL_TARGET_VNNI inline void store(const __m512i* sum, int32_t* to,
                                                           Indices<i...>) {
  (_mm512_storeu_si512(to + i / panels * kWidth + i % panels * kPanel, sum[i]), ...);
}

template <int rows, int panels>
QTOOL_TARGET_VNNI void vnni_multiply(const Tile& tile, int32_t* to) {
  constexpr auto kAll = std::make_index_sequence<rows * panels>();
  __m512i sum[rows * panels];
  start<panels>(tile, sum, kAll);
  const int64_t panel = tile.quads * kPanelQuad;
  for (int64_t k = 0; k < tile.quads; ++k) {
    add_quad(tile.left + k * kQuad, tile.left_stride, tile.right + k * kPanelQuad, panel, sum,
             std::make_index_sequence<rows>(), std::make_index_sequence<panels>());
  }
  store<panels>(sum, to, kAll);
}

using Multiply = void (*)(const Tile&, int32_t*);

template <int rows>
constexpr Multiply kOfRows[kPanels] = {vnni_multiply<rows, 1>, vnni_multiply<rows, 2>,
                                       vnni_multiply<rows, 3>, vnni_multiply<rows, 4>};
constexpr const Multiply* kMultiply[kRows] = {kOfRows<1>, kOfRows<2>, kOfRows<3>,
                                              kOfRows<4>, kOfRows<5>, kOfRows<6>};

QTOOL_TARGET_VNNI void vnni_panel_sums(const int8_t* panel, int64_t quads, int32_t* sums) {
  __m512i sum = _mm512_setzero_si512();
  const __m512i ones = _mm512_set1_epi8(1);
  for (int64_t k = 0; k < quads; ++k) {
    sum = _mm512_dpbusd_epi32(sum, ones, _mm512_loadu_si512(panel + k * kPanelQuad));
  }
  _mm512_storeu_si512(sums, sum);
}

#endif

}  // namespace

bool has_vnni() {
#ifdef QTOOL_VNNI
  static const bool can = [] {
    const std::string isa = onednn::instruction_set();
    return (isa == "avx512_core_vnni" || isa == "avx512_core_bf16" || isa == "other") &&
           __builtin_cpu_supports("avx512vnni") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
           __builtin_cpu_supports("avx512vl") != 0;
  }();
  return can;
#else
  return false;
#endif
}

void pack_panel(const Matrix& right, int64_t inner, int64_t first, int64_t columns, int8_t* to) {
  const int64_t quads = (inner + kQuad - 1) / kQuad;
  int64_t quad = 0;
#ifdef QTOOL_VNNI
  quad = pack_inside(right, inner, first, columns, to);
#endif
  for (; quad < quads; ++quad) {
    pack_any(right, inner, first, columns, quad, to + quad * kPanelQuad);
  }
}

void panel_sums(const int8_t* panel, int64_t quads, int32_t* sums) {
#ifdef QTOOL_VNNI
  if (has_vnni()) return vnni_panel_sums(panel, quads, sums);
#endif
  std::fill_n(sums, kPanel, 0);
  for (int64_t k = 0; k < quads; ++k) {
    for (int64_t i = 0; i < kPanelQuad; ++i) sums[i / kQuad] += panel[k * kPanelQuad + i];
  }
}

void pack_row(const Matrix& left, int64_t inner, int64_t row, uint8_t* to) {
  const uint8_t* from = left.codes + row * left.outer_stride;
  const auto mask = static_cast<uint8_t>(left.flip ? 0x80 : 0);
  if (left.inner_stride == 1 && mask == 0) {
    std::memcpy(to, from, static_cast<size_t>(inner));
  } else {
    for (int64_t k = 0; k < inner; ++k) {
      to[k] = static_cast<uint8_t>(from[k * left.inner_stride] ^ mask);
    }
  }
  for (int64_t k = inner; k % kQuad != 0; ++k) to[k] = 0;
}

int32_t row_sum(const uint8_t* row, int64_t quads) {
  int64_t at = 0;
  int32_t sum = 0;
#ifdef QTOOL_VNNI
  __m128i sums = _mm_setzero_si128();
  for (; at + 16 <= quads * kQuad; at += 16) {
    const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(row + at));
    sums = _mm_add_epi64(sums, _mm_sad_epu8(codes, _mm_setzero_si128()));
  }
  sum = _mm_cvtsi128_si32(_mm_add_epi64(sums, _mm_unpackhi_epi64(sums, sums)));
#endif
  for (; at < quads * kQuad; ++at) sum += row[at];
  return sum;
}

void multiply(const Tile& tile, int32_t* sums) {
#ifdef QTOOL_VNNI
  if (has_vnni()) return kMultiply[tile.rows - 1][tile.panels - 1](tile, sums);
#endif
  plain_multiply(tile, sums);
}

}  // namespace qtool::code_tile
