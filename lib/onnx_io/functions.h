// SPDX-License-Identifier: Apache-2.0
// Functions that a model defines for itself (ModelProto.functions).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "ir/graph.h"

namespace qtool {

struct LocalFunction {
  OpKey key;
  std::map<std::string, int64_t> opsets;  ///< that its nodes are meant in, by domain
  Attributes defaults;                    ///< of its attributes, where they have some
  Graph body;                             ///< its inputs and outputs are the function's
};

/// In the file's order. Errors (input): a body that is no graph, two functions of one name.
std::vector<LocalFunction> local_functions(const ModelInfo& model);

/// The function's attribute that this attribute of a node in its body stands for; "" where it has a
/// value of its own.
std::string referenced_attribute(const Attribute& attribute);

}  // namespace qtool
