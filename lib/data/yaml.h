// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "support/json.h"

namespace qtool {

/// One YAML document as JSON: plain scalars become null, booleans, integers or doubles where they
/// read so, quoted ones stay text. Errors (input): not YAML (with line and column), a key twice, a
/// key that is not text, more than 10000 values (those of an alias counted each time).
Json parse_yaml(const std::string& text);

}  // namespace qtool
