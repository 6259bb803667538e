// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "support/error.h"

namespace qtool {

/// Keys are sorted, so that files can be compared line by line.
using Json = nlohmann::json;

/// Errors (input): unreadable, not JSON (with its line), nested more than 128 levels deep, a number
/// beyond the range of double.
Json read_json(const std::filesystem::path& path);

/// Pretty-printed with two spaces and a final newline; arrays of numbers stay on one line.
std::string to_text(const Json& json);

/// Written atomically.
void write_json(const std::filesystem::path& path, const Json& json);

/// The member `key` of an object as a T. Errors (input): no object, missing, of another type.
template <class T>
T member(const Json& object, std::string_view key) {
  if (!object.is_object())
    throw input_error("expected an object with the key \"" + std::string(key) + '"');
  const auto found = object.find(key);
  if (found == object.end()) throw input_error("the key \"" + std::string(key) + "\" is missing");
  try {
    return found->template get<T>();
  } catch (const Json::exception&) {
    throw input_error("the key \"" + std::string(key) +
                      "\" has a value of the wrong type: " + found->dump().substr(0, 80));
  }
}

/// Checks "schema": "<name>/<version>". Errors (input): another schema or version.
void check_schema(const Json& json, std::string_view expected);

}  // namespace qtool
