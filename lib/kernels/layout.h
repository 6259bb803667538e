// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tensor/tensor.h"

namespace qtool {

/// How the elements of a run-time tensor lie in memory. Shapes are always ONNX's (N, C, spatial
/// ...); only the order of storage differs. Two suffice: with oneDNN 2.6 and 3.7 on AVX-512,
/// channels_last is as fast as the blocked formats (0.87 to 1.09 of their time over the layer
/// shapes of ResNet, SqueezeNet and MobileNet), and int8 kernels want it anyway.
enum class Layout : uint8_t {
  plain,          ///< row-major, as in ONNX
  channels_last,  ///< dimension 1 innermost; rank >= 3 only
};

std::string_view name(Layout layout);

/// Strides in elements of each ONNX dimension.
std::vector<int64_t> strides(const Shape& shape, Layout layout);

/// True where both orders are the same bytes: rank < 3, one channel, or one spatial position.
bool same_order(const Shape& shape, Layout a, Layout b);

/// The dimensions of a shape from outermost to innermost in memory.
std::vector<int> storage_order(const Shape& shape, Layout layout);

}  // namespace qtool
