// SPDX-License-Identifier: Apache-2.0
#include "exec/bodies.h"

#include <algorithm>

namespace qtool {

namespace {

constexpr size_t kSessions = 4;

Tensor copied(const TensorView& view) {
  const auto* begin = static_cast<const std::byte*>(view.data);
  return Tensor::in_place(view.dtype, view.shape, {begin, storage_bytes(view.dtype, view.size())},
                          std::shared_ptr<const void>(view.data, [](const void*) {}))
      .clone();
}

}  // namespace

bool Bodies::any(const Node& node) {
  return std::ranges::any_of(node.attributes.entries(), [](const Attributes::Entry& entry) {
    return std::holds_alternative<SubgraphPtr>(entry.value);
  });
}

Bodies::Bodies(const Node& node, const ModelInfo& model, const OpRegistry& ops, Backend backend,
               std::shared_ptr<BodyRuns> runs)
    : model_(model), ops_(ops), backend_(backend), runs_(std::move(runs)) {
  for (const auto& entry : node.attributes.entries()) {
    if (const auto* body = std::get_if<SubgraphPtr>(&entry.value)) {
      bodies_.push_back({entry.name, *body, {}});
    }
  }
}

SubgraphRunner Bodies::runner(const Node& node, const Facts& facts,
                              std::span<const Tensor* const> captures) {
  return [this, &node, &facts, captures](const Graph& graph, std::vector<Tensor> inputs) {
    if (++runs_->count > kMostBodyRuns) {
      throw input_error(
          "a loop has run " + std::to_string(kMostBodyRuns) + " times and does not end",
          "Its trip count is too large, or its condition stays true.");
    }
    const auto body = std::ranges::find_if(
        bodies_, [&](const Body& candidate) { return candidate.graph.get() == &graph; });
    QTOOL_CHECK(body != bodies_.end(), "a body of another node");
    return within_frame([&] { return body->attribute; },
                        [&] { return run(*body, node, facts, captures, inputs); });
  };
}

std::vector<Tensor> Bodies::run(Body& body, const Node& node, const Facts& facts,
                                std::span<const Tensor* const> captures,
                                const std::vector<Tensor>& inputs) {
  std::vector<TensorType> types;
  std::vector<TensorView> feeds;
  const auto feed = [&](const Tensor& tensor) {
    types.emplace_back(tensor.dtype(), tensor.shape());
    feeds.push_back(tensor.view());
  };
  for (const Tensor& input : inputs) feed(input);
  for (size_t i = 0; i < node.captures.size(); ++i) {
    const Capture& capture = node.captures[i];
    if (capture.attribute != body.attribute) continue;
    if (facts[capture.outer].constant == nullptr) feed(*captures[i]);
  }
  auto found = std::ranges::find_if(
      body.compiled, [&](const Compiled& candidate) { return candidate.types == types; });
  if (found == body.compiled.end()) {
    std::vector<Captured> captured = captured_facts(node, body.attribute, facts);
    size_t next = inputs.size();
    for (Captured& one : captured) {
      if (one.facts.constant == nullptr) one.facts.type = types.at(next++);
    }
    const std::vector<TensorType> own(types.begin(),
                                      types.begin() + static_cast<std::ptrdiff_t>(inputs.size()));
    const Graph alone = standalone_body(*body.graph, model_, own, captured);
    if (body.compiled.size() == kSessions) body.compiled.pop_back();
    body.compiled.push_front(
        {types, Session(alone, ops_, {.backend = backend_, .body_runs = runs_})});
  } else {
    body.compiled.splice(body.compiled.begin(), body.compiled, found);
  }
  Session& session = body.compiled.front().session;
  session.execute(feeds);
  std::vector<Tensor> results;
  for (size_t i = 0; i < session.output_names().size(); ++i) {
    results.push_back(copied(session.output(i)));
  }
  return results;
}

}  // namespace qtool
