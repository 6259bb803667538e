// SPDX-License-Identifier: Apache-2.0
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "onnx_io/external_data.h"
#include "onnx_io/onnx_io.h"
#include "onnx_io/read_graph.h"
#include "onnx_io/tensor_proto.h"
#include "onnx_io/wire.h"
#include "onnx_io/write_graph.h"
#include "support/file.h"

namespace qtool {

namespace fs = std::filesystem;

namespace {

/// A model in the pieces that its file is put together from, so that weights are never copied.
struct ModelParts {
  std::string model;  ///< a ModelProto without graph
  std::string graph;  ///< its GraphProto without initializers
  std::vector<PendingInitializer> initializers;
};

/// The residue keeps the imports as the file had them: their order, "ai.onnx" spelled out, a second
/// one for a domain. They stand while they say the same as the map.
void write_opsets(const ModelInfo& info, onnx::ModelProto& proto) {
  std::map<std::string, int64_t> kept;
  for (const auto& opset : proto.opset_import()) {
    int64_t& version = kept[plain_domain(opset.domain())];
    version = std::max<int64_t>(version, opset.version());
  }
  if (kept == info.opsets) return;
  const bool implied = info.ir_version < 3 && kept.empty();
  if (implied && info.opsets == std::map<std::string, int64_t>{{"", 1}}) return;
  auto rest = info.opsets;
  onnx::ModelProto edited;
  for (auto& opset : *proto.mutable_opset_import()) {
    const auto found = rest.find(plain_domain(opset.domain()));
    if (found == rest.end()) continue;
    opset.set_version(found->second);
    opset.Swap(edited.add_opset_import());
    rest.erase(found);
  }
  for (const auto& [domain, version] : rest) {
    auto& opset = *edited.add_opset_import();
    opset.set_domain(domain);
    opset.set_version(version);
  }
  proto.mutable_opset_import()->Swap(edited.mutable_opset_import());
}

void write_metadata(const ModelInfo& info, onnx::ModelProto& proto) {
  const auto same = [](const auto& entry, const auto& pair) {
    return entry.key() == pair.first && entry.value() == pair.second;
  };
  if (std::ranges::equal(proto.metadata_props(), info.metadata, same)) return;
  proto.clear_metadata_props();
  for (const auto& [key, value] : info.metadata) {
    auto& entry = *proto.add_metadata_props();
    entry.set_key(key);
    entry.set_value(value);
  }
}

ModelParts compose(const Graph& graph, ExternalWriter* external) {
  ModelParts parts;
  onnx::ModelProto model;
  if (!graph.model.residue.empty()) restore(model, graph.model.residue);
  model.set_ir_version(graph.model.ir_version);
  write_opsets(graph.model, model);
  write_metadata(graph.model, model);
  parts.model = serialized(model);
  onnx::GraphProto main;
  parts.initializers = write_graph(graph, external, main);
  parts.graph = serialized(main);
  return parts;
}

std::string raw_header(const PendingInitializer& initializer) {
  if (initializer.raw.empty()) return {};
  return embedded_header(onnx::TensorProto::kRawDataFieldNumber, initializer.raw.size());
}

size_t size_of(const PendingInitializer& initializer) {
  return initializer.description.size() + raw_header(initializer).size() + initializer.raw.size();
}

void emit(const PendingInitializer& initializer, const Sink& sink) {
  const std::string_view description = initializer.description;
  const std::string header = raw_header(initializer);
  const size_t place =
      position_of_field(initializer.description, onnx::TensorProto::kRawDataFieldNumber);
  sink(embedded_header(onnx::GraphProto::kInitializerFieldNumber, size_of(initializer)));
  sink(description.substr(0, place));
  sink(header);
  sink(initializer.raw);
  sink(description.substr(place));
}

/// The bytes of the file, each field where protobuf itself would have put it.
void emit(const ModelParts& parts, const Sink& sink) {
  constexpr int kInitializer = onnx::GraphProto::kInitializerFieldNumber;
  size_t graph_size = parts.graph.size();
  for (const PendingInitializer& initializer : parts.initializers) {
    const size_t size = size_of(initializer);
    graph_size += embedded_header(kInitializer, size).size() + size;
  }
  if (graph_size + parts.model.size() + 16 >
      static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    throw unsupported_error("the model takes more than 2 GB in one file",
                            "Save it with external data.");
  }
  const std::string_view model = parts.model;
  const std::string_view graph = parts.graph;
  const size_t in_model = position_of_field(parts.model, onnx::ModelProto::kGraphFieldNumber);
  const size_t in_graph = position_of_field(parts.graph, kInitializer);
  sink(model.substr(0, in_model));
  sink(embedded_header(onnx::ModelProto::kGraphFieldNumber, graph_size));
  sink(graph.substr(0, in_graph));
  for (const PendingInitializer& initializer : parts.initializers) emit(initializer, sink);
  sink(graph.substr(in_graph));
  sink(model.substr(in_model));
}

uint64_t tensor_bytes(const Graph& graph) {
  uint64_t total = 0;
  for (const ValueId id : graph.values()) {
    if (const Constant& constant = graph.value(id).constant) total += constant->bytes();
  }
  const auto add_graph = [&](const SubgraphPtr& body) { total += tensor_bytes(*body); };
  const auto add_tensor = [&](const TensorAttribute& attribute) {
    total += attribute.tensor->bytes();
  };
  for (const NodeId id : graph.nodes()) {
    for (const auto& [name, value, residue] : graph.node(id).attributes.entries()) {
      if (const auto* tensor = std::get_if<TensorAttribute>(&value)) add_tensor(*tensor);
      if (const auto* tensors = std::get_if<std::vector<TensorAttribute>>(&value)) {
        std::ranges::for_each(*tensors, add_tensor);
      }
      if (const auto* body = std::get_if<SubgraphPtr>(&value)) add_graph(*body);
      if (const auto* bodies = std::get_if<std::vector<SubgraphPtr>>(&value)) {
        std::ranges::for_each(*bodies, add_graph);
      }
    }
  }
  return total;
}

fs::path data_path_of(fs::path path) {
  path += ".data";
  return path;
}

/// Where large tensors go that shall not or cannot be inline.
std::optional<ExternalWriter> data_file(const Graph& graph, std::string name,
                                        const SaveOptions& options) {
  if (options.external_data == SaveOptions::ExternalData::automatic &&
      tensor_bytes(graph) <= options.inline_limit) {
    return std::nullopt;
  }
  return ExternalWriter(std::move(name), options.external_threshold);
}

}  // namespace

uint64_t save_model(const Graph& graph, const fs::path& path, const SaveOptions& options) {
  return within_frame([&] { return path.string(); },
                      [&] {
                        fs::path data_path = path;
                        data_path += ".data";
                        auto external = data_file(graph, data_path.filename().string(), options);
                        const ModelParts parts = compose(graph, external ? &*external : nullptr);
                        // The data first: a model that is there has its data.
                        if (external && !external->empty()) external->write(data_path);
                        uint64_t bytes = external ? external->bytes() : 0;
                        write_file(path, [&](std::ostream& out) {
                          emit(parts, [&](std::string_view part) {
                            out.write(part.data(), static_cast<std::streamsize>(part.size()));
                            bytes += part.size();
                          });
                        });
                        return bytes;
                      });
}

uint64_t saved_bytes(const Graph& graph, const fs::path& path, const SaveOptions& options) {
  auto external = data_file(graph, data_path_of(path).filename().string(), options);
  const ModelParts parts = compose(graph, external ? &*external : nullptr);
  uint64_t bytes = external ? external->bytes() : 0;
  emit(parts, [&](std::string_view part) { bytes += part.size(); });
  return bytes;
}

std::string serialize_model(const Graph& graph) {
  const ModelParts parts = compose(graph, nullptr);
  std::string bytes;
  emit(parts, [&](std::string_view part) { bytes += part; });
  return bytes;
}

std::string serialize_tensor(const Tensor& tensor, const std::string& name) {
  onnx::TensorProto proto;
  write_tensor(tensor, {}, nullptr, proto);
  if (!name.empty()) proto.set_name(name);
  return serialized(proto);
}

}  // namespace qtool
