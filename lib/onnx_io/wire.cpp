// SPDX-License-Identifier: Apache-2.0
#include "onnx_io/wire.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message_lite.h>
#include <google/protobuf/wire_format_lite.h>

#include <limits>

#include "support/checked.h"

namespace qtool {

namespace pb = google::protobuf;
using pb::internal::WireFormatLite;

std::string serialized(const pb::MessageLite& message) {
  if (message.ByteSizeLong() > static_cast<size_t>(std::numeric_limits<int>::max())) {
    throw unsupported_error("a part of the model without its initializers takes more than 2 GB");
  }
  std::string bytes;
  {
    pb::io::StringOutputStream stream(&bytes);
    pb::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    QTOOL_CHECK(message.SerializePartialToCodedStream(&coded), "the message serialises");
  }
  return bytes;
}

void restore(pb::MessageLite& message, std::string_view bytes) {
  QTOOL_CHECK(message.ParsePartialFromArray(bytes.data(), narrow<int>(bytes.size())),
              "a residue parses");
}

std::string embedded_header(int field, size_t size) {
  std::string bytes;
  const auto put = [&](uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
    bytes += static_cast<char>(value);
  };
  put(WireFormatLite::MakeTag(field, WireFormatLite::WIRETYPE_LENGTH_DELIMITED));
  put(size);
  return bytes;
}

size_t position_of_field(const std::string& message, int field) {
  pb::io::CodedInputStream coded(reinterpret_cast<const uint8_t*>(message.data()),
                                 narrow<int>(message.size()));
  for (;;) {
    const int position = coded.CurrentPosition();
    const uint32_t tag = coded.ReadTag();
    if (tag == 0 || WireFormatLite::GetTagFieldNumber(tag) > field)
      return static_cast<size_t>(position);
    QTOOL_CHECK(WireFormatLite::SkipField(&coded, tag), "own output is well-formed");
  }
}

}  // namespace qtool
