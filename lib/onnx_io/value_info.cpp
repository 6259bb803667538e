// SPDX-License-Identifier: Apache-2.0
#include "onnx_io/value_info.h"

#include <onnx/onnx_pb.h>

#include "onnx_io/wire.h"

namespace qtool {

namespace {

/// Calls f on every entry, the one that decides the type first.
template <class Entries, class F>
void for_each_entry(Entries& entries, const F& f) {
  for (auto& entry : *entries.mutable_input()) f(entry);
  for (auto& entry : *entries.mutable_output()) f(entry);
  for (auto& entry : *entries.mutable_value_info()) f(entry);
}

/// What the IR can say of a type. Extents below zero, which some exporters write, are unknown ones.
TensorType read_type(const onnx::TypeProto& proto) {
  TensorType type;
  if (!proto.has_tensor_type()) return type;
  const auto& tensor = proto.tensor_type();
  if (is_known(tensor.elem_type())) type.dtype = static_cast<DType>(tensor.elem_type());
  if (!tensor.has_shape()) return type;
  type.shape.emplace();
  for (const auto& dim : tensor.shape().dim()) {
    Dim& extent = type.shape->emplace_back();
    if (dim.has_dim_value() && dim.dim_value() >= 0) extent.value = dim.dim_value();
    extent.symbol = dim.dim_param();
  }
  return type;
}

TensorType declared_type(onnx::GraphProto& entries, const Value& value) {
  std::optional<TensorType> declared;
  for_each_entry(entries, [&](const onnx::ValueInfoProto& entry) {
    if (!declared) declared = read_type(entry.type());
  });
  const bool known = declared && declared->dtype != DType::undefined;
  if (!known && value.constant != nullptr)
    return {value.constant->dtype(), value.constant->shape()};
  return declared.value_or(value.type);
}

}  // namespace

onnx::ValueInfoProto plain_entry(const std::string& name, const TensorType& type) {
  onnx::ValueInfoProto entry;
  entry.set_name(name);
  if (type.dtype == DType::undefined && !type.shape) return entry;
  auto& tensor = *entry.mutable_type()->mutable_tensor_type();
  if (type.dtype != DType::undefined) tensor.set_elem_type(static_cast<int>(type.dtype));
  if (!type.shape) return entry;
  auto& shape = *tensor.mutable_shape();
  for (const Dim& extent : *type.shape) {
    auto& dim = *shape.add_dim();
    if (extent.value) {
      dim.set_dim_value(*extent.value);
    } else if (!extent.symbol.empty()) {
      dim.set_dim_param(extent.symbol);
    }
  }
  return entry;
}

void settle_entries(onnx::GraphProto& entries, Value& value) {
  value.listed = entries.value_info_size() > 0;
  value.type = declared_type(entries, value);
  const std::string plain = serialized(plain_entry({}, value.type));
  bool all_plain = true;
  for_each_entry(entries, [&](onnx::ValueInfoProto& entry) {
    entry.set_name("");
    all_plain = all_plain && serialized(entry) == plain;
  });
  if (!all_plain) value.type_residue = serialized(entries);
}

onnx::GraphProto entries_of(const Value& value) {
  onnx::GraphProto entries;
  if (value.type_residue.empty()) return entries;
  restore(entries, value.type_residue);
  if (declared_type(entries, value) == value.type) return entries;
  const onnx::ValueInfoProto edited = plain_entry({}, value.type);
  for_each_entry(entries,
                 [&](onnx::ValueInfoProto& entry) { *entry.mutable_type() = edited.type(); });
  return entries;
}

}  // namespace qtool
