// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "ir/graph.h"

namespace qtool {

namespace {

constexpr size_t kListLimit = 16;     // elements of a list attribute
constexpr int64_t kElementLimit = 8;  // elements of a constant
constexpr size_t kTextLimit = 60;     // bytes of a string

/// In quotes, on one line, whatever bytes a file put into it.
std::string quoted(std::string_view text, size_t limit = std::string_view::npos) {
  std::string result = "\"";
  for (const char c : text.substr(0, limit)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') result += '\\';
    if (byte < 0x20 || byte == 0x7f) {
      result += fmt::format("\\x{:02x}", byte);
    } else {
      result += c;
    }
  }
  return result + (text.size() > limit ? "...\"" : "\"");
}

std::string value_text(const Graph& graph, ValueId id) {
  if (id == ValueId::none) return "_";
  const std::string& name = graph.value(id).name;
  const bool plain = std::ranges::all_of(name, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '.' || c == '/' || c == ':' || c == '-';
  });
  return '%' + (plain ? name : quoted(name));
}

template <class T>
std::string list_text(const std::vector<T>& elements) {
  std::string text = "[";
  for (size_t i = 0; i < std::min(elements.size(), kListLimit); ++i) {
    if (i > 0) text += ',';
    if constexpr (std::is_same_v<T, std::string>) {
      text += quoted(elements[i], kTextLimit);
    } else {
      text += fmt::format("{}", elements[i]);
    }
  }
  if (elements.size() > kListLimit) text += fmt::format(",...{} in all", elements.size());
  return text + ']';
}

std::string tensor_text(const Constant& tensor) {
  if (tensor == nullptr) return "none";
  std::string text = to_string(TensorType(tensor->dtype(), tensor->shape()));
  if (tensor->size() > kElementLimit || tensor->size() == 0) return text;
  text += " = ";
  if (tensor->dtype() == DType::string) return text + list_text(tensor->strings());
  const int width = bits(tensor->dtype());
  if (is_integer(tensor->dtype()) && width <= 32) return text + list_text(to_int64s(*tensor));
  switch (tensor->dtype()) {
    case DType::int64:
    case DType::boolean: return text + list_text(to_int64s(*tensor));
    case DType::float32:
    case DType::float16:
    case DType::bfloat16: return text + list_text(to_floats(*tensor));
    case DType::float64: return text + list_text(to_doubles(*tensor));
    case DType::uint64: {
      const auto elements = tensor->data<uint64_t>();
      return text + list_text(std::vector<uint64_t>(elements.begin(), elements.end()));
    }
    default: return text + "...";  // complex and small floats have no C++ type
  }
}

struct AttributeText {
  std::string operator()(int64_t value) const { return std::to_string(value); }
  std::string operator()(float value) const { return fmt::format("{}", value); }
  std::string operator()(const std::string& value) const { return quoted(value, kTextLimit); }
  std::string operator()(const std::vector<int64_t>& value) const { return list_text(value); }
  std::string operator()(const std::vector<float>& value) const { return list_text(value); }
  std::string operator()(const std::vector<std::string>& value) const { return list_text(value); }
  std::string operator()(const TensorAttribute& value) const { return tensor_text(value.tensor); }
  std::string operator()(const std::vector<TensorAttribute>& value) const {
    return fmt::format("{} tensors", value.size());
  }
  std::string operator()(const SubgraphPtr&) const { return "graph"; }
  std::string operator()(const std::vector<SubgraphPtr>& value) const {
    return fmt::format("{} graphs", value.size());
  }
  std::string operator()(const OpaqueAttribute& value) const {
    return fmt::format("opaque {} bytes", value.bytes.size());
  }
};

std::string attributes_text(const Attributes& attributes) {
  std::string text;
  for (const auto& entry : attributes.entries()) {
    text +=
        (text.empty() ? "" : ", ") + entry.name + '=' + std::visit(AttributeText{}, entry.value);
  }
  return text.empty() ? "" : " {" + text + '}';
}

std::string values_text(const Graph& graph, std::span<const ValueId> ids) {
  std::string text;
  for (size_t i = 0; i < ids.size(); ++i) text += (i > 0 ? ", " : "") + value_text(graph, ids[i]);
  return text;
}

std::string head_text(const Graph& graph) {
  std::string text = "graph " + quoted(graph.name, kTextLimit);
  for (const auto& [domain, version] : graph.model.opsets) {
    text += fmt::format(" {} {}", domain.empty() ? "opset" : domain, version);
  }
  return text + '\n';
}

void print_graph(const Graph& graph, const std::string& indent, std::string& text);

void print_subgraph(const Graph& graph, const Node& node, const std::string& attribute, int index,
                    const SubgraphPtr& body, const std::string& indent, std::string& text) {
  if (body == nullptr) return;
  text +=
      indent + attribute + (index > 0 ? fmt::format("[{}]", index) : "") + ": " + head_text(*body);
  for (const Capture& capture : node.captures) {
    if (capture.attribute != attribute || capture.index != index) continue;
    text += indent + "  capture " + value_text(*body, capture.inner) + " = outer " +
            value_text(graph, capture.outer) + '\n';
  }
  print_graph(*body, indent + "  ", text);
}

void print_node(const Graph& graph, const Node& node, const std::string& indent,
                std::string& text) {
  text += indent + values_text(graph, node.outputs) + " = " + to_string(node.op) + '(' +
          values_text(graph, node.inputs) + ')' + attributes_text(node.attributes) +
          (node.name.empty() ? "" : ' ' + quoted(node.name)) + '\n';
  for (const auto& entry : node.attributes.entries()) {
    if (const auto* one = std::get_if<SubgraphPtr>(&entry.value)) {
      print_subgraph(graph, node, entry.name, 0, *one, indent + "  ", text);
    } else if (const auto* many = std::get_if<std::vector<SubgraphPtr>>(&entry.value)) {
      for (size_t i = 0; i < many->size(); ++i) {
        print_subgraph(graph, node, entry.name, static_cast<int>(i), (*many)[i], indent + "  ",
                       text);
      }
    }
  }
}

void print_graph(const Graph& graph, const std::string& indent, std::string& text) {
  for (const ValueId id : graph.inputs()) {
    text +=
        indent + "input " + value_text(graph, id) + ": " + to_string(graph.value(id).type) + '\n';
  }
  for (const ValueId id : graph.values()) {
    const Constant& constant = graph.value(id).constant;
    if (constant == nullptr) continue;
    text += indent + "constant " + value_text(graph, id) + ": " + tensor_text(constant) + '\n';
  }
  for (const NodeId id : graph.topological_order()) print_node(graph, graph.node(id), indent, text);
  for (const ValueId id : graph.outputs()) {
    text +=
        indent + "output " + value_text(graph, id) + ": " + to_string(graph.value(id).type) + '\n';
  }
}

}  // namespace

std::string to_text(const Graph& graph) {
  std::string text = head_text(graph);
  print_graph(graph, "  ", text);
  return text;
}

}  // namespace qtool
