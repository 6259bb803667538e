// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "tensor/tensor.h"

namespace qtool {

/// NumPy's array files (numpy.lib.format), versions 1 to 3: bool, signed and unsigned integers of
/// 1 to 8 bytes, floats of 2, 4 and 8; either byte order; C or Fortran order. A tensor always comes
/// out in native byte order and C order.
///
/// Errors: (input) not such a file, truncated, bytes left over, a header or shape that makes no
/// sense; (unsupported) other element types: objects, records, text, complex numbers, dates.
Tensor read_npy(const std::filesystem::path& path);

/// The same from a stream of `bytes` bytes; read(to, count) delivers the next ones or throws.
Tensor read_npy(uint64_t bytes, const std::function<void(std::byte* to, size_t count)>& read);

/// Several arrays in a zip archive, as numpy.savez and savez_compressed write it; the names are
/// those of the entries without ".npy". Errors (input): as above, not an archive, an entry that
/// is no array, one name twice, or one that unpacks to more than 4 GiB and 16 times the archive.
TensorMap read_npz(const std::filesystem::path& path);

/// Version 1, little endian, C order. bfloat16 and the types of less than 8 bits have no form in
/// NumPy. Errors (unsupported): those; (input): cannot be written.
void write_npy(const std::filesystem::path& path, const Tensor& tensor);

/// Stored, not compressed, in the order of names, dated 1980: equal tensors give equal bytes.
/// There must be at least one.
void write_npz(const std::filesystem::path& path, const TensorMap& tensors);

/// What stands before the elements in a file of write_npy: a multiple of 64 bytes.
std::string npy_header(DType dtype, const Shape& shape);

}  // namespace qtool
