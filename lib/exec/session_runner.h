// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "exec/runner.h"
#include "exec/session.h"

namespace qtool {

/// qtool's own executor as a Runner. Makes a Session for each set of input shapes that comes
/// (a smaller last batch, for instance) and keeps the latest few.
std::unique_ptr<Runner> open_session(std::shared_ptr<const Graph> graph, const OpRegistry& ops,
                                     Backend backend = Backend::onednn);

/// A model's inputs and outputs as runners declare them.
std::vector<RunnerValue> declared_inputs(const Graph& graph);
std::vector<RunnerValue> declared_outputs(const Graph& graph);

}  // namespace qtool
