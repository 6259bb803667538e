// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tensor/dtype.h"

namespace qtool {

/// Extents, outermost first; empty for a scalar. Every extent is >= 0.
using Shape = std::vector<int64_t>;

/// Number of elements; 1 for a scalar. Errors (input): a negative extent, overflow.
int64_t element_count(const Shape& shape);

/// Bytes that so many elements take; two 4-bit elements share a byte. Errors (input): overflow.
size_t storage_bytes(DType dtype, int64_t elements);

/// "[1,3,224,224]"; "[]" for a scalar.
std::string to_string(const Shape& shape);

/// Row-major strides in elements.
std::vector<int64_t> row_major_strides(const Shape& shape);

/// The NumPy rule for two shapes (ONNX "Broadcasting"), or nothing where they do not fit.
std::optional<Shape> broadcast(const Shape& a, const Shape& b);

/// Read-only elements that somebody else owns; dense, row-major.
struct TensorView {
  DType dtype = DType::undefined;
  Shape shape;
  const void* data = nullptr;

  int64_t size() const { return element_count(shape); }
  template <class T>
  std::span<const T> as() const {
    QTOOL_CHECK(dtype == dtype_of<T>, "the view holds " + std::string(name(dtype)));
    return {static_cast<const T*>(data), static_cast<size_t>(size())};
  }
};

/// Move-only owner of dense row-major elements, 64-byte aligned. 4-bit elements are packed two
/// to a byte, the first in the low half, as ONNX stores them. A tensor can also lie in memory
/// that it only keeps alive, such as a mapped model file; such a one is read-only.
class Tensor {
 public:
  Tensor() = default;  ///< undefined: no dtype, no elements

  /// Zero-filled. Errors (input): overflow, more memory than there is.
  Tensor(DType dtype, Shape shape);

  /// Lies in `bytes`, kept alive by `owner`; bytes.size() is exactly what shape and dtype need.
  static Tensor in_place(DType dtype, Shape shape, std::span<const std::byte> bytes,
                         std::shared_ptr<const void> owner);

  static Tensor of_strings(Shape shape, std::vector<std::string> elements);

  template <class T>
  static Tensor of(Shape shape, std::span<const T> elements) {
    Tensor tensor(dtype_of<T>, std::move(shape));
    QTOOL_CHECK(elements.size() == static_cast<size_t>(tensor.size()), "element count");
    std::copy(elements.begin(), elements.end(), tensor.data<T>().begin());
    return tensor;
  }
  template <class T>
  static Tensor of(Shape shape, std::initializer_list<T> elements) {
    return of<T>(std::move(shape), std::span<const T>(elements.begin(), elements.size()));
  }
  template <class T>
  static Tensor scalar(T value) {
    return of<T>({}, {value});
  }

  Tensor(Tensor&&) noexcept = default;
  Tensor& operator=(Tensor&&) noexcept = default;
  Tensor clone() const;

  /// The same elements under another shape of equal size.
  Tensor reshaped(Shape shape) &&;

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int rank() const { return static_cast<int>(shape_.size()); }
  int64_t size() const { return size_; }
  size_t bytes() const { return bytes_; }

  const std::byte* raw() const { return data_.get(); }
  std::byte* raw();  ///< not for tensors that lie in foreign memory
  const std::vector<std::string>& strings() const;

  /// The elements as T, which must be the dtype's C++ type.
  template <class T>
  std::span<const T> data() const {
    check_type(dtype_of<T>);
    return {reinterpret_cast<const T*>(data_.get()), static_cast<size_t>(size_)};
  }
  template <class T>
  std::span<T> data() {
    check_type(dtype_of<T>);
    return {reinterpret_cast<T*>(raw()), static_cast<size_t>(size_)};
  }

  TensorView view() const { return {dtype_, shape_, data_.get()}; }

  /// Same type, shape and bits.
  bool equals(const Tensor& other) const;

 private:
  void check_type(DType wanted) const;

  DType dtype_ = DType::undefined;
  bool writable_ = false;
  Shape shape_;
  int64_t size_ = 0;
  size_t bytes_ = 0;
  std::shared_ptr<std::byte> data_;
  std::shared_ptr<const std::vector<std::string>> strings_;
};

/// Constants are shared and never changed: copying a graph copies no weights.
using Constant = std::shared_ptr<const Tensor>;

inline Constant make_constant(Tensor tensor) {
  return std::make_shared<const Tensor>(std::move(tensor));
}

/// Tensors by value name: what goes into a model and what comes out.
using TensorMap = std::map<std::string, Tensor>;

/// Elements as another type, by value: floats to integers truncate toward zero and saturate,
/// anything to boolean is "not zero". Errors (unsupported): strings and complex numbers.
Tensor cast(const Tensor& tensor, DType to);

/// All elements as double, int64 or float, whatever numeric or boolean type they have; 4-bit
/// elements are unpacked. Errors (unsupported): strings, complex.
std::vector<double> to_doubles(const Tensor& tensor);
std::vector<int64_t> to_int64s(const Tensor& tensor);
std::vector<float> to_floats(const Tensor& tensor);

}  // namespace qtool
