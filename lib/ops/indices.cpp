// SPDX-License-Identifier: Apache-2.0
#include "ops/indices.h"

#include "support/text.h"

namespace qtool {

int64_t wrapped_index(int64_t index, int64_t extent) {
  if (index < -extent || index >= extent) {
    throw input_error(fmt::format("the index {} is outside of an axis of extent {}", index, extent),
                      "An index counts from 0, or from -1 backwards.");
  }
  return index < 0 ? index + extent : index;
}

std::vector<int64_t> wrapped_indices(const Tensor& indices, int64_t extent) {
  if (!is_integer(indices.dtype())) {
    throw input_error(fmt::format("indices must be integers, not {}", name(indices.dtype())));
  }
  std::vector<int64_t> places = to_int64s(indices);
  for (int64_t& place : places) place = wrapped_index(place, extent);
  return places;
}

void check_indices(const NodeView& node, size_t slot) {
  const DType dtype = node.input_type(slot).dtype;
  if (dtype != DType::undefined && dtype != DType::int32 && dtype != DType::int64) {
    throw input_error(
        fmt::format("input {} holds {}; indices are int32 or int64", slot, name(dtype)));
  }
}

int64_t batch_dims(const NodeView& node, const std::vector<Dim>& data,
                   const std::vector<Dim>& indices) {
  const int64_t batch = node.attributes().integer("batch_dims", 0);
  const auto least = static_cast<int64_t>(std::min(data.size(), indices.size()));
  if (batch < 0 || batch >= least) {
    throw input_error(fmt::format("batch_dims of {} for data of rank {} and indices of rank {}",
                                  batch, data.size(), indices.size()));
  }
  for (size_t d = 0; d < static_cast<size_t>(batch); ++d) {
    if (data[d].value && indices[d].value && *data[d].value != *indices[d].value) {
      throw input_error(
          fmt::format("batches of {} and {} along axis {}", *data[d].value, *indices[d].value, d));
    }
  }
  return batch;
}

std::optional<int64_t> tuple_length(const std::vector<Dim>& data, const std::vector<Dim>& indices,
                                    int64_t batch) {
  const auto depth = indices.back().value;
  const auto most = static_cast<int64_t>(data.size()) - batch;
  if (depth && (*depth < 1 || *depth > most)) {
    throw input_error(fmt::format("index tuples of length {} for {} axes", *depth, most));
  }
  return depth;
}

TuplePlaces::TuplePlaces(const Shape& data, const Tensor& indices, int64_t batch)
    : depth(indices.shape().back()) {
  const auto first = static_cast<size_t>(batch);
  for (size_t d = first + static_cast<size_t>(depth); d < data.size(); ++d) inner *= data[d];
  const std::vector<int64_t> elements = to_int64s(indices);
  const int64_t count = depth == 0 ? 0 : indices.size() / depth;
  int64_t batches = 1;
  for (size_t d = 0; d < first; ++d) batches *= data[d];
  const int64_t per_batch = batches == 0 ? 1 : count / batches;
  for (int64_t i = 0; i < count; ++i) {
    int64_t place = per_batch == 0 ? 0 : i / per_batch;
    for (int64_t j = 0; j < depth; ++j) {
      const int64_t extent = data[first + static_cast<size_t>(j)];
      place = place * extent + wrapped_index(elements[static_cast<size_t>(i * depth + j)], extent);
    }
    blocks.push_back(place);
  }
}

}  // namespace qtool
