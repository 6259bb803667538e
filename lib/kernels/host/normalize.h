// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "kernels/kernel.h"
#include "numerics/affine.h"

namespace qtool {

/// float32 rows, each brought to mean 0 and variance 1 over all its elements, then scaled and
/// shifted: (x - mean) / sqrt(variance + epsilon) * scale[p] + bias[p]. A row is `segments` runs of
/// `run` elements, and p = (row % periods) * segments + segment: LayerNormalization has runs of 1,
/// InstanceNormalization one run a row and a period a channel.
/// Inputs: x, scale, bias or null. Outputs: y; mean and inverse deviation of each row, or null.
/// Statistics are taken in double, in an order that does not depend on threads.
struct NormalizeSpec {
  int64_t rows = 0;
  int64_t segments = 1;
  int64_t run = 1;
  int64_t periods = 1;
  double epsilon = 0;
  const QuantParams* result = nullptr;  ///< y as 8-bit codes, per tensor; null: as float32
};
MadeKernel make_normalize(const NormalizeSpec& spec);

/// float32 [outer, channels, inner]: x / (bias + alpha / size * sum of x² over `size` channels
/// around its own)^beta, as LRN defines it.
struct ResponseSpec {
  int64_t outer = 0;
  int64_t channels = 0;
  int64_t inner = 0;
  int64_t size = 1;
  float alpha = 0;
  float beta = 0;
  float bias = 0;
};
KernelPtr make_response(const ResponseSpec& spec);

}  // namespace qtool
