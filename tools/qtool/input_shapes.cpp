// SPDX-License-Identifier: Apache-2.0
#include "input_shapes.h"

#include <algorithm>
#include <charconv>

#include "support/text.h"

namespace qtool {

namespace {

std::pair<std::string, Shape> parse_one(const std::string& text) {
  const auto wrong = [&] {
    return usage_error("--shape \"" + text + "\": expected NAME=EXTENT,EXTENT,...",
                       "For instance --shape input=1,3,224,224; `qtool inspect` lists the inputs.");
  };
  const size_t equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0) throw wrong();
  auto shape = parse_extents(text.substr(equals + 1));
  if (!shape) throw wrong();
  return {text.substr(0, equals), std::move(*shape)};
}

}  // namespace

std::optional<Shape> parse_extents(const std::string& text) {
  Shape shape;
  for (const std::string& word : split(text, ',')) {
    int64_t extent = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), extent);
    constexpr int64_t kMost = int64_t{1} << 31;
    if (error != std::errc() || end != word.data() + word.size() || extent < 1 || extent > kMost)
      return std::nullopt;
    shape.push_back(extent);
  }
  element_count(shape);
  return shape;
}

InputShapes parse_input_shapes(std::span<const std::string> texts) {
  InputShapes shapes;
  for (const std::string& text : texts) {
    if (!shapes.insert(parse_one(text)).second)
      throw usage_error("--shape " + text + ": this input has a shape already");
  }
  return shapes;
}

void declare_input_shapes(CLI::App& app, std::vector<std::string>& texts) {
  app.add_option("--shape", texts,
                 "an input's shape where the model leaves it open: NAME=EXTENT,...; repeatable")
      ->type_name("NAME=SHAPE");
}

void check_input_shapes(std::span<const RunnerValue> inputs, const InputShapes& asked) {
  for (const auto& [name, shape] : asked) {
    const auto input = std::ranges::find(inputs, name, &RunnerValue::name);
    if (input == inputs.end()) {
      std::vector<std::string> names;
      for (const RunnerValue& value : inputs) names.push_back(value.name);
      throw usage_error("--shape: the model has no input \"" + name + '"',
                        "Its inputs: " + join(names, ", ") + '.');
    }
    bool fits = input->dims.size() == shape.size();
    for (size_t i = 0; fits && i < shape.size(); ++i)
      fits = input->dims[i] < 0 || input->dims[i] == shape[i];
    if (!fits) {
      throw usage_error("--shape " + name + ": " + to_string(shape) + " against the model's " +
                            to_string(input->dims) + ", where -1 is open",
                        "Only open extents can be chosen.");
    }
  }
}

}  // namespace qtool
