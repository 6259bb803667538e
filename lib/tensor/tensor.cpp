// SPDX-License-Identifier: Apache-2.0
#include "tensor/tensor.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <type_traits>

#include "support/checked.h"

namespace qtool {

int64_t element_count(const Shape& shape) {
  int64_t count = 1;
  bool zero = false;
  for (const int64_t extent : shape) {
    if (extent < 0) throw input_error("the shape " + to_string(shape) + " has a negative extent");
    if (extent == 0) {
      zero = true;
      continue;
    }
    const auto product = checked_multiply(count, extent);
    if (!product) throw input_error("the shape " + to_string(shape) + " has too many elements");
    count = *product;
  }
  return zero ? 0 : count;
}

size_t storage_bytes(DType dtype, int64_t elements) {
  const auto all_bits = checked_multiply<int64_t>(elements, bits(dtype));
  if (!all_bits)
    throw input_error("a tensor of " + std::to_string(elements) + " elements is too large");
  return static_cast<size_t>(*all_bits / 8 + (*all_bits % 8 != 0 ? 1 : 0));
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ',';
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

std::vector<int64_t> row_major_strides(const Shape& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

std::optional<Shape> broadcast(const Shape& a, const Shape& b) {
  Shape result(std::max(a.size(), b.size()));
  for (size_t i = 0; i < result.size(); ++i) {
    const int64_t x = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int64_t y = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (x != y && x != 1 && y != 1) return std::nullopt;
    result[result.size() - 1 - i] = x == 1 ? y : x;
  }
  return result;
}

namespace {

constexpr size_t kAlignment = 64;

std::shared_ptr<std::byte> allocate(size_t bytes) {
  const auto padded = checked_add(std::max<size_t>(bytes, 1), kAlignment - 1);
  void* memory =
      padded ? std::aligned_alloc(kAlignment, *padded / kAlignment * kAlignment) : nullptr;
  if (memory == nullptr)
    throw input_error("no memory for a tensor of " + std::to_string(bytes) + " bytes");
  return {static_cast<std::byte*>(memory), [](std::byte* data) { std::free(data); }};
}

}  // namespace

Tensor::Tensor(DType dtype, Shape shape)
    : dtype_(dtype), writable_(true), shape_(std::move(shape)), size_(element_count(shape_)),
      bytes_(storage_bytes(dtype, size_)), data_(allocate(bytes_)) {
  QTOOL_CHECK(dtype != DType::undefined && dtype != DType::string, "no such elements to allocate");
  std::memset(data_.get(), 0, bytes_);
}

Tensor Tensor::in_place(DType dtype, Shape shape, std::span<const std::byte> bytes,
                        std::shared_ptr<const void> owner) {
  Tensor tensor;
  tensor.dtype_ = dtype;
  tensor.shape_ = std::move(shape);
  tensor.size_ = element_count(tensor.shape_);
  tensor.bytes_ = storage_bytes(dtype, tensor.size_);
  QTOOL_CHECK(tensor.bytes_ == bytes.size(), "bytes for " + to_string(tensor.shape_));
  // Aliasing: the pointer is the elements, the count is the owner's. Nothing writes through it.
  tensor.data_ = {std::const_pointer_cast<void>(std::move(owner)),
                  const_cast<std::byte*>(bytes.data())};
  return tensor;
}

Tensor Tensor::of_strings(Shape shape, std::vector<std::string> elements) {
  Tensor tensor;
  tensor.dtype_ = DType::string;
  tensor.shape_ = std::move(shape);
  tensor.size_ = element_count(tensor.shape_);
  QTOOL_CHECK(static_cast<size_t>(tensor.size_) == elements.size(), "strings for the shape");
  tensor.strings_ = std::make_shared<const std::vector<std::string>>(std::move(elements));
  return tensor;
}

Tensor Tensor::clone() const {
  if (dtype_ == DType::undefined) return {};
  if (dtype_ == DType::string) return of_strings(shape_, strings());
  Tensor copy(dtype_, shape_);
  std::memcpy(copy.raw(), raw(), bytes_);
  return copy;
}

Tensor Tensor::reshaped(Shape shape) && {
  QTOOL_CHECK(element_count(shape) == size_, to_string(shape_) + " to " + to_string(shape));
  shape_ = std::move(shape);
  return std::move(*this);
}

std::byte* Tensor::raw() {
  QTOOL_CHECK(writable_, "the tensor lies in read-only memory");
  return data_.get();
}

const std::vector<std::string>& Tensor::strings() const {
  QTOOL_CHECK(strings_ != nullptr, "the tensor holds " + std::string(name(dtype_)));
  return *strings_;
}

void Tensor::check_type(DType wanted) const {
  QTOOL_CHECK(dtype_ == wanted, "the tensor holds " + std::string(name(dtype_)) + ", not " +
                                    std::string(name(wanted)));
}

bool Tensor::equals(const Tensor& other) const {
  if (dtype_ != other.dtype_ || shape_ != other.shape_) return false;
  if (dtype_ == DType::string) return strings() == other.strings();
  return bytes_ == 0 || std::memcmp(raw(), other.raw(), bytes_) == 0;
}

}  // namespace qtool
