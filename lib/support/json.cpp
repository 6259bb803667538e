// SPDX-License-Identifier: Apache-2.0
#include "support/json.h"

#include <algorithm>

#include "support/file.h"

namespace qtool {

namespace {

void append(std::string& text, const Json& json, size_t depth) {
  const std::string indent(2 * (depth + 1), ' ');
  const std::string closing(2 * depth, ' ');
  if (json.is_object() && !json.empty()) {
    text += "{\n";
    bool first = true;
    for (const auto& [key, value] : json.items()) {
      if (!first) text += ",\n";
      first = false;
      text += indent + Json(key).dump() + ": ";
      append(text, value, depth + 1);
    }
    text += '\n' + closing + '}';
  } else if (json.is_array() && std::any_of(json.begin(), json.end(), [](const Json& item) {
               return item.is_structured() || item.is_string();
             })) {
    text += "[\n";
    bool first = true;
    for (const Json& item : json) {
      if (!first) text += ",\n";
      first = false;
      text += indent;
      append(text, item, depth + 1);
    }
    text += '\n' + closing + ']';
  } else {
    text += json.dump();
  }
}

/// Deeper nesting would overflow the stack of whoever walks the value. What is wrong with brackets
/// otherwise is the parser's to find.
bool nested_deeper_than(std::string_view text, size_t limit) {
  size_t depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > limit) return true;
    } else if ((c == ']' || c == '}') && depth > 0) {
      --depth;
    }
  }
  return false;
}

}  // namespace

Json read_json(const std::filesystem::path& path) {
  const std::string content = read_file(path);
  if (nested_deeper_than(content, 128)) {
    throw input_error(path.string() + ": nested more than 128 levels deep",
                      "Compare it with a file that qtool wrote.");
  }
  try {
    return Json::parse(content);
  } catch (const Json::parse_error& failure) {
    const size_t end = std::min<size_t>(failure.byte, content.size());
    const auto line =
        1 + std::count(content.begin(), content.begin() + static_cast<std::ptrdiff_t>(end), '\n');
    throw input_error(path.string() + ":" + std::to_string(line) + ": not valid JSON",
                      "Compare it with a file that qtool wrote.");
  } catch (const Json::exception&) {
    throw input_error(path.string() + ": holds a number too large for a double",
                      "Compare it with a file that qtool wrote.");
  }
}

std::string to_text(const Json& json) {
  std::string text;
  append(text, json, 0);
  return text + '\n';
}

void write_json(const std::filesystem::path& path, const Json& json) {
  write_file(path, to_text(json));
}

void check_schema(const Json& json, std::string_view expected) {
  const auto found = member<std::string>(json, "schema");
  if (found != expected) {
    throw input_error("its schema is \"" + found + "\", expected \"" + std::string(expected) + '"',
                      "It belongs to another command or another version of qtool: make it anew.");
  }
}

}  // namespace qtool
