// SPDX-License-Identifier: Apache-2.0
// TensorProto and Tensor. A residue holds what the message says beyond elements, type, shape and
// name; its data_type then says that the elements were in a typed field, not in raw_data.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ir/graph.h"

namespace onnx {
class TensorProto;
}

namespace qtool {

class ExternalReader;
class ExternalWriter;

/// Takes the elements out of the message, without a copy where they are large. Errors (input): see
/// load_model.
Tensor take_elements(onnx::TensorProto& proto, ExternalReader& files);

/// The same with name and residue; the message is empty afterwards.
TensorAttribute take_tensor(onnx::TensorProto& proto, ExternalReader& files);

/// Fills all of the message but its name and raw_data. The result is what raw_data has to hold;
/// nothing where the elements are in a typed field or in an external file. `external` may be null.
std::optional<std::string_view> describe_tensor(const Tensor& tensor, const std::string& residue,
                                                ExternalWriter* external, onnx::TensorProto& proto);

/// The same with raw_data filled in.
void write_tensor(const Tensor& tensor, const std::string& residue, ExternalWriter* external,
                  onnx::TensorProto& proto);

}  // namespace qtool
