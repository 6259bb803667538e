// SPDX-License-Identifier: Apache-2.0
#include "exec/session_runner.h"

#include <algorithm>
#include <list>

#include "support/text.h"

namespace qtool {

namespace {

constexpr size_t kSessions = 3;

RunnerValue declared(const Graph& graph, ValueId id) {
  const Value& value = graph.value(id);
  RunnerValue result{value.name, value.type.dtype, {}};
  if (value.type.shape) {
    for (const Dim& dim : *value.type.shape) result.dims.push_back(dim.value.value_or(-1));
  }
  return result;
}

class SessionRunner final : public Runner {
 public:
  SessionRunner(std::shared_ptr<const Graph> graph, const OpRegistry& ops, Backend backend)
      : graph_(std::move(graph)), ops_(ops), backend_(backend), inputs_(declared_inputs(*graph_)),
        outputs_(declared_outputs(*graph_)) {}

  TensorMap run(const TensorMap& feeds) override { return session_for(feeds).run(feeds); }
  std::span<const RunnerValue> inputs() const override { return inputs_; }
  std::span<const RunnerValue> outputs() const override { return outputs_; }
  std::string description() const override {
    return backend_ == Backend::onednn ? "qtool" : "qtool, reference kernels";
  }

 private:
  Session& session_for(const TensorMap& feeds) {
    std::map<std::string, Shape> shapes;
    for (const auto& [name, tensor] : feeds) {
      if (std::ranges::find(inputs_, name, &RunnerValue::name) == inputs_.end()) {
        std::vector<std::string> names;
        for (const RunnerValue& input : inputs_) names.push_back(input.name);
        throw input_error("the model has no input \"" + name + '"',
                          "Its inputs: " + join(names, ", "));
      }
      shapes.emplace(name, tensor.shape());
    }
    const auto found =
        std::ranges::find_if(sessions_, [&](const auto& entry) { return entry.first == shapes; });
    if (found != sessions_.end()) {
      sessions_.splice(sessions_.begin(), sessions_, found);
      return sessions_.front().second;
    }
    if (sessions_.size() == kSessions) sessions_.pop_back();
    sessions_.emplace_front(shapes,
                            Session(*graph_, ops_, {.backend = backend_, .input_shapes = shapes}));
    return sessions_.front().second;
  }

  std::shared_ptr<const Graph> graph_;
  const OpRegistry& ops_;
  Backend backend_;
  std::vector<RunnerValue> inputs_;
  std::vector<RunnerValue> outputs_;
  std::list<std::pair<std::map<std::string, Shape>, Session>> sessions_;  ///< latest first
};

}  // namespace

std::vector<RunnerValue> declared_inputs(const Graph& graph) {
  std::vector<RunnerValue> result;
  for (const ValueId id : graph.required_inputs()) result.push_back(declared(graph, id));
  return result;
}

std::vector<RunnerValue> declared_outputs(const Graph& graph) {
  std::vector<RunnerValue> result;
  for (const ValueId id : graph.outputs()) result.push_back(declared(graph, id));
  return result;
}

std::unique_ptr<Runner> open_session(std::shared_ptr<const Graph> graph, const OpRegistry& ops,
                                     Backend backend) {
  return std::make_unique<SessionRunner>(std::move(graph), ops, backend);
}

}  // namespace qtool
