// SPDX-License-Identifier: Apache-2.0
#include "onnx_io/tensor_proto.h"

#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cstring>

#include "onnx_io/external_data.h"
#include "onnx_io/wire.h"
#include "support/checked.h"

namespace qtool {

static_assert(std::endian::native == std::endian::little, "raw_data is little-endian");

namespace {

constexpr size_t kCopyBelow = 4096;  // bytes; smaller elements are copied to aligned memory
constexpr int kInTypedField = 1;     // as data_type of a residue

enum class Field { float_data, double_data, int32_data, int64_data, uint64_data, string_data };

Field field_of(DType dtype) {
  switch (dtype) {
    case DType::float32:
    case DType::complex64: return Field::float_data;
    case DType::float64:
    case DType::complex128: return Field::double_data;
    case DType::int64: return Field::int64_data;
    case DType::uint32:
    case DType::uint64: return Field::uint64_data;
    case DType::string: return Field::string_data;
    default: return Field::int32_data;
  }
}

/// Calls f with a T of the width in which int32_data or uint64_data stand for an element; a pair of
/// 4-bit elements counts as one. float16 and the smaller floats stand there as bits.
template <class F>
auto visit_stored(DType dtype, const F& f) {
  switch (dtype) {
    case DType::int8: return f(TypeTag<int8_t>{});
    case DType::int16: return f(TypeTag<int16_t>{});
    case DType::int32: return f(TypeTag<int32_t>{});
    case DType::uint32: return f(TypeTag<uint32_t>{});
    case DType::uint64: return f(TypeTag<uint64_t>{});
    case DType::uint16:
    case DType::float16:
    case DType::bfloat16: return f(TypeTag<uint16_t>{});
    default: return f(TypeTag<uint8_t>{});
  }
}

std::string type_text(DType dtype, const Shape& shape) {
  return std::string(name(dtype)) + to_string(shape);
}

void check_only_field(const onnx::TensorProto& proto, DType dtype, Field field, bool raw) {
  const auto misplaced = [&](Field other, int size) { return size > 0 && (raw || field != other); };
  if (misplaced(Field::float_data, proto.float_data_size()) ||
      misplaced(Field::double_data, proto.double_data_size()) ||
      misplaced(Field::int32_data, proto.int32_data_size()) ||
      misplaced(Field::int64_data, proto.int64_data_size()) ||
      misplaced(Field::uint64_data, proto.uint64_data_size()) ||
      misplaced(Field::string_data, proto.string_data_size())) {
    throw input_error("its elements are stored twice, or in a field that is not for " +
                      std::string(name(dtype)));
  }
}

void check_count(DType dtype, const Shape& shape, size_t expected, size_t found, const char* unit) {
  if (expected == found) return;
  throw input_error(type_text(dtype, shape) + " takes " + std::to_string(expected) + ' ' + unit +
                    "; the file has " + std::to_string(found));
}

template <class T, class Repeated>
Tensor from_same(DType dtype, Shape shape, const Repeated& elements) {
  const size_t needed = storage_bytes(dtype, element_count(shape));
  check_count(dtype, shape, needed / sizeof(T), static_cast<size_t>(elements.size()), "numbers");
  Tensor tensor(dtype, std::move(shape));
  if (needed > 0) std::memcpy(tensor.raw(), elements.data(), needed);
  return tensor;
}

template <class Repeated>
Tensor from_wider(DType dtype, Shape shape, const Repeated& elements) {
  return visit_stored(dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const size_t needed = storage_bytes(dtype, element_count(shape));
    check_count(dtype, shape, needed / sizeof(T), static_cast<size_t>(elements.size()), "numbers");
    Tensor tensor(dtype, shape);
    for (size_t i = 0; i < needed / sizeof(T); ++i) {
      const auto wide = elements.Get(static_cast<int>(i));
      if (dtype != DType::boolean && !std::in_range<T>(wide)) {
        throw input_error("its number " + std::to_string(i) + " is " + std::to_string(wide) +
                          ", which does not fit " + std::string(name(dtype)));
      }
      const T element = dtype == DType::boolean ? static_cast<T>(wide != 0) : static_cast<T>(wide);
      std::memcpy(tensor.raw() + i * sizeof(T), &element, sizeof(T));
    }
    return tensor;
  });
}

Tensor from_typed_field(const onnx::TensorProto& proto, DType dtype, Shape shape) {
  switch (field_of(dtype)) {
    case Field::float_data: return from_same<float>(dtype, std::move(shape), proto.float_data());
    case Field::double_data: return from_same<double>(dtype, std::move(shape), proto.double_data());
    case Field::int64_data: return from_same<int64_t>(dtype, std::move(shape), proto.int64_data());
    case Field::int32_data: return from_wider(dtype, std::move(shape), proto.int32_data());
    case Field::uint64_data: return from_wider(dtype, std::move(shape), proto.uint64_data());
    case Field::string_data: break;
  }
  const auto& strings = proto.string_data();
  check_count(dtype, shape, static_cast<size_t>(element_count(shape)),
              static_cast<size_t>(strings.size()), "strings");
  return Tensor::of_strings(std::move(shape), {strings.begin(), strings.end()});
}

Tensor from_raw(onnx::TensorProto& proto, DType dtype, Shape shape) {
  if (dtype == DType::string) throw input_error("strings cannot be in raw_data");
  const size_t needed = storage_bytes(dtype, element_count(shape));
  check_count(dtype, shape, needed, proto.raw_data().size(), "bytes");
  if (needed < kCopyBelow) {
    Tensor tensor(dtype, std::move(shape));
    if (needed > 0) std::memcpy(tensor.raw(), proto.raw_data().data(), needed);
    return tensor;
  }
  // A string this long lies on the heap, aligned for every element type.
  auto owner = std::make_shared<const std::string>(std::move(*proto.mutable_raw_data()));
  return Tensor::in_place(dtype, std::move(shape), std::as_bytes(std::span(*owner)), owner);
}

/// A bool of another bit pattern than 0 or 1 is undefined behaviour for who reads it.
Tensor with_clean_bools(Tensor tensor) {
  if (tensor.dtype() != DType::boolean) return tensor;
  const std::span<const std::byte> bytes(tensor.raw(), tensor.bytes());
  if (std::ranges::all_of(bytes, [](std::byte b) { return b <= std::byte{1}; })) return tensor;
  Tensor clean(DType::boolean, tensor.shape());
  std::ranges::transform(bytes, clean.raw(),
                         [](std::byte b) { return b == std::byte{0} ? b : std::byte{1}; });
  return clean;
}

template <class Repeated>
void add_narrow(const Tensor& tensor, Repeated& elements) {
  visit_stored(tensor.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const size_t count = tensor.bytes() / sizeof(T);
    elements.Reserve(narrow<int>(count));
    for (size_t i = 0; i < count; ++i) {
      T element;
      std::memcpy(&element, tensor.raw() + i * sizeof(T), sizeof(T));
      elements.Add(static_cast<typename Repeated::value_type>(element));
    }
  });
}

