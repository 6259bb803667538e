// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "ir/graph.h"

namespace qtool {

TensorType::TensorType(DType type, const Shape& concrete) : dtype(type) {
  shape.emplace();
  for (const int64_t extent : concrete) shape->push_back({extent, {}});
}

std::optional<Shape> TensorType::concrete_shape() const {
  if (!shape) return std::nullopt;
  Shape result;
  for (const Dim& dim : *shape) {
    if (!dim.value) return std::nullopt;
    result.push_back(*dim.value);
  }
  return result;
}

std::string to_string(const TensorType& type) {
  std::string text(type.dtype == DType::undefined ? "?" : name(type.dtype));
  if (!type.shape) return text + "[...]";
  text += '[';
  for (size_t i = 0; i < type.shape->size(); ++i) {
    const Dim& dim = (*type.shape)[i];
    if (i > 0) text += ',';
    text += dim.value ? std::to_string(*dim.value) : dim.symbol.empty() ? "?" : dim.symbol;
  }
  return text + ']';
}

std::string to_string(const OpKey& key) {
  return key.domain.empty() ? key.type : key.domain + '.' + key.type;
}

const Attribute* Attributes::find(std::string_view name) const {
  const auto found =
      std::ranges::find_if(entries_, [&](const Entry& entry) { return entry.name == name; });
  return found == entries_.end() ? nullptr : &found->value;
}

void Attributes::set(std::string name, Attribute value) {
  for (Entry& entry : entries_) {
    if (entry.name == name) {
      entry.value = std::move(value);
      return;
    }
  }
  entries_.push_back({std::move(name), std::move(value), {}});
}

void Attributes::erase(std::string_view name) {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.name == name; });
}

namespace {

template <class T>
const T* typed(const Attributes& attributes, std::string_view name, const char* expected) {
  const Attribute* attribute = attributes.find(name);
  if (attribute == nullptr) return nullptr;
  const T* value = std::get_if<T>(attribute);
  if (value == nullptr) {
    throw input_error("the attribute \"" + std::string(name) + "\" is not " + expected);
  }
  return value;
}

}  // namespace

int64_t Attributes::integer(std::string_view name, int64_t otherwise) const {
  const auto* value = typed<int64_t>(*this, name, "an integer");
  return value != nullptr ? *value : otherwise;
}
float Attributes::real(std::string_view name, float otherwise) const {
  const auto* value = typed<float>(*this, name, "a float");
  return value != nullptr ? *value : otherwise;
}
std::string Attributes::text(std::string_view name, std::string_view otherwise) const {
  const auto* value = typed<std::string>(*this, name, "a string");
  return value != nullptr ? *value : std::string(otherwise);
}
std::vector<int64_t> Attributes::integers(std::string_view name,
                                          std::vector<int64_t> otherwise) const {
  const auto* value = typed<std::vector<int64_t>>(*this, name, "a list of integers");
  return value != nullptr ? *value : std::move(otherwise);
}
std::vector<float> Attributes::reals(std::string_view name, std::vector<float> otherwise) const {
  const auto* value = typed<std::vector<float>>(*this, name, "a list of floats");
  return value != nullptr ? *value : std::move(otherwise);
}
Constant Attributes::tensor(std::string_view name) const {
  const auto* value = typed<TensorAttribute>(*this, name, "a tensor");
  return value != nullptr ? value->tensor : nullptr;
}
SubgraphPtr Attributes::subgraph(std::string_view name) const {
  const auto* value = typed<SubgraphPtr>(*this, name, "a graph");
  return value != nullptr ? *value : nullptr;
}

}  // namespace qtool
