// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>

#include "quant/recipe.h"

namespace qtool {

/// One method of quantization after training, as a person chooses among them.
struct Method {
  const char* name;    ///< as --method and a recipe's `method` take it
  const char* use;     ///< when
  const char* cost;    ///< time and memory
  const char* needs;   ///< data
  const char* source;  ///< authors, year, arXiv number
  void (*choose)(Recipe&);
};

/// All, cheap ones first.
std::span<const Method> methods();

/// What "cle" or "cle,adaround" asks for, into the recipe. Errors (usage): another name, with the
/// nearest ones; two methods that both decide how weights are rounded.
void set_methods(Recipe& recipe, const std::string& names);

/// "nearest", "adaround" ...
std::string to_string(Rounding rounding);

}  // namespace qtool
