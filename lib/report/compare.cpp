// SPDX-License-Identifier: Apache-2.0
#include "report/compare.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <list>
#include <map>

#include "exec/session.h"
#include "ops/qoperator.h"
#include "report/fidelity.h"
#include "report/shared_tensors.h"

namespace qtool {

namespace {

using Shapes = std::map<std::string, Shape>;

Shapes shapes_of(const TensorMap& feeds) {
  Shapes shapes;
  for (const auto& [name, tensor] : feeds) shapes.emplace(name, tensor.shape());
  return shapes;
}

/// The sessions of one graph, by the shapes of its inputs; a smaller last batch needs another.
class Sessions {
 public:
  Sessions(std::shared_ptr<const Graph> graph, const OpRegistry& ops, std::vector<ValueId> taps)
      : graph_(std::move(graph)), ops_(ops), taps_(std::move(taps)) {}

  void run(const TensorMap& feeds, const Tap& tap) {
    const Shapes shapes = shapes_of(feeds);
    const auto known =
        std::ranges::find_if(sessions_, [&](const auto& each) { return each.first == shapes; });
    if (known != sessions_.end()) {
      known->second.run(feeds, tap);
      return;
    }
    if (sessions_.size() == 2) sessions_.pop_front();
    sessions_.emplace_back(shapes, Session(*graph_, ops_, {.input_shapes = shapes, .taps = taps_}));
    sessions_.back().second.run(feeds, tap);
  }

 private:
  std::shared_ptr<const Graph> graph_;
  const OpRegistry& ops_;
  std::vector<ValueId> taps_;
  std::list<std::pair<Shapes, Session>> sessions_;
};

/// A copy in ONNX's order, elements of 1, 2, 4 or 8 bytes.
Tensor plain_copy(const TappedValue& value) {
  Tensor copy(value.dtype, *value.shape);
  if (same_order(*value.shape, value.layout, Layout::plain)) {
    if (copy.bytes() > 0) std::memcpy(copy.raw(), value.data, copy.bytes());
    return copy;
  }
  const Shape& shape = *value.shape;
  const size_t width = static_cast<size_t>(bits(value.dtype)) / 8;
  const auto channels = static_cast<size_t>(shape[1]);
  const auto positions = static_cast<size_t>(element_count({shape.begin() + 2, shape.end()}));
  const auto* from = static_cast<const std::byte*>(value.data);
  std::byte* to = copy.raw();
  for (size_t n = 0; n < static_cast<size_t>(shape[0]); ++n) {
    for (size_t p = 0; p < positions; ++p) {
      for (size_t c = 0; c < channels; ++c, from += width)
        std::memcpy(to + ((n * channels + c) * positions + p) * width, from, width);
    }
  }
  return copy;
}

/// Nodes in QOperator form replaced by what they stand for, whose codes can be looked at.
std::shared_ptr<const Graph> with_qdq(std::shared_ptr<const Graph> graph) {
  if (!has_qoperators(*graph)) return graph;
  auto expanded = std::make_shared<Graph>(*graph);
  expand_qoperators(*expanded);
  return expanded;
}

constexpr size_t kBins = 48;

/// Of the float model's elements, against the grid of their codes.
struct Saturation {
  uint64_t beyond = 0;
  uint64_t all = 0;
  LayerHistogram histogram;  ///< reaches a quarter of the range beyond either end
};

void count_saturated(const Tensor& floats, const SharedTensor& tensor, Saturation& count) {
  const Range range = tensor.represented;
  const float half = tensor.params->scale[0] / 2;
  LayerHistogram& h = count.histogram;
  if (h.counts.empty()) {
    const double quarter = (double{range.high} - double{range.low}) / 4;
    h = {range.low - quarter, range.high + quarter, std::vector<uint64_t>(kBins), range.low,
         range.high};
  }
  const double per_unit = static_cast<double>(kBins) / (h.high - h.low);
  for (const float x : floats.data<float>()) {
    count.beyond += x < range.low - half || x > range.high + half;
    if (!std::isfinite(x)) continue;
    const double place = (double{x} - h.low) * per_unit;
    ++h.counts[static_cast<size_t>(std::clamp(place, 0.0, static_cast<double>(kBins - 1)))];
  }
  count.all += static_cast<uint64_t>(floats.size());
}

}  // namespace

class TensorComparison::Impl {
 public:
  Impl(std::shared_ptr<const Graph> reference, std::shared_ptr<const Graph> candidate,
       const OpRegistry& ops)
      : ops_(ops), candidate_graph_(with_qdq(std::move(candidate))),
        tensors_(shared_tensors(*reference, *candidate_graph_, ops)),
        reference_(reference, ops, ids(&SharedTensor::reference)) {
    if (tensors_.empty()) {
      throw input_error("the models have no tensor of the same name in common",
                        "The quantized model must come from the float one.");
    }
  }

  void add(const TensorMap& feeds) {
    const std::vector<Tensor> floats = run_reference(feeds);
    for (size_t i = 0; i < tensors_.size(); ++i) {
      if (tensors_[i].params) count_saturated(floats[i], tensors_[i], saturation_[i]);
    }
    candidate_->run(feeds, comparing(floats, arrived_));
    TensorMap all;
    for (const auto& [name, tensor] : feeds) all.emplace(name, alias(tensor));
    for (size_t i = 0; i < tensors_.size(); ++i) {
      if (!cut_.inputs[i].empty()) all.emplace(cut_.inputs[i], alias(floats[i]));
    }
    alone_->run(all, comparing(floats, added_));
  }

