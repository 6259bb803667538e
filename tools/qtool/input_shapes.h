// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "exec/runner.h"

namespace qtool {

/// Shapes of a model's inputs by name, for extents that the model leaves open.
using InputShapes = std::map<std::string, Shape>;

/// "3,224,224": extents from 1 to 2^31, or nothing where the text is none such.
std::optional<Shape> parse_extents(const std::string& text);

/// Of "NAME=1,3,224,224" each, a whole shape. Errors (usage): anything else.
InputShapes parse_input_shapes(std::span<const std::string> texts);

/// --shape NAME=EXTENT,...
void declare_input_shapes(CLI::App& app, std::vector<std::string>& texts);

/// Errors (usage): a name that is no input, an extent or a rank that the model fixes otherwise.
void check_input_shapes(std::span<const RunnerValue> inputs, const InputShapes& asked);

}  // namespace qtool
