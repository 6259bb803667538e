// SPDX-License-Identifier: Apache-2.0
// From --data and its flags to the feeds of a model.
#include <algorithm>

#include "data/random.h"
#include "input_shapes.h"
#include "options.h"
#include "report/number_text.h"
#include "support/text.h"

namespace qtool {

void DataOptions::declare(CLI::App& app, bool required, const char* what) {
  auto* option = app.add_option("--data", data, what)->type_name("PATH");
  if (required) option->required();
  std::string help =
      "how images become inputs: a YAML file, '{scale: 1/255, mean: .5, std: .5}', or one of";
  for (const Preset& preset : presets()) help += "\n  " + preset.name + ": " + preset.summary;
  app.add_option("--preprocess", preprocess, help)->default_str("none");
  app.add_option("--labels", labels,
                 "a file with one label a sample; or the array of an .npz, the column of a .csv; "
                 "CIFAR-100: fine or coarse")
      ->type_name("NAME");
  app.add_option("--shape", shapes,
                 "of one sample of raw data, such as 3,224,224; for random data NAME=EXTENT,...: "
                 "an input's whole shape where the model leaves it open, repeatable")
      ->type_name("SHAPE");
  app.add_option("--dtype", dtype, "of raw data: float (default), uint8, int8, int64, ...")
      ->type_name("TYPE");
  app.add_option("--split", split, "which part of a folder with several: train, test, ...")
      ->type_name("NAME");
  app.add_option("--samples", samples,
                 usual_samples
                     ? "use the first N samples, default " + std::to_string(*usual_samples)
                     : std::string("use only the first N samples"));
  app.add_option("--skip", skip, "leave out the first N samples, as a part kept for other uses");
  app.add_option("--batch", batch, "samples computed at once; changes no result");
}

namespace {

/// Where the first dimension of all inputs is the batch, a sample is one part of it; otherwise
/// (scalars, states with the batch further behind) it is what a whole run takes.
std::unique_ptr<Dataset> open_random_for(size_t count, std::span<const RunnerValue> inputs,
                                         const InputShapes& asked, Log* log) {
  if (inputs.empty()) throw usage_error("--data random:N is not for this command");
  check_input_shapes(inputs, asked);
  const bool whole = std::ranges::any_of(inputs, [&](const RunnerValue& input) {
    return input.dims.empty() || inputs[0].dims.empty() || input.dims[0] != inputs[0].dims[0];
  });
  std::vector<RandomInput> wanted;
  for (const RunnerValue& input : inputs) {
    const auto found = asked.find(input.name);
    const Shape& dims = found == asked.end() ? input.dims : found->second;
    // The batch is open as a rule.
    const auto behind_batch = dims.begin() + (dims.empty() ? 0 : 1);
    if (log != nullptr && std::any_of(behind_batch, dims.end(), [](int64_t n) { return n < 0; })) {
      log->warn(
          fmt::format("input \"{}\" {}: open extents are taken as 1; --shape {}=... sets them",
                      input.name, to_string(dims), input.name));
    }
    Shape shape;
    for (size_t i = whole ? 0 : 1; i < dims.size(); ++i)
      shape.push_back(std::max<int64_t>(dims[i], 1));
    wanted.push_back({input.name, input.dtype, shape});
  }
  return open_random(count, std::move(wanted), whole);
}

/// What --shape says of raw data: one list without a name.
Shape sample_shape(std::span<const std::string> texts) {
  if (texts.empty()) return {};
  if (texts.size() > 1 || texts[0].find('=') != std::string::npos)
    throw usage_error("--shape NAME=EXTENT,... is for --data random:N",
                      "Of raw data give the shape of a sample, such as --shape 3,224,224.");
  auto shape = parse_extents(texts[0]);
  if (!shape) {
    throw usage_error("--shape " + texts[0] + " is no list of extents",
                      "Write them with commas, such as 3,224,224, without the batch.");
  }
  return std::move(*shape);
}

/// How many samples the model takes at once where its first input says so.
std::optional<size_t> fixed_batch(std::span<const RunnerValue> inputs) {
  // The first input has samples in front; others may be states, whose batch dimension is another.
  const auto first =
      std::ranges::find_if(inputs, [](const auto& input) { return !input.dims.empty(); });
  if (first == inputs.end() || first->dims[0] <= 0) return std::nullopt;
  return static_cast<size_t>(first->dims[0]);
}

/// Leaves out the samples at the end that fill no batch of a model that takes no smaller one.
void keep_whole_batches(Order& order, size_t batch, Log* log) {
  const size_t left = order.size() % batch;
  if (left == 0) return;
  if (order.size() < batch) {
    throw input_error(fmt::format("the model was exported for batches of {}, the data has {}",
                                  batch, counted(order.size(), "sample")),
                      "Give more data, or export the model with an open batch dimension.");
  }
  order.resize(order.size() - left);
  if (log != nullptr) {
    log->warn(fmt::format("the model was exported for batches of {}: the last {} left out", batch,
                          counted(left, "sample") + (left == 1 ? " is" : " are")));
  }
}

}  // namespace

bool is_random(const Json& provenance) {
  if (provenance.is_array()) return std::ranges::any_of(provenance, is_random);
  return provenance.is_object() && provenance.value("kind", "") == "random";
}

DataOptions::Opened DataOptions::open(std::span<const RunnerValue> inputs, Log* log) const {
  if (samples == size_t{0}) throw usage_error("--samples 0 leaves nothing to work on");
  Opened opened;
  opened.preprocessing =
      within_frame([] { return "--preprocess"; }, [&] { return Preprocessing::parse(preprocess); });
  if (const auto count = parse_random(data)) {
    opened.dataset = open_random_for(*count, inputs, parse_input_shapes(shapes), log);
    if (log != nullptr) log->warn(kRandomWarning);
  } else {
    opened.dataset = open_dataset({.path = data,
                                   .preprocessing = opened.preprocessing,
                                   .labels = labels,
                                   .split = split,
                                   .shape = sample_shape(shapes),
                                   .dtype = dtype});
  }
  const size_t there = opened.dataset->size();
  if (skip >= there) {
    throw usage_error(
        fmt::format("--skip {} leaves nothing: {} has {} samples", skip, data, there));
  }
  if (samples && *samples > there - skip) {
    const char* behind = skip > 0 ? " behind those skipped" : "";
    throw usage_error(
        fmt::format("--samples {}: {} has only {}{}", *samples, data, there - skip, behind));
  }
  const size_t usual = std::min(usual_samples.value_or(there), there - skip);
  opened.order = in_order(there, skip + samples.value_or(usual));
  opened.order.erase(opened.order.begin(), opened.order.begin() + static_cast<ptrdiff_t>(skip));
  if (const auto fixed = fixed_batch(inputs); fixed && !opened.dataset->batched()) {
    keep_whole_batches(opened.order, *fixed, log);
  }
  opened.origin =
      std::async(std::launch::async, [data = opened.dataset.get(), used = samples, skipped = skip] {
        Json json = data->provenance();
        if (used) json["used"] = *used;
        if (skipped > 0) json["skipped"] = skipped;
        return json;
      });
  return opened;
}

size_t batch_size(std::span<const RunnerValue> inputs, std::optional<size_t> asked,
                  size_t otherwise) {
  const std::optional<size_t> fixed = fixed_batch(inputs);
  if (asked == size_t{0}) throw usage_error("--batch 0: a batch has at least one sample");
  if (asked && fixed && *asked != *fixed) {
    throw usage_error(
        fmt::format("--batch {}: the model was exported for batches of {}", *asked, *fixed),
        "Leave --batch out, or export the model with an open batch dimension.");
  }
  return asked ? *asked : fixed.value_or(otherwise);
}

namespace {

std::string described(const RunnerValue& input) {
  std::vector<std::string> dims;
  for (const int64_t dim : input.dims) dims.push_back(dim < 0 ? "?" : std::to_string(dim));
  return '"' + input.name + "\" " + std::string(name(input.dtype)) + '[' + join(dims, ",") + ']';
}

std::string described(const std::string& key, const Tensor& tensor) {
  return (key.empty() ? std::string("the data") : "\"" + key + '"') + ' ' +
         std::string(name(tensor.dtype())) + to_string(tensor.shape());
}

bool fits(const Tensor& tensor, const RunnerValue& input) {
  if (input.dims.empty()) return true;
  if (static_cast<size_t>(tensor.rank()) != input.dims.size()) return false;
  for (size_t i = 0; i < input.dims.size(); ++i) {
    if (input.dims[i] >= 0 && tensor.shape()[i] != input.dims[i]) return false;
  }
  return true;
}

}  // namespace

TensorMap feeds(Batch& batch, std::span<const RunnerValue> inputs) {
  TensorMap result;
  for (const RunnerValue& input : inputs) {
    auto found = batch.inputs.find(input.name);
    if (found == batch.inputs.end() && inputs.size() == 1 && batch.inputs.size() == 1) {
      found = batch.inputs.begin();
    }
    if (found == batch.inputs.end()) {
      // ONNX's test data, whose files go by position, may leave the names out.
      const auto place = static_cast<size_t>(&input - inputs.data());
      found = batch.inputs.find("input_" + std::to_string(place));
    }
    if (found == batch.inputs.end()) {
      std::vector<std::string> has;
      for (const auto& [key, tensor] : batch.inputs) has.push_back(described(key, tensor));
      throw input_error(
          "the data has nothing for the model's input " + described(input),
          "It has " + join(has, ", ") + ". Name the arrays of an .npz as the inputs are named.");
    }
    Tensor& tensor = found->second;
    const bool half = input.dtype == DType::float16 || input.dtype == DType::bfloat16;
    if ((half && tensor.dtype() == DType::float32) ||
        ((half || input.dtype == DType::float32) && tensor.dtype() == DType::uint8)) {
      tensor = cast(tensor, input.dtype);
    }
    if (tensor.dtype() != input.dtype || !fits(tensor, input)) {
      throw input_error("sample " + batch.ids.front() + ": the model's input is " +
                            described(input) + ", a batch of the data is " +
                            described(found->first, tensor),
                        "Check --preprocess and --batch.");
    }
    result.emplace(input.name, std::move(tensor));
    batch.inputs.erase(found);
  }
  return result;
}

}  // namespace qtool
