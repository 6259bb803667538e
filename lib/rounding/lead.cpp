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

Stores gather(const Graph& graph, const FeedSource& source, size_t count, MemoryBudget& budget) {
  if (count == 0) throw input_error("there are no samples to learn the rounding from");
  Stores stores;
  size_t first = 0;
  while (const auto batch = source()) {
    for (const ValueId id : graph.required_inputs()) {
      const Tensor& part = batch->inputs.at(graph.value(id).name);
      const auto samples = static_cast<int64_t>(batch->ids.size());
      if (part.rank() == 0 || part.shape()[0] != samples) {
        throw unsupported_error("the input \"" + graph.value(id).name +
                                "\" does not count the samples in its first dimension");
      }
      std::shared_ptr<SampleStore>& store = stores[id];
      if (store == nullptr) {
        const Shape row(part.shape().begin() + 1, part.shape().end());
        store = std::make_shared<SampleStore>(part.dtype(), row, count, budget);
      }
      store->write(first, part.view());
    }
    first += batch->ids.size();
  }
  QTOOL_CHECK(first == count, "another number of samples");
  return stores;
}

std::map<std::string, Shape> batch_shapes(const Stores& inputs, const Graph& graph, size_t batch) {
  std::map<std::string, Shape> shapes;
  for (const auto& [id, store] : inputs)
    shapes.emplace(graph.value(id).name, store->read(0, 1).shape());
  for (auto& [name, shape] : shapes) shape.at(0) = static_cast<int64_t>(batch);
  return shapes;
}

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
