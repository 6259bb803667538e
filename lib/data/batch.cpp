// SPDX-License-Identifier: Apache-2.0
#include "data/batch.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "support/file.h"
#include "support/rng.h"
#include "support/text.h"

namespace qtool {

Order in_order(size_t count, std::optional<size_t> limit) {
  Order order(std::min(count, limit.value_or(count)));
  std::iota(order.begin(), order.end(), size_t{0});
  return order;
}

Order shuffled(size_t count, uint64_t seed, uint64_t epoch) {
  if (count > UINT32_MAX) throw unsupported_error("cannot shuffle more than 4294967295 samples");
  Order order = in_order(count);
  Rng(seed, epoch).shuffle(std::span(order));
  return order;
}

Subset::Subset(std::shared_ptr<const Dataset> all, Order chosen)
    : all_(std::move(all)), chosen_(std::move(chosen)) {
  for (const size_t index : chosen_) {
    QTOOL_CHECK(index < all_->size(),
                "sample " + std::to_string(index) + " of " + std::to_string(all_->size()));
  }
}

Sample Subset::get(size_t index) const {
  QTOOL_CHECK(index < chosen_.size(), "sample " + std::to_string(index));
  return all_->get(chosen_[index]);
}

Json Subset::provenance() const {
  Json json = all_->provenance();
  json["of_samples"] = json["samples"];
  json["samples"] = chosen_.size();
  if (chosen_ == in_order(chosen_.size())) {
    json["chosen"] = "first";
  } else {
    std::string list;
    for (const size_t index : chosen_) list += std::to_string(index) + '\n';
    json["chosen"] = "sha256 of indices " + sha256(std::as_bytes(std::span(list)));
  }
  return json;
}

namespace {

[[noreturn]] void unlike(const std::string& first, const std::string& other,
                         const std::string& how) {
  throw input_error(
      fmt::format("the samples {} and {} cannot be in one batch: {}", first, other, how),
      "Let the preprocessing give all the same size, or use batches of one sample.");
}

std::string described(const Tensor& tensor) {
  return std::string(name(tensor.dtype())) + to_string(tensor.shape());
}

/// Makes room for `count` samples like the first.
void start(Batch& batch, const Sample& sample, size_t count) {
  for (const auto& [key, tensor] : sample.inputs) {
    Shape shape = tensor.shape();
    shape.insert(shape.begin(), static_cast<int64_t>(count));
    batch.inputs.emplace(key, Tensor(tensor.dtype(), std::move(shape)));
  }
}

void append(Batch& batch, Sample sample, size_t place, const std::optional<int64_t>& first_label) {
  const std::string& first = place == 0 ? sample.id : batch.ids.front();
  if (sample.inputs.size() != batch.inputs.size())
    unlike(first, sample.id, "they have different inputs");
  if (sample.label.has_value() != first_label.has_value())
    unlike(first, sample.id, "one of them has no label");
  for (const auto& [key, tensor] : sample.inputs) {
    const auto found = batch.inputs.find(key);
    if (found == batch.inputs.end())
      unlike(first, sample.id, "only one has the input \"" + key + '"');
    Tensor& all = found->second;
    const bool alike =
        all.dtype() == tensor.dtype() && std::equal(all.shape().begin() + 1, all.shape().end(),
                                                    tensor.shape().begin(), tensor.shape().end());
    if (!alike) {
      const std::string wanted = std::string(name(all.dtype())) +
                                 to_string(Shape(all.shape().begin() + 1, all.shape().end()));
      unlike(first, sample.id, wanted + " and " + described(tensor));
    }
    if (tensor.bytes() > 0)
      std::memcpy(all.raw() + place * tensor.bytes(), tensor.raw(), tensor.bytes());
  }
  if (sample.label) batch.labels.push_back(*sample.label);
  batch.ids.push_back(std::move(sample.id));
}

/// One sample's tensors as those of a batch.
void take(Batch& batch, Sample sample) {
  for (auto& [key, tensor] : sample.inputs) {
    Shape shape = tensor.shape();
    shape.insert(shape.begin(), 1);
    batch.inputs.emplace(key, std::move(tensor).reshaped(std::move(shape)));
  }
  if (sample.label) batch.labels.push_back(*sample.label);
  batch.ids.push_back(std::move(sample.id));
}

/// The one sample is the batch.
Batch whole_batch(const Dataset& dataset, std::span<const size_t> indices, size_t first) {
  QTOOL_CHECK(indices.size() == 1, "batches are not stacked");
  Sample sample = dataset.get(indices[0]);
  Batch batch;
  batch.first = first;
  batch.size = 1;
  batch.inputs = std::move(sample.inputs);
  batch.expected = std::move(sample.expected);
  batch.ids.push_back(std::move(sample.id));
  return batch;
}

}  // namespace

Batch make_batch(const Dataset& dataset, std::span<const size_t> indices, size_t first) {
  QTOOL_CHECK(!indices.empty(), "a batch has samples");
  if (dataset.batched()) return whole_batch(dataset, indices, first);
  Batch batch;
  batch.first = first;
  batch.size = indices.size();
  if (indices.size() == 1) {
    take(batch, dataset.get(indices[0]));
    return batch;
  }
  std::optional<int64_t> first_label;
  for (size_t i = 0; i < indices.size(); ++i) {
    Sample sample = dataset.get(indices[i]);
    if (i == 0) {
      start(batch, sample, indices.size());
      first_label = sample.label;
    }
    append(batch, std::move(sample), i, first_label);
  }
  return batch;
}

}  // namespace qtool
