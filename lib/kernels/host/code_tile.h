// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace qtool::code_tile {

// The inner loops of a product of 8-bit codes: u8 rows by s8 columns, summed exactly in int32.
//
// The right operand is packed in panels of 16 columns; within one, four consecutive elements of
// the inner dimension ("a quad") of each column stand together, as VNNI multiplies them. Columns
// and elements that do not exist are 0.

inline constexpr int64_t kPanel = 16;  ///< columns of a panel
inline constexpr int64_t kRows = 6;    ///< rows of a tile
inline constexpr int64_t kPanels = 4;  ///< panels of a tile
inline constexpr int64_t kWidth = kPanel * kPanels;

/// Whether the vector code is used: the CPU and ONEDNN_MAX_CPU_ISA allow AVX-512 VNNI.
bool has_vnni();

/// A matrix of codes at any strides. `flip` turns u8 codes into s8 ones of 128 less, or back.
struct Matrix {
  const uint8_t* codes;
  int64_t
      outer_stride;  ///< from row to row of the left operand, from column to column of the right
  int64_t inner_stride;
  bool flip;
};

/// One panel of the right operand: `quads` times 64 bytes, from column `first` of `columns` on.
void pack_panel(const Matrix& right, int64_t inner, int64_t first, int64_t columns, int8_t* to);

/// Sums of each of a panel's columns.
void panel_sums(const int8_t* panel, int64_t quads, int32_t* sums);

/// One row of the left operand, `quads` * 4 bytes.
void pack_row(const Matrix& left, int64_t inner, int64_t row, uint8_t* to);

/// The sum of a packed row.
int32_t row_sum(const uint8_t* row, int64_t quads);

struct Tile {
  const uint8_t* left;  ///< packed rows
  int64_t left_stride;
  const int8_t* right;  ///< the first of the packed panels
  int64_t quads;
  int64_t rows;               ///< 1 to kRows
  int64_t panels;             ///< 1 to kPanels
  const int32_t* column_add;  ///< [panels * kPanel] what each sum of a column starts from
  const int32_t* row_add;     ///< [rows] what each sum of a row starts from besides
};

/// sums[r * kWidth + c]
void multiply(const Tile& tile, int32_t* sums);

}  // namespace qtool::code_tile
