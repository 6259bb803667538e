// SPDX-License-Identifier: Apache-2.0
#include "tensor/npy.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <ostream>
#include <string_view>

#include "support/file.h"
#include "tensor/npy_header.h"

namespace qtool {

namespace {

static_assert(std::endian::native == std::endian::little, "elements are written as they lie");

template <class Word>
void swap_bytes(std::byte* data, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    std::byte* word = data + i * static_cast<int64_t>(sizeof(Word));
    std::reverse(word, word + sizeof(Word));
  }
}

/// Elements that lie with the first index fastest, put into row-major order.
template <class Word>
void reorder_fortran(const std::byte* from, std::byte* to, const Shape& shape) {
  const size_t rank = shape.size();
  std::vector<int64_t> stride(rank, 1);
  for (size_t axis = 1; axis < rank; ++axis) stride[axis] = stride[axis - 1] * shape[axis - 1];
  std::vector<int64_t> index(rank, 0);
  const int64_t count = element_count(shape);
  for (int64_t i = 0, offset = 0; i < count; ++i) {
    std::memcpy(to + i * static_cast<int64_t>(sizeof(Word)),
                from + offset * static_cast<int64_t>(sizeof(Word)), sizeof(Word));
    for (size_t axis = rank; axis-- > 0;) {
      offset += stride[axis];
      if (++index[axis] < shape[axis]) break;
      offset -= stride[axis] * shape[axis];
      index[axis] = 0;
    }
  }
}

template <class F>
void with_word(size_t bytes, F&& f) {
  switch (bytes) {
    case 1: return f(uint8_t{});
    case 2: return f(uint16_t{});
    case 4: return f(uint32_t{});
    default: return f(uint64_t{});
  }
}

Tensor read_elements(const NpyHeader& header,
                     const std::function<void(std::byte* to, size_t count)>& read) {
  Tensor tensor(header.dtype, header.shape);
  if (tensor.size() == 0) return tensor;
  read(tensor.raw(), tensor.bytes());
  const auto word = static_cast<size_t>(bits(header.dtype)) / 8;
  if (header.swapped) {
    with_word(word, [&](auto tag) { swap_bytes<decltype(tag)>(tensor.raw(), tensor.size()); });
  }
  if (header.dtype == DType::boolean) {
    // A bool that is neither 0 nor 1 would be undefined behaviour wherever it is read.
    for (size_t i = 0; i < tensor.bytes(); ++i) {
      if (tensor.raw()[i] != std::byte{0}) tensor.raw()[i] = std::byte{1};
    }
  }
  if (!header.fortran || tensor.rank() < 2) return tensor;
  Tensor ordered(header.dtype, header.shape);
  with_word(word, [&](auto tag) {
    reorder_fortran<decltype(tag)>(tensor.raw(), ordered.raw(), header.shape);
  });
  return ordered;
}

}  // namespace

Tensor read_npy(uint64_t bytes, const std::function<void(std::byte*, size_t)>& read) {
  uint64_t left = bytes;
  const auto take = [&](size_t count, std::string_view what) {
    if (count > left) throw input_error("it ends within its " + std::string(what));
    left -= count;
    std::string text(count, '\0');
    read(reinterpret_cast<std::byte*>(text.data()), count);
    return text;
  };
  const std::string start = take(std::min<uint64_t>(left, 8), "header");
  if (start.size() < 8 || !start.starts_with("\x93NUMPY")) {
    throw input_error("not a NumPy array: it does not begin with \\x93NUMPY",
                      "Write it with numpy.save or numpy.savez.");
  }
  const int version = static_cast<unsigned char>(start[6]);
  if (version < 1 || version > 3) {
    throw unsupported_error("its format has version " + std::to_string(version) +
                            "; 1, 2 and 3 are known");
  }
  const std::string length_bytes = take(version == 1 ? 2 : 4, "header");
  size_t length = 0;
  for (size_t i = length_bytes.size(); i-- > 0;) {
    length = length << 8 | static_cast<unsigned char>(length_bytes[i]);
  }
  if (length > kMaxNpyHeader) {
    throw input_error("its header claims " + std::to_string(length) + " bytes, more than " +
                      std::to_string(kMaxNpyHeader));
  }
  const NpyHeader header = parse_npy_header(take(length, "header"));
  const uint64_t expected = storage_bytes(header.dtype, element_count(header.shape));
  if (left != expected) {
    throw input_error("its header promises " + std::string(name(header.dtype)) +
                          to_string(header.shape) + ", which is " + std::to_string(expected) +
                          " bytes, but " + std::to_string(left) + " follow",
                      left < expected ? "The file is truncated." : "");
  }
  return read_elements(header, read);
}

Tensor read_npy(const std::filesystem::path& path) {
  const MappedFile file(path);
  return within_frame([&] { return path.string(); },
                      [&] {
                        std::span<const std::byte> rest = file.bytes();
                        return read_npy(rest.size(), [&](std::byte* to, size_t count) {
                          std::copy_n(rest.begin(), count, to);
                          rest = rest.subspan(count);
                        });
                      });
}

void write_npy(const std::filesystem::path& path, const Tensor& tensor) {
  const std::string header = npy_header(tensor.dtype(), tensor.shape());
  write_file(path, [&](std::ostream& out) {
    out.write(header.data(), static_cast<std::streamsize>(header.size()));
    out.write(reinterpret_cast<const char*>(tensor.raw()),
              static_cast<std::streamsize>(tensor.bytes()));
  });
}

}  // namespace qtool
