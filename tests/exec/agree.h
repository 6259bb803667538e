// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "exec/session.h"

namespace qtool::test {

/// Random data for every input: floats around 0, codes and integers over a small range.
TensorMap random_feeds(const Graph& graph, uint64_t seed = 1);

TensorMap run_on(const Graph& graph, Backend backend, const TensorMap& feeds);

/// "", or where the compiled session's outputs differ from the reference's by more than
/// absolute + relative * |value|.
std::string disagreement(const Graph& graph, double relative = 1e-4, double absolute = 1e-5,
                         uint64_t seed = 1);

/// "Conv + Relu; (layout); ..." of a session's steps.
std::string ops_of(const Session& session);

/// The elements in ONNX's order of a tensor stored in a layout.
Tensor in_order(DType dtype, const Shape& shape, Layout layout, const void* data);

}  // namespace qtool::test
