// SPDX-License-Identifier: Apache-2.0
#include "calib/calibrate.h"

#include <algorithm>
#include <cstring>
#include <list>
#include <set>

#include "calib/observer.h"
#include "passes/divide_channels.h"
#include "support/parallel.h"

namespace qtool {

namespace {

using Shapes = std::map<std::string, Shape>;

Shapes shapes_of(const TensorMap& inputs) {
  Shapes shapes;
  for (const auto& [name, tensor] : inputs) shapes.emplace(name, tensor.shape());
  return shapes;
}

/// How the elements of one sample lie: (outer, channels, inner).
struct SampleForm {
  int64_t outer = 1;
  int64_t channels = 1;
  int64_t inner = 1;
};

SampleForm form_of(const Shape& shape, Layout layout) {
  SampleForm form;
  if (shape.size() < 2) return form;
  form.channels = shape[1];
  const int64_t positions = element_count({shape.begin() + 2, shape.end()});
  (layout == Layout::channels_last ? form.outer : form.inner) = positions;
  return form;
}

class Collector {
 public:
  Collector(const Graph& graph, const OpRegistry& ops, std::span<const ValueId> tensors,
            const CalibrateOptions& options)
      : graph_(graph), ops_(ops), tensors_(tensors.begin(), tensors.end()), options_(options) {
    for (const ValueId id : tensors_) {
      observers_.emplace(id, Observer());
      if (multiplied_by_constants(id)) products_.insert(id);
    }
  }

  void add(const FeedBatch& batch) {
    const auto size = static_cast<int64_t>(batch.ids.size());
    if (size == 1 || splits(batch.inputs, size)) return run(batch, batch.ids);
    if (takes_single_samples()) {
      for (int64_t i = 0; i < size; ++i) add(one_sample(batch, i));
      return;
    }
    // The model takes this batch only, and mixes samples in some dimension: it counts as one.
    const std::string whole = batch.ids.front() + " to " + batch.ids.back();
    run(batch, {&whole, 1});
  }

  /// What was collected; nothing can be added then.
  CalibrationTable take() {
    CalibrationTable table;
    table.samples = samples_;
    for (auto& [id, observer] : observers_) {
      table.tensors[graph_.value(id).name] = {std::move(observer).stats(), std::nullopt};
    }
    return table;
  }

 private:
  void run(const FeedBatch& batch, std::span<const std::string> ids) {
    Session& session = session_for(shapes_of(batch.inputs));
    session.run(batch.inputs, [&](const TappedValue& value) { observe(value, ids); });
    samples_ += batch.ids.size();
  }

  bool takes_single_samples() const {
    return std::ranges::all_of(graph_.required_inputs(), [&](ValueId id) {
      const auto& shape = graph_.value(id).type.shape;
      return !shape || shape->empty() || shape->front().value.value_or(1) == 1;
    });
  }

  bool multiplied_by_constants(ValueId id) const {
    return std::ranges::any_of(graph_.value(id).uses, [&](const Use& use) {
      return use.slot == 0 && product_weights(graph_, use.node).has_value();
    });
  }

  /// Whether every tensor has the batch as its first dimension.
  bool splits(const TensorMap& inputs, int64_t size) {
    const Shapes shapes = shapes_of(inputs);
    if (const auto known = splits_.find(shapes); known != splits_.end()) return known->second;
    const Facts facts = infer_facts(graph_, ops_, {shapes});
    const bool all = std::ranges::all_of(tensors_, [&](ValueId id) {
      const auto shape = facts[id].type.concrete_shape();
      return shape && !shape->empty() && (*shape)[0] == size;
    });
    return splits_.emplace(shapes, all).first->second;
  }

