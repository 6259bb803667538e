// SPDX-License-Identifier: Apache-2.0
// Models written straight with protobuf's classes, so that the room under test has no part in them.
#pragma once

#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <onnx/onnx_pb.h>

#include <span>
#include <string>

#include "catch.h"
#include "onnx_io/onnx_io.h"

namespace qtool::test {

inline std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span<const char>(text));
}

/// A message from protobuf's text format.
template <class Message>
Message message(const std::string& text) {
  Message result;
  REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &result));
  return result;
}

/// A model of opset 17 with this graph, in text format.
inline onnx::ModelProto model_of(const std::string& graph, int ir_version = 8) {
  return message<onnx::ModelProto>("ir_version: " + std::to_string(ir_version) +
                                   " opset_import { domain: \"\" version: 17 } graph { " + graph +
                                   " }");
}

inline Graph parsed(const onnx::ModelProto& model, const std::filesystem::path& folder = {}) {
  return parse_model(bytes_of(model.SerializeAsString()), folder);
}

inline onnx::ModelProto written(const Graph& graph) {
  onnx::ModelProto model;
  REQUIRE(model.ParseFromString(serialize_model(graph)));
  return model;
}

/// Where the two differ, but for the order of lists whose order ONNX gives no meaning.
inline std::string difference(const onnx::ModelProto& a, const onnx::ModelProto& b) {
  namespace util = google::protobuf::util;
  util::MessageDifferencer differ;
  util::DefaultFieldComparator numbers;
  numbers.set_treat_nan_as_equal(true);
  differ.set_field_comparator(&numbers);
  const auto as_map = [&](const auto* owner, const char* list, const char* key) {
    const auto* field = owner->FindFieldByName(list);
    differ.TreatAsMap(field, field->message_type()->FindFieldByName(key));
  };
  as_map(onnx::GraphProto::descriptor(), "initializer", "name");
  as_map(onnx::GraphProto::descriptor(), "value_info", "name");
  as_map(onnx::ModelProto::descriptor(), "metadata_props", "key");
  as_map(onnx::ModelProto::descriptor(), "opset_import", "domain");
  std::string report;
  differ.ReportDifferencesToString(&report);
  return differ.Compare(a, b) ? "" : report.empty() ? "they differ" : report;
}

/// Read and written again it is the same, and the graph is sound.
inline void require_round_trip(const onnx::ModelProto& model) {
  const Graph graph = parsed(model);
  REQUIRE(verify(graph) == std::vector<std::string>{});
  REQUIRE(difference(model, written(graph)) == "");
}

}  // namespace qtool::test
