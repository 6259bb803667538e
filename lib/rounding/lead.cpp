// SPDX-License-Identifier: Apache-2.0
#include "rounding/lead.h"

#include <algorithm>

#include "exec/session.h"
#include "rounding/extract.h"

namespace qtool {

namespace {

Session session_for(const Graph& graph, const OpRegistry& ops, const TensorMap& feeds) {
  SessionOptions options;
  for (const auto& [name, tensor] : feeds) options.input_shapes.emplace(name, tensor.shape());
  return Session(graph, ops, std::move(options));
}

bool counts_samples(const TensorType& type, size_t batch) {
  const auto shape = type.concrete_shape();
  return shape && !shape->empty() && (*shape)[0] == static_cast<int64_t>(batch);
}

}  // namespace

void lead(const Graph& graph, const OpRegistry& ops, const Facts& facts,
          std::span<const NodeId> nodes, std::span<const ValueId> inputs,
          std::span<const ValueId> outputs, size_t samples, size_t batch, MemoryBudget& budget,
          Stores& stores) {
  if (outputs.empty()) return;
  std::map<ValueId, RowForm> forms;
  for (const ValueId id : outputs) {
    const bool slices = counts_samples(facts[id].type, batch);
    forms.emplace(id, slices ? RowForm::slice : RowForm::whole);
  }
  const bool single =
      std::ranges::any_of(forms, [](const auto& entry) { return entry.second == RowForm::whole; });
  if (single) batch = 1;
  const Extract part = extract(graph, facts, nodes, inputs, outputs);
  std::map<size_t, Session> sessions;  // by samples
  for (size_t first = 0; first < samples; first += batch) {
    const size_t count = std::min(batch, samples - first);
    TensorMap feeds;
    for (const ValueId id : inputs)
      feeds.emplace(graph.value(id).name, stores.at(id)->read(first, count));
    auto session = sessions.find(count);
    if (session == sessions.end())
      session = sessions.emplace(count, session_for(part.graph, ops, feeds)).first;
    const TensorMap results = session->second.run(feeds);
    for (const ValueId id : outputs) {
      const Tensor& result = results.at(graph.value(id).name);
      std::shared_ptr<SampleStore>& store = stores[id];
      if (store == nullptr) {
        const RowForm form = forms.at(id);
        const Shape row(result.shape().begin() + (form == RowForm::slice ? 1 : 0),
                        result.shape().end());
        store = std::make_shared<SampleStore>(result.dtype(), row, samples, budget, form);
      }
      store->write(first, result.view());
    }
  }
}

}  // namespace qtool
