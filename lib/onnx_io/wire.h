// SPDX-License-Identifier: Apache-2.0
// The little of protobuf's wire format that writing large models without copies needs.
// https://protobuf.dev/programming-guides/encoding
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace google::protobuf {
class MessageLite;
}

namespace qtool {

/// Takes the bytes of a file in order.
using Sink = std::function<void(std::string_view)>;

/// A message as bytes; the same message gives the same bytes. Errors (unsupported): over 2 GB.
std::string serialized(const google::protobuf::MessageLite& message);

/// Parses what serialized() gave; a bug of qtool where it does not parse.
void restore(google::protobuf::MessageLite& message, std::string_view bytes);

/// Tag and length that precede an embedded message or byte string of `size` bytes.
std::string embedded_header(int field, size_t size);

/// Where in a serialised message a field of this number belongs, so that it stands where protobuf
/// itself would have put it.
size_t position_of_field(const std::string& message, int field);

}  // namespace qtool
