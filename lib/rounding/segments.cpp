// SPDX-License-Identifier: Apache-2.0
#include "rounding/segments.h"

#include <algorithm>
#include <map>
#include <set>

#include "ops/gradient.h"

namespace qtool {

namespace {

constexpr size_t kMostLayers = 6;

/// One node of the model and the roundings in front of it.
struct Place {
  std::vector<NodeId> nodes;  ///< the last one is the model's
  bool layer = false;
};

bool is_rounding(const Graph& graph, NodeId id) {
  return graph.node(id).op.domain == kTrainingDomain;
}

std::vector<Place> places_of(const SegmentGraphs& graphs) {
  std::vector<Place> places;
  std::vector<NodeId> waiting;
  for (const NodeId id : graphs.quantized.topological_order()) {
    waiting.push_back(id);
    if (is_rounding(graphs.quantized, id)) continue;
    places.push_back({std::move(waiting), graphs.is_layer(id)});
    waiting.clear();
  }
  // Roundings of the model's results stand behind all else.
  if (!places.empty()) {
    places.back().nodes.insert(places.back().nodes.end(), waiting.begin(), waiting.end());
  }
  return places;
}

/// When the values of one graph are made and last read, in places.
class Lives {
 public:
  Lives(const Graph& graph, const Facts& facts, const std::vector<Place>& places, int64_t batch)
      : facts_(facts), batch_(batch) {
    for (const ValueId id : graph.required_inputs()) {
      if (facts[id].constant == nullptr) made_[id] = -1;
    }
    for (size_t p = 0; p < places.size(); ++p) {
      for (const NodeId id : places[p].nodes) {
        if (!graph.has(id)) continue;
        for (const ValueId output : graph.node(id).outputs) {
          if (output != ValueId::none) made_[output] = static_cast<int64_t>(p);
        }
        for (const ValueId input : graph.node(id).inputs) {
          if (input != ValueId::none) read_[input] = static_cast<int64_t>(p);
        }
      }
    }
  }

  /// Made before the place, read there or later.
  std::vector<ValueId> passing(size_t place) const {
    const auto p = static_cast<int64_t>(place);
    std::vector<ValueId> values;
    for (const auto& [id, made] : made_) {
      const auto read = read_.find(id);
      if (made < p && read != read_.end() && read->second >= p) values.push_back(id);
    }
    return values;
  }

  bool batches(const std::vector<ValueId>& values) const {
    return std::ranges::all_of(values, [&](ValueId id) {
      const auto shape = facts_[id].type.concrete_shape();
      return shape && !shape->empty() && (*shape)[0] == batch_;
    });
  }

  std::vector<ValueId> made_in(size_t first, size_t end) const {
    std::vector<ValueId> values;
    for (const auto& [id, made] : made_) {
      if (made >= static_cast<int64_t>(first) && made < static_cast<int64_t>(end))
        values.push_back(id);
    }
    return values;
  }

  bool read_from(ValueId id, size_t place) const {
    const auto read = read_.find(id);
    return read != read_.end() && read->second >= static_cast<int64_t>(place);
  }

 private:
  const Facts& facts_;
  int64_t batch_;
  std::map<ValueId, int64_t> made_;
  std::map<ValueId, int64_t> read_;
};

class Cutter {
 public:
  Cutter(const SegmentGraphs& graphs, Granularity granularity)
      : graphs_(graphs), granularity_(granularity), places_(places_of(graphs)),
        quantized_(graphs.quantized, graphs.facts, places_, graphs.batch),
        float_(graphs.float_graph, graphs.float_facts, places_, graphs.batch) {}

  std::vector<Segment> run() {
    std::vector<Segment> result;
    size_t first = 0;
    size_t layers = 0;
    for (size_t p = 0; p < places_.size(); ++p) {
      if (places_[p].layer && layers > 0 && fit(p, layers)) {
        result.push_back(segment(first, p));
        first = p;
        layers = 0;
      }
      layers += places_[p].layer ? 1 : 0;
    }
    if (first < places_.size()) result.push_back(segment(first, places_.size()));
    return result;
  }

 private:
  bool fit(size_t place, size_t layers) const {
    const std::vector<ValueId> passing = float_.passing(place);
    if (!float_.batches(passing) || !quantized_.batches(quantized_.passing(place))) return false;
    return granularity_ == Granularity::layer || passing.size() == 1 || layers >= kMostLayers;
  }

  Segment segment(size_t first, size_t end) const {
    Segment result;
    for (size_t p = first; p < end; ++p) {
      for (const NodeId id : places_[p].nodes) {
        result.nodes.push_back(id);
        if (graphs_.float_graph.has(id)) result.float_nodes.push_back(id);
      }
      if (places_[p].layer) result.layers.push_back(places_[p].nodes.back());
    }
    result.inputs = read_here(graphs_.quantized, quantized_, result.nodes, first);
    result.float_inputs = read_here(graphs_.float_graph, float_, result.float_nodes, first);
    for (const ValueId id : quantized_.made_in(first, end)) {
      if (quantized_.read_from(id, end)) result.kept.push_back(id);
    }
    for (const ValueId id : float_.made_in(first, end)) {
      const bool later = float_.read_from(id, end);
      if (later) result.float_kept.push_back(id);
      const bool real = graphs_.float_facts[id].type.dtype == DType::float32;
      if (real && (later || graphs_.float_graph.is_output(id))) result.targets.push_back(id);
    }
    return result;
  }

  static std::vector<ValueId> read_here(const Graph& graph, const Lives& lives,
                                        const std::vector<NodeId>& nodes, size_t first) {
    std::set<ValueId> read;
    for (const NodeId id : nodes) {
      for (const ValueId input : graph.node(id).inputs) read.insert(input);
    }
    std::vector<ValueId> inputs;
    for (const ValueId id : lives.passing(first)) {
      if (read.contains(id)) inputs.push_back(id);
    }
    return inputs;
  }

  const SegmentGraphs& graphs_;
  Granularity granularity_;
  std::vector<Place> places_;
  Lives quantized_;
  Lives float_;
};

}  // namespace

std::vector<Segment> segments(const SegmentGraphs& graphs, Granularity granularity) {
  return Cutter(graphs, granularity).run();
}

ValueId float_value(const SegmentGraphs& graphs, ValueId quantized) {
  while (!graphs.float_graph.has(quantized)) {
    const NodeId producer = graphs.quantized.value(quantized).producer;
    QTOOL_CHECK(producer != NodeId::none && is_rounding(graphs.quantized, producer),
                graphs.quantized.value(quantized).name);
    quantized = graphs.quantized.node(producer).inputs.at(0);
  }
  return quantized;
}

}  // namespace qtool