template <class T, class Repeated>
void add_same(const Tensor& tensor, Repeated& elements) {
  elements.Resize(narrow<int>(tensor.bytes() / sizeof(T)), T{});
  if (tensor.bytes() > 0) std::memcpy(elements.mutable_data(), tensor.raw(), tensor.bytes());
}

void fill_typed_field(const Tensor& tensor, onnx::TensorProto& proto) {
  switch (field_of(tensor.dtype())) {
    case Field::float_data: return add_same<float>(tensor, *proto.mutable_float_data());
    case Field::double_data: return add_same<double>(tensor, *proto.mutable_double_data());
    case Field::int64_data: return add_same<int64_t>(tensor, *proto.mutable_int64_data());
    case Field::int32_data: return add_narrow(tensor, *proto.mutable_int32_data());
    case Field::uint64_data: return add_narrow(tensor, *proto.mutable_uint64_data());
    case Field::string_data:
      for (const std::string& text : tensor.strings()) proto.add_string_data(text);
  }
}

/// What remains once the elements were taken.
std::string residue_of(onnx::TensorProto& proto, bool typed) {
  proto.clear_dims();
  proto.clear_data_type();
  proto.clear_raw_data();
  proto.clear_float_data();
  proto.clear_double_data();
  proto.clear_int32_data();
  proto.clear_int64_data();
  proto.clear_uint64_data();
  proto.clear_string_data();
  proto.clear_external_data();
  if (proto.data_location() == onnx::TensorProto::EXTERNAL) proto.clear_data_location();
  if (!proto.name().empty()) proto.clear_name();
  if (typed) proto.set_data_type(kInTypedField);
  return serialized(proto);
}

}  // namespace

Tensor take_elements(onnx::TensorProto& proto, ExternalReader& files) {
  if (proto.data_type() == 0 || !is_known(proto.data_type())) {
    throw input_error("its element type has the number " + std::to_string(proto.data_type()) +
                      ", which qtool does not know");
  }
  const auto dtype = static_cast<DType>(proto.data_type());
  const Shape shape(proto.dims().begin(), proto.dims().end());
  const bool external = proto.data_location() == onnx::TensorProto::EXTERNAL;
  const bool raw = proto.has_raw_data();
  check_only_field(proto, dtype, field_of(dtype), raw || external);
  if (external && raw)
    throw input_error("its elements are stored twice, inside and outside the model");
  return with_clean_bools(external ? files.read(proto, dtype, shape)
                          : raw    ? from_raw(proto, dtype, shape)
                                   : from_typed_field(proto, dtype, shape));
}

TensorAttribute take_tensor(onnx::TensorProto& proto, ExternalReader& files) {
  const bool typed = proto.data_location() != onnx::TensorProto::EXTERNAL && !proto.has_raw_data();
  TensorAttribute taken;
  taken.tensor = make_constant(take_elements(proto, files));
  taken.name = proto.name();
  taken.residue = residue_of(proto, typed);
  onnx::TensorProto().Swap(&proto);  // a cleared field would keep its memory
  return taken;
}

std::optional<std::string_view> describe_tensor(const Tensor& tensor, const std::string& residue,
                                                ExternalWriter* external,
                                                onnx::TensorProto& proto) {
  if (!residue.empty()) restore(proto, residue);
  const bool typed = proto.data_type() == kInTypedField || tensor.dtype() == DType::string;
  proto.set_data_type(static_cast<int>(tensor.dtype()));
  for (const int64_t extent : tensor.shape()) proto.add_dims(extent);
  if (external != nullptr && external->takes(tensor)) {
    external->add(tensor, proto);
    return std::nullopt;
  }
  if (typed) {
    fill_typed_field(tensor, proto);
    return std::nullopt;
  }
  return std::string_view(reinterpret_cast<const char*>(tensor.raw()), tensor.bytes());
}

void write_tensor(const Tensor& tensor, const std::string& residue, ExternalWriter* external,
                  onnx::TensorProto& proto) {
  const auto raw = describe_tensor(tensor, residue, external, proto);
  if (raw) proto.set_raw_data(raw->data(), raw->size());
}

}  // namespace qtool
