// SPDX-License-Identifier: Apache-2.0
#include "onnx_io/functions.h"

#include <google/protobuf/unknown_field_set.h>
#include <onnx/onnx_pb.h>

#include <algorithm>

#include "onnx_io/attribute.h"
#include "onnx_io/external_data.h"
#include "onnx_io/onnx_io.h"
#include "onnx_io/read_graph.h"
#include "onnx_io/wire.h"

namespace qtool {

namespace {

/// FunctionProto.attribute_proto, which ONNX has had since 1.13.
constexpr int kAttributeProtoField = 11;

template <class Function>
std::vector<onnx::AttributeProto> default_attributes(const Function& function) {
  std::vector<onnx::AttributeProto> result;
  if constexpr (requires { function.attribute_proto(); }) {
    result.assign(function.attribute_proto().begin(), function.attribute_proto().end());
  } else {
    const auto& unknown = function.GetReflection()->GetUnknownFields(function);
    for (int i = 0; i < unknown.field_count(); ++i) {
      const auto& field = unknown.field(i);
      if (field.number() != kAttributeProtoField ||
          field.type() != google::protobuf::UnknownField::TYPE_LENGTH_DELIMITED) {
        continue;
      }
      if (!result.emplace_back().ParsePartialFromString(field.length_delimited()))
        throw input_error("a default of its attributes is damaged");
    }
  }
  return result;
}

Attributes read_defaults(const onnx::FunctionProto& function, ExternalReader& files) {
  Attributes defaults;
  for (onnx::AttributeProto& proto : default_attributes(function)) {
    defaults.append(
        take_attribute(proto, files, [](onnx::GraphProto&, const std::string&, int) -> SubgraphPtr {
          throw unsupported_error("a function's attribute has a graph as its default");
        }));
  }
  return defaults;
}

LocalFunction read_function(onnx::FunctionProto& proto) {
  ExternalReader files({});
  LocalFunction function;
  function.key = {plain_domain(proto.domain()), proto.name()};
  for (const auto& opset : proto.opset_import())
    function.opsets[plain_domain(opset.domain())] = opset.version();
  function.defaults = read_defaults(proto, files);
  onnx::GraphProto graph;
  graph.set_name(proto.name());
  for (const std::string& input : proto.input()) graph.add_input()->set_name(input);
  for (const std::string& output : proto.output()) graph.add_output()->set_name(output);
  graph.mutable_node()->Swap(proto.mutable_node());
  function.body = read_graph(graph, files);
  return function;
}

}  // namespace

std::vector<LocalFunction> local_functions(const ModelInfo& model) {
  std::vector<LocalFunction> functions;
  if (model.residue.empty()) return functions;
  onnx::ModelProto proto;
  restore(proto, model.residue);
  for (auto& each : *proto.mutable_functions()) {
    const std::string name = each.name();
    within_frame([&] { return "function \"" + name + '"'; },
                 [&] { functions.push_back(read_function(each)); });
    const bool twice = std::count_if(functions.begin(), functions.end(), [&](const auto& other) {
                         return other.key == functions.back().key;
                       }) > 1;
    if (twice) {
      throw unsupported_error("the model defines the function \"" + name + "\" more than once",
                              "qtool does not tell overloads apart.");
    }
  }
  return functions;
}

std::string referenced_attribute(const Attribute& attribute) {
  const auto* opaque = std::get_if<OpaqueAttribute>(&attribute);
  if (opaque == nullptr) return {};
  onnx::AttributeProto proto;
  restore(proto, opaque->bytes);
  return proto.ref_attr_name();
}

}  // namespace qtool
