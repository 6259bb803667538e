// SPDX-License-Identifier: Apache-2.0
#include "data/yaml.h"

#include <yaml-cpp/yaml.h>

#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>

namespace qtool {

namespace {

constexpr size_t kMaxNodes = 10000;
constexpr int kMaxDepth = 100;

template <class T>
std::optional<T> number(const std::string& text) {
  T value{};
  const char* begin = text.data() + (text.starts_with('+') ? 1 : 0);
  const auto parsed = std::from_chars(begin, text.data() + text.size(), value);
  if (parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

Json scalar(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  if (node.Tag() == "!") return text;  // quoted
  if (text == "true") return true;
  if (text == "false") return false;
  if (const auto integer = number<int64_t>(text)) return *integer;
  const auto real = number<double>(text);
  if (real && std::isfinite(*real)) return *real;
  return text;
}

std::string place(const YAML::Mark& mark) {
  return mark.is_null() ? ""
                        : "line " + std::to_string(mark.line + 1) + ", column " +
                              std::to_string(mark.column + 1) + ": ";
}

/// The count bounds what aliases of aliases can unfold to.
class Converter {
 public:
  Json convert(const YAML::Node& node, int depth = 0) {
    if (++nodes_ > kMaxNodes || depth > kMaxDepth) {
      throw input_error("it has more than " + std::to_string(kMaxNodes) +
                        " values, or nests too deeply");
    }
    switch (node.Type()) {
      case YAML::NodeType::Scalar: return scalar(node);
      case YAML::NodeType::Sequence: {
        Json list = Json::array();
        for (const YAML::Node& item : node) list.push_back(convert(item, depth + 1));
        return list;
      }
      case YAML::NodeType::Map: {
        Json object = Json::object();
        for (const auto& item : node) {
          if (!item.first.IsScalar())
            throw input_error(place(item.first.Mark()) + "a key that is not text");
          const std::string& key = item.first.Scalar();
          if (object.contains(key))
            throw input_error(place(item.first.Mark()) + '"' + key + "\" is there twice");
          object[key] = convert(item.second, depth + 1);
        }
        return object;
      }
      default: return nullptr;
    }
  }

 private:
  size_t nodes_ = 0;
};

}  // namespace

Json parse_yaml(const std::string& text) {
  try {
    return Converter().convert(YAML::Load(text));
  } catch (const YAML::Exception& failure) {
    throw input_error(place(failure.mark) + "not valid YAML: " + failure.msg);
  }
}

}  // namespace qtool
