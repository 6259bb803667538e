// SPDX-License-Identifier: Apache-2.0
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <fstream>
#include <limits>

#include "onnx_io/external_data.h"
#include "onnx_io/onnx_io.h"
#include "onnx_io/read_graph.h"
#include "onnx_io/tensor_proto.h"
#include "onnx_io/wire.h"
#include "support/file_reader.h"

namespace qtool {

namespace fs = std::filesystem;
namespace pb = google::protobuf;

namespace {

constexpr uint64_t kMaxBytes = std::numeric_limits<int32_t>::max();
// Messages, not graphs: a graph, its node and its attribute are three. Deep enough that graphs
// beyond kMaxSubgraphDepth reach the reader, which says so.
constexpr int kMaxMessageDepth = 3 * kMaxSubgraphDepth + 100;
constexpr int kBlockBytes = 1 << 16;

Error not_onnx(const std::string& why) {
  return input_error("this is not an ONNX model, or it is damaged: " + why);
}

bool parse(pb::MessageLite& message, pb::io::ZeroCopyInputStream& stream) {
  pb::io::CodedInputStream coded(&stream);
  coded.SetRecursionLimit(kMaxMessageDepth);
  return message.ParsePartialFromCodedStream(&coded) && coded.ConsumedEntireMessage();
}

/// What the residue keeps of opsets and metadata is described in save.cpp.
ModelInfo read_info(onnx::ModelProto& proto) {
  if (proto.ir_version() <= 0) throw not_onnx("it has no ir_version");
  ModelInfo info;
  info.ir_version = proto.ir_version();
  proto.clear_ir_version();
  for (const auto& opset : proto.opset_import()) {
    if (opset.version() <= 0) {
      throw input_error("it imports the operator set \"" + opset.domain() + "\" without a version");
    }
    int64_t& version = info.opsets[plain_domain(opset.domain())];
    version = std::max<int64_t>(version, opset.version());
  }
  // Before IR 3 there was one operator set and no field for it.
  if (info.opsets.empty() && info.ir_version < 3) info.opsets[""] = 1;
  if (info.opsets.empty()) throw input_error("it imports no operator set (opset_import)");
  for (const auto& entry : proto.metadata_props())
    info.metadata.emplace_back(entry.key(), entry.value());
  info.residue = serialized(proto);
  return info;
}

Graph take_model(onnx::ModelProto& proto, const fs::path& data_folder,
                 std::vector<fs::path>* data_files = nullptr) {
  if (!proto.has_graph()) throw not_onnx("it has no graph");
  ExternalReader files(data_folder);
  onnx::GraphProto main;
  main.Swap(proto.mutable_graph());
  proto.clear_graph();
  ModelInfo info = read_info(proto);
  Graph graph = read_graph(main, files);
  graph.model = std::move(info);
  if (data_files != nullptr) *data_files = files.paths();
  return graph;
}

void refuse_pointer_file(std::string_view start) {
  if (!start.starts_with("version https://git-lfs")) return;
  throw input_error("this is a Git LFS pointer, not the model itself",
                    "Fetch the model with: git lfs pull");
}

}  // namespace

Graph parse_model(std::span<const std::byte> bytes, const fs::path& data_folder) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.empty()) throw not_onnx("it is empty");
  refuse_pointer_file(text);
  if (bytes.size() > kMaxBytes) throw input_error("a model of more than 2 GB needs external data");
  onnx::ModelProto proto;
  pb::io::ArrayInputStream stream(bytes.data(), static_cast<int>(bytes.size()));
  if (!parse(proto, stream)) throw not_onnx("its bytes are no well-formed protobuf message");
  return take_model(proto, data_folder);
}

Graph load_model(const fs::path& path, const LoadOptions& options) {
  return within_frame(
      [&] { return path.string(); },
      [&] {
        std::error_code failure;
        if (!fs::exists(path, failure)) throw input_error("there is no such file");
        if (!fs::is_regular_file(path, failure)) throw input_error("this is not a regular file");
        const uint64_t size = fs::file_size(path, failure);
        if (failure) throw input_error("cannot read it: " + failure.message());
        if (size == 0) throw not_onnx("it is empty");
        if (size > kMaxBytes) throw input_error("a model of more than 2 GB needs external data");
        // Read in blocks, not mapped: the pages of a mapping would count beside the elements that
        // the parser copies out of them.
        std::ifstream file(path, std::ios::binary);
        if (!file) throw input_error("cannot read it");
        std::string start(std::min<uint64_t>(size, 64), '\0');
        file.read(start.data(), static_cast<std::streamsize>(start.size()));
        refuse_pointer_file(start);
        file.seekg(0);
        onnx::ModelProto proto;
        pb::io::IstreamInputStream stream(&file, kBlockBytes);
        const bool parsed = parse(proto, stream);
        if (file.bad()) throw input_error("cannot read it to its end");
        if (!parsed) throw not_onnx("its bytes are no well-formed protobuf message");
        const fs::path beside = path.has_parent_path() ? path.parent_path() : fs::path(".");
        return take_model(proto, options.data_folder.empty() ? beside : options.data_folder,
                          options.data_files);
      });
}

NamedTensor parse_named_tensor(std::span<const std::byte> bytes) {
  onnx::TensorProto proto;
  pb::io::ArrayInputStream stream(bytes.data(),
                                  static_cast<int>(std::min<size_t>(bytes.size(), kMaxBytes)));
  if (bytes.empty() || bytes.size() > kMaxBytes || !parse(proto, stream)) {
    throw input_error("this is not a tensor in ONNX's format (TensorProto), or it is damaged");
  }
  ExternalReader none({});
  std::string name = proto.name();
  return {std::move(name), take_elements(proto, none)};
}

Tensor parse_tensor(std::span<const std::byte> bytes) { return parse_named_tensor(bytes).tensor; }

FileIdentity identify(const fs::path& path, const std::vector<fs::path>& data_files) {
  FileIdentity result{sha256_of_file(path), fs::file_size(path)};
  if (data_files.empty()) return result;
  std::string lines = result.sha256 + '\n';
  for (const fs::path& file : data_files) {
    lines += sha256_of_file(file) + '\n';
    result.bytes += fs::file_size(file);
  }
  result.sha256 = sha256(std::as_bytes(std::span(lines)));
  return result;
}

}  // namespace qtool
