// SPDX-License-Identifier: Apache-2.0
#include "tensor/npy_header.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>

#include "tensor/npy.h"

namespace qtool {

namespace {

constexpr size_t kMaxRank = 64;

struct Code {
  std::string_view text;  ///< NumPy's kind and size
  DType dtype;
};

constexpr std::array<Code, 12> kCodes{{{"b1", DType::boolean},
                                       {"i1", DType::int8},
                                       {"i2", DType::int16},
                                       {"i4", DType::int32},
                                       {"i8", DType::int64},
                                       {"u1", DType::uint8},
                                       {"u2", DType::uint16},
                                       {"u4", DType::uint32},
                                       {"u8", DType::uint64},
                                       {"f2", DType::float16},
                                       {"f4", DType::float32},
                                       {"f8", DType::float64}}};

/// Reads tokens of a Python literal from the front.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  bool skip(char wanted) {
    skip_space();
    if (rest_.empty() || rest_.front() != wanted) return false;
    rest_.remove_prefix(1);
    return true;
  }

  void expect(char wanted) {
    if (!skip(wanted)) fail(std::string("expected '") + wanted + "'");
  }

  bool at_end() {
    skip_space();
    return rest_.empty();
  }

  std::string_view quoted() {
    skip_space();
    if (rest_.empty() || (rest_.front() != '\'' && rest_.front() != '"')) {
      if (!rest_.empty() && rest_.front() == '[') {
        throw unsupported_error("it holds records with several fields",
                                "Save every field as an array of its own.");
      }
      fail("expected a quoted text");
    }
    const size_t end = rest_.find(rest_.front(), 1);
    if (end == std::string_view::npos) fail("a quoted text does not end");
    const std::string_view text = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return text;
  }

  bool boolean() {
    skip_space();
    for (const std::string_view word : {"True", "False"}) {
      if (!rest_.starts_with(word)) continue;
      rest_.remove_prefix(word.size());
      return word == "True";
    }
    fail("expected True or False");
  }

  Shape shape() {
    Shape extents;
    expect('(');
    while (!skip(')')) {
      skip_space();
      int64_t extent = 0;
      const auto parsed = std::from_chars(rest_.data(), rest_.data() + rest_.size(), extent);
      if (parsed.ec != std::errc{} || extent < 0) fail("expected an extent of at least 0");
      rest_.remove_prefix(static_cast<size_t>(parsed.ptr - rest_.data()));
      skip('L');  // Python 2 wrote long integers so
      extents.push_back(extent);
      if (extents.size() > kMaxRank) fail("an array of more than 64 dimensions");
      if (!skip(',')) {
        expect(')');
        break;
      }
    }
    return extents;
  }

  [[noreturn]] void fail(const std::string& what) {
    const std::string near =
        rest_.empty() ? "the end" : '"' + std::string(rest_.substr(0, 20)) + '"';
    throw input_error("its header is not one that NumPy writes: " + what + " at " + near);
  }

 private:
  void skip_space() {
    const size_t first = rest_.find_first_not_of(" \t\n");
    rest_.remove_prefix(std::min(first, rest_.size()));
  }

  std::string_view rest_;
};

/// "<f4" or "|b1": byte order, kind, bytes.
void set_type(NpyHeader& header, std::string_view text) {
  const char order = text.empty() ? ' ' : text.front();
  if (std::string_view("<>|=").find(order) != std::string_view::npos) {
    for (const Code& code : kCodes) {
      if (code.text != text.substr(1)) continue;
      header.dtype = code.dtype;
      header.swapped = order == '>' && bits(code.dtype) > 8;
      return;
    }
  }
  throw unsupported_error(
      "its elements have NumPy's type '" + std::string(text.substr(0, 20)) + '\'',
      "Convert them with astype to bool, int8 to int64, uint8 to uint64 or float16 to float64.");
}

}  // namespace

NpyHeader parse_npy_header(std::string_view text) {
  Reader reader(text);
  NpyHeader header;
  std::optional<Shape> shape;
  std::optional<bool> fortran;
  reader.expect('{');
  while (!reader.skip('}')) {
    const std::string_view key = reader.quoted();
    reader.expect(':');
    if (key == "descr" && header.dtype == DType::undefined) {
      set_type(header, reader.quoted());
    } else if (key == "fortran_order" && !fortran) {
      fortran = reader.boolean();
    } else if (key == "shape" && !shape) {
      shape = reader.shape();
    } else {
      reader.fail("the key '" + std::string(key.substr(0, 20)) + "' is unknown or there twice");
    }
    if (!reader.skip(',')) {
      reader.expect('}');
      break;
    }
  }
  if (!reader.at_end()) reader.fail("unexpected text");
  if (header.dtype == DType::undefined || !fortran || !shape) {
    reader.fail("it lacks one of 'descr', 'fortran_order', 'shape'");
  }
  header.fortran = *fortran;
  header.shape = std::move(*shape);
  return header;
}

std::string npy_header(DType dtype, const Shape& shape) {
  std::string type;
  for (const Code& code : kCodes) {
    if (code.dtype != dtype) continue;
    type = bits(dtype) == 8 ? '|' : '<';
    type += code.text;
  }
  if (type.empty()) {
    throw unsupported_error("NumPy files have no elements of type " + std::string(name(dtype)),
                            "Cast the tensor to float or int8 first.");
  }
  std::string extents;
  for (const int64_t extent : shape) {
    if (!extents.empty()) extents += ", ";
    extents += std::to_string(extent);
  }
  if (shape.size() == 1) extents += ',';
  std::string text =
      "{'descr': '" + type + "', 'fortran_order': False, 'shape': (" + extents + "), }";
  constexpr size_t kPreamble = 10;
  text.append(63 - (kPreamble + text.size()) % 64, ' ');
  text += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(text.size() & 255);
  header += static_cast<char>(text.size() >> 8);
  return header + text;
}

}  // namespace qtool