  static FeedBatch one_sample(const FeedBatch& batch, int64_t index) {
    FeedBatch one{{}, {batch.ids[static_cast<size_t>(index)]}};
    for (const auto& [name, tensor] : batch.inputs) {
      Shape shape = tensor.shape();
      shape.at(0) = 1;
      Tensor part(tensor.dtype(), shape);
      std::memcpy(part.raw(), tensor.raw() + static_cast<size_t>(index) * part.bytes(),
                  part.bytes());
      one.inputs.emplace(name, std::move(part));
    }
    return one;
  }

  Session& session_for(const Shapes& shapes) {
    for (auto& [known, session] : sessions_) {
      if (known == shapes) return session;
    }
    if (sessions_.size() == 2) sessions_.pop_front();
    sessions_.emplace_back(shapes,
                           Session(graph_, ops_, {.input_shapes = shapes, .taps = tensors_}));
    return sessions_.back().second;
  }

  void observe(const TappedValue& value, std::span<const std::string> ids) {
    if (value.dtype != DType::float32) return;  // integers are not quantized
    Observer& observer = observers_.at(value.id);
    const auto batch_size = static_cast<int64_t>(ids.size());
    // Ranges of channels are kept of images, whose channels are behind the batch, and of tokens,
    // whose channels come last.
    const Shape& shape = *value.shape;
    const bool image = shape.size() >= 4 && shape[0] == batch_size;
    const bool tokens = shape.size() == 3 && shape[0] == batch_size &&
                        value.layout == Layout::plain && products_.contains(value.id);
    const int64_t sample = element_count(shape) / batch_size;
    SampleForm form{1, 1, sample};
    if (image) form = form_of(shape, value.layout);
    if (tokens) form = {shape[1], shape[2], 1};
    const uint64_t before = observer.samples_seen();
    if (before == 0 && image) observer = Observer(1);
    if (before == 0 && tokens) observer = Observer(2);
    const auto observe_samples = [&](Observer& by, int64_t begin, int64_t end) {
      for (int64_t s = begin; s < end; ++s) {
        by.observe_sample(static_cast<const float*>(value.data) + s * sample, form.outer,
                          form.channels, form.inner);
      }
    };
    const int64_t shards = std::min<int64_t>(batch_size, thread_count());
    if (shards == 1) {
      observe_samples(observer, 0, batch_size);
    } else {
      std::vector<Observer> parts(static_cast<size_t>(shards),
                                  Observer(observer.stats().channel_axis));
      parallel_for(shards, 1, [&](int64_t begin, int64_t end) {
        for (int64_t shard = begin; shard < end; ++shard) {
          observe_samples(parts[static_cast<size_t>(shard)], batch_size * shard / shards,
                          batch_size * (shard + 1) / shards);
        }
      });
      for (const Observer& part : parts) observer.merge(part);
    }
    if (options_.non_finite == NonFinite::refuse && observer.first_non_finite()) {
      throw input_error(
          "the tensor \"" + graph_.value(value.id).name +
              "\" has a NaN or an infinity for the sample " +
              ids[*observer.first_non_finite() - before],
          "Check the data and --preprocess; --nonfinite ignore counts such elements and goes on.");
    }
  }

  const Graph& graph_;
  const OpRegistry& ops_;
  std::vector<ValueId> tensors_;
  const CalibrateOptions& options_;
  std::map<ValueId, Observer> observers_;
  std::set<ValueId> products_;  ///< those that products with constant weights read
  std::map<Shapes, bool> splits_;
  std::list<std::pair<Shapes, Session>> sessions_;
  uint64_t samples_ = 0;
};

}  // namespace

CalibrationTable calibrate(const Graph& graph, const OpRegistry& ops,
                           std::span<const ValueId> tensors, const FeedSource& source,
                           const CalibrateOptions& options) {
  Collector collector(graph, ops, tensors, options);
  while (auto batch = source()) {
    collector.add(*batch);
    if (options.advance) options.advance(batch->ids.size());
  }
  CalibrationTable table = collector.take();
  if (table.samples == 0) throw input_error("there are no samples to calibrate with");
  return table;
}

}  // namespace qtool
