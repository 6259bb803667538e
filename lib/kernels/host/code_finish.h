// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kernels/host/code_curve.h"
#include "kernels/host/quantize.h"
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
  void set_codes(const QuantParams& codes);
  void run_steps(const KernelArgs& args, const int32_t* sums, const Place& place) const;

  enum class Result {
    sums,
    codes,          ///< with nothing but bounds in front
    curved_codes,   ///< behind a GELU, and bounds
    stepped_codes,  ///< behind any post-ops, one after the other
    real,           ///< as it is, or with one addition
    stepped_real,
  };
  Result result_ = Result::sums;
  std::vector<float> scale_;  ///< by column: sums times this are the result's units, or real ones
  std::vector<float> bias_;   ///< by column, in units of the sums; 0 where they start from it
  lanes::CodeGrid grid_{};
  std::vector<PostOp> posts_;
  std::optional<CodeCurve> curve_;
  std::optional<RowQuantizer> quantizer_;  ///< of stepped codes
  size_t addend_ = 0;
};

/// The finish, or why there is none; and the part of the bias that the sums can start from.
struct CodeFinish::Made {
  CodeFinish finish;
  std::vector<int32_t> whole_bias;
  std::string refusal;
};

}  // namespace qtool