  std::vector<LayerError> result() const {
    std::vector<LayerError> layers;
    for (size_t i = 0; i < tensors_.size(); ++i) {
      if (arrived_[i].samples() == 0) continue;
      const Fidelity arrived = arrived_[i].result();
      const Fidelity added = added_[i].result();
      LayerError layer{.tensor = tensors_[i].name,
                       .node = tensors_[i].node,
                       .op = tensors_[i].op,
                       .exact = arrived.exact,
                       .sqnr_db = arrived.sqnr_db,
                       .added_sqnr_db = added.sqnr_db,
                       .cosine = arrived.cosine,
                       .max_abs_error = arrived.max_abs_error,
                       .saturated = {}};
      if (saturation_[i].all > 0) {
        layer.histogram = saturation_[i].histogram;
        layer.saturated =
            static_cast<double>(saturation_[i].beyond) / static_cast<double>(saturation_[i].all);
      }
      layers.push_back(std::move(layer));
    }
    sort_worst_first(layers);
    return layers;
  }

 private:
  /// What each tensor is in the float model. Those that it knows without running, or that are no
  /// floats, are found out by the first batch and dropped.
  std::vector<Tensor> run_reference(const TensorMap& feeds) {
    std::map<ValueId, Tensor> seen;
    reference_.run(feeds, [&](const TappedValue& value) {
      if (value.dtype == DType::float32) seen.insert_or_assign(value.id, plain_copy(value));
    });
    if (candidate_ == nullptr) {
      std::erase_if(tensors_, [&](const auto& tensor) { return !seen.contains(tensor.reference); });
      begin();
    }
    std::vector<Tensor> floats;
    for (const SharedTensor& tensor : tensors_) {
      const auto found = seen.find(tensor.reference);
      QTOOL_CHECK(found != seen.end(), tensor.name);
      floats.push_back(found->second.clone());
    }
    return floats;
  }

  void begin() {
    cut_ = cut_at(*candidate_graph_, tensors_);
    const auto taps = ids(&SharedTensor::candidate);
    candidate_ = std::make_unique<Sessions>(candidate_graph_, ops_, taps);
    alone_ = std::make_unique<Sessions>(std::make_shared<Graph>(cut_.graph), ops_, taps);
    arrived_.resize(tensors_.size());
    added_.resize(tensors_.size());
    saturation_.resize(tensors_.size());
    for (size_t i = 0; i < tensors_.size(); ++i) by_candidate_.emplace(tensors_[i].candidate, i);
  }

  std::vector<ValueId> ids(ValueId SharedTensor::*member) const {
    std::vector<ValueId> result;
    for (const SharedTensor& tensor : tensors_) result.push_back(tensor.*member);
    return result;
  }

  /// The same elements; the original outlives it.
  static Tensor alias(const Tensor& tensor) {
    return Tensor::in_place(tensor.dtype(), tensor.shape(), {tensor.raw(), tensor.bytes()},
                            std::shared_ptr<const void>(tensor.raw(), [](const void*) {}));
  }

  Tap comparing(const std::vector<Tensor>& floats, std::vector<FidelityMetrics>& metrics) const {
    return [this, &floats, &metrics](const TappedValue& value) {
      const size_t i = by_candidate_.at(value.id);
      Tensor found = plain_copy(value);
      if (tensors_[i].params) found = dequantize(found, *tensors_[i].params);
      within_frame([&] { return "tensor \"" + tensors_[i].name + '"'; },
                   [&] { metrics[i].add(floats[i], found); });
    };
  }

  const OpRegistry& ops_;
  std::shared_ptr<const Graph> candidate_graph_;
  std::vector<SharedTensor> tensors_;
  CutGraph cut_;
  Sessions reference_;
  std::unique_ptr<Sessions> candidate_;
  std::unique_ptr<Sessions> alone_;
  std::map<ValueId, size_t> by_candidate_;
  std::vector<FidelityMetrics> arrived_;
  std::vector<FidelityMetrics> added_;
  std::vector<Saturation> saturation_;
};

TensorComparison::TensorComparison(std::shared_ptr<const Graph> reference,
                                   std::shared_ptr<const Graph> candidate, const OpRegistry& ops)
    : impl_(std::make_unique<Impl>(std::move(reference), std::move(candidate), ops)) {}
TensorComparison::~TensorComparison() = default;
void TensorComparison::add(const TensorMap& feeds) { impl_->add(feeds); }
std::vector<LayerError> TensorComparison::result() const { return impl_->result(); }

void sort_worst_first(std::vector<LayerError>& layers) {
  const bool by_added = std::ranges::any_of(
      layers, [](const LayerError& layer) { return layer.added_sqnr_db.has_value(); });
  // Low is bad; no value at all (NaN somewhere) is worst, exact is best.
  const auto goodness = [&](const LayerError& layer) {
    if (layer.exact) return std::numeric_limits<double>::infinity();
    const auto& value = by_added ? layer.added_sqnr_db : layer.sqnr_db;
    return value.value_or(-std::numeric_limits<double>::infinity());
  };
  std::stable_sort(layers.begin(), layers.end(), [&](const LayerError& a, const LayerError& b) {
    return goodness(a) < goodness(b);
  });
}

}  // namespace qtool
