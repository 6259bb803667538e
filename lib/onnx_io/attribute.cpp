// SPDX-License-Identifier: Apache-2.0
#include "onnx_io/attribute.h"

#include <onnx/onnx_pb.h>

#include <bit>

#include "onnx_io/external_data.h"
#include "onnx_io/tensor_proto.h"
#include "onnx_io/wire.h"

namespace qtool {

namespace {

using Proto = onnx::AttributeProto;

// As `type` of a residue: the scalar was left out because it is zero, as writers of proto3 do.
constexpr auto kHadNoValue = Proto::INT;

/// The type; IR 1 had none, there the one field that is set decides.
Proto::AttributeType type_of(const Proto& proto) {
  if (!proto.ref_attr_name().empty()) return Proto::UNDEFINED;
  if (proto.type() != Proto::UNDEFINED) return proto.type();
  Proto::AttributeType type = Proto::UNDEFINED;
  int found = 0;
  const auto consider = [&](bool set, Proto::AttributeType candidate) {
    if (!set) return;
    type = candidate;
    ++found;
  };
  consider(proto.has_f(), Proto::FLOAT);
  consider(proto.has_i(), Proto::INT);
  consider(proto.has_s(), Proto::STRING);
  consider(proto.has_t(), Proto::TENSOR);
  consider(proto.has_g(), Proto::GRAPH);
  consider(proto.floats_size() > 0, Proto::FLOATS);
  consider(proto.ints_size() > 0, Proto::INTS);
  consider(proto.strings_size() > 0, Proto::STRINGS);
  consider(proto.tensors_size() > 0, Proto::TENSORS);
  consider(proto.graphs_size() > 0, Proto::GRAPHS);
  return found == 1 ? type : Proto::UNDEFINED;
}

template <class Repeated>
auto to_vector(const Repeated& elements) {
  return std::vector<typename Repeated::value_type>(elements.begin(), elements.end());
}

std::vector<TensorAttribute> take_tensors(Proto& proto, ExternalReader& files) {
  std::vector<TensorAttribute> tensors;
  for (auto& tensor : *proto.mutable_tensors()) tensors.push_back(take_tensor(tensor, files));
  return tensors;
}

std::vector<SubgraphPtr> take_graphs(Proto& proto, const ReadBody& read) {
  std::vector<SubgraphPtr> graphs;
  for (int i = 0; i < proto.graphs_size(); ++i) {
    graphs.push_back(read(*proto.mutable_graphs(i), proto.name(), i));
  }
  return graphs;
}

/// The value, which is cleared in the message; nothing where the IR has no form for it.
std::optional<Attribute> take_value(Proto& proto, Proto::AttributeType type, ExternalReader& files,
                                    const ReadBody& read) {
  std::optional<Attribute> value;
  switch (type) {
    case Proto::FLOAT:
      value = proto.f();
      proto.clear_f();
      break;
    case Proto::INT:
      value = int64_t{proto.i()};
      proto.clear_i();
      break;
    case Proto::STRING:
      value = std::string(proto.s());
      proto.clear_s();
      break;
    case Proto::TENSOR:
      if (!proto.has_t()) throw input_error("its tensor is missing");
      value = take_tensor(*proto.mutable_t(), files);
      proto.clear_t();
      break;
    case Proto::GRAPH:
      if (!proto.has_g()) throw input_error("its graph is missing");
      value = read(*proto.mutable_g(), proto.name(), 0);
      proto.clear_g();
      break;
    case Proto::FLOATS:
      value = to_vector(proto.floats());
      proto.clear_floats();
      break;
    case Proto::INTS:
      value = std::vector<int64_t>(proto.ints().begin(), proto.ints().end());
      proto.clear_ints();
      break;
    case Proto::STRINGS:
      value = to_vector(proto.strings());
      proto.clear_strings();
      break;
    case Proto::TENSORS:
      value = take_tensors(proto, files);
      proto.clear_tensors();
      break;
    case Proto::GRAPHS:
      value = take_graphs(proto, read);
      proto.clear_graphs();
      break;
    default: break;
  }
  return value;
}

bool lacks_scalar(const Proto& proto, Proto::AttributeType type) {
  return (type == Proto::FLOAT && !proto.has_f()) || (type == Proto::INT && !proto.has_i()) ||
         (type == Proto::STRING && !proto.has_s());
}

void write_named_tensor(const TensorAttribute& attribute, ExternalWriter* external,
                        onnx::TensorProto& proto) {
  write_tensor(*attribute.tensor, attribute.residue, external, proto);
  if (!attribute.name.empty()) proto.set_name(attribute.name);
}

/// One overload for each kind of value: sets the field that belongs to it and the type.
class ValueWriter {
 public:
  ValueWriter(Proto& proto, const std::string& name, ExternalWriter* external,
              const WriteBody& write, bool omit_zero)
      : proto_(proto), name_(name), external_(external), write_(write), omit_zero_(omit_zero) {}

