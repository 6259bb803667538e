// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "kernels/onednn/primitives.h"

namespace qtool {

/// What becomes of the int32 sums of a product of codes: scaled by column, a bias, post-ops, and
/// stored as codes, float32 or as they are.
class CodeFinish {
 public:
  /// A tile of the result: where it lies and how large it is.
  struct Place {
    int64_t offset;  ///< of its first element
    int64_t stride;  ///< between its rows
    int64_t column;  ///< of its first element
    int64_t rows;
    int64_t width;
  };

  struct Made;
  /// For kernel input `addend` see make_code_product.
  static Made make(const onednn::MatmulSpec& spec, size_t addend);

  /// `sums` are code_tile's.
  void run(const KernelArgs& args, const int32_t* sums, const Place& place) const;

 private:
  void run_real(const KernelArgs& args, const int32_t* sums, const Place& place) const;
  void apply_one(const PostOp& op, float* x, int64_t count) const;

  enum class Result { sums, codes, real, real_codes };
  Result result_ = Result::sums;
  bool is_signed_ = false;
  std::vector<float> scale_;  ///< by column: sums times this are the result's units, or real ones
  std::vector<float> bias_;   ///< by column, in units of the sums; none: all 0 or whole
  float low_ = 0;             ///< bounds of codes less the zero point
  float high_ = 0;
  float unit_ = 1;  ///< of real_codes
  int32_t zero_point_ = 0;
  std::vector<PostOp> posts_;
  size_t addend_ = 0;
};

/// The finish, or why there is none; and the part of the bias that the sums can start from.
struct CodeFinish::Made {
  CodeFinish finish;
  std::vector<int32_t> whole_bias;
  std::string refusal;
};

}  // namespace qtool