  void operator()(float value) const {
    if (!omit_zero_ || std::bit_cast<uint32_t>(value) != 0) proto_.set_f(value);
    proto_.set_type(Proto::FLOAT);
  }
  void operator()(int64_t value) const {
    if (!omit_zero_ || value != 0) proto_.set_i(value);
    proto_.set_type(Proto::INT);
  }
  void operator()(const std::string& value) const {
    if (!omit_zero_ || !value.empty()) proto_.set_s(value);
    proto_.set_type(Proto::STRING);
  }
  void operator()(const std::vector<float>& value) const {
    proto_.mutable_floats()->Add(value.begin(), value.end());
    proto_.set_type(Proto::FLOATS);
  }
  void operator()(const std::vector<int64_t>& value) const {
    proto_.mutable_ints()->Add(value.begin(), value.end());
    proto_.set_type(Proto::INTS);
  }
  void operator()(const std::vector<std::string>& value) const {
    for (const std::string& text : value) proto_.add_strings(text);
    proto_.set_type(Proto::STRINGS);
  }
  void operator()(const TensorAttribute& value) const {
    write_named_tensor(value, external_, *proto_.mutable_t());
    proto_.set_type(Proto::TENSOR);
  }
  void operator()(const std::vector<TensorAttribute>& value) const {
    for (const TensorAttribute& tensor : value)
      write_named_tensor(tensor, external_, *proto_.add_tensors());
    proto_.set_type(Proto::TENSORS);
  }
  void operator()(const SubgraphPtr& value) const {
    write_(*value, name_, 0, *proto_.mutable_g());
    proto_.set_type(Proto::GRAPH);
  }
  void operator()(const std::vector<SubgraphPtr>& value) const {
    for (size_t i = 0; i < value.size(); ++i) {
      write_(*value[i], name_, static_cast<int>(i), *proto_.add_graphs());
    }
    proto_.set_type(Proto::GRAPHS);
  }
  void operator()(const OpaqueAttribute& value) const { restore(proto_, value.bytes); }

 private:
  Proto& proto_;
  const std::string& name_;
  ExternalWriter* external_;
  const WriteBody& write_;
  bool omit_zero_;
};

}  // namespace

Attributes::Entry take_attribute(Proto& proto, ExternalReader& files, const ReadBody& read) {
  Attributes::Entry entry;
  entry.name = proto.name();
  const Proto::AttributeType type = type_of(proto);
  const bool had_no_value = lacks_scalar(proto, type);
  std::optional<Attribute> value = take_value(proto, type, files, read);
  proto.clear_name();
  if (!value) {
    entry.value = OpaqueAttribute{serialized(proto)};
    return entry;
  }
  entry.value = std::move(*value);
  proto.clear_type();
  if (had_no_value) proto.set_type(kHadNoValue);
  entry.residue = serialized(proto);
  return entry;
}

void write_attribute(const Attributes::Entry& entry, ExternalWriter* external,
                     const WriteBody& write, Proto& proto) {
  if (!entry.residue.empty()) restore(proto, entry.residue);
  const bool had_no_value = proto.type() == kHadNoValue;
  std::visit(ValueWriter(proto, entry.name, external, write, had_no_value), entry.value);
  proto.set_name(entry.name);
}

}  // namespace qtool
