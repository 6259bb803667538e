// SPDX-License-Identifier: Apache-2.0
#include "learning.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "exec/session_runner.h"
#include "measure.h"
#include "passes/batch.h"
#include "passes/float_outputs.h"
#include "quant/methods.h"
#include "rounding/learn_rounding.h"

namespace qtool {

namespace {

constexpr size_t kIterations = 2000;
constexpr size_t kSamples = 1024;
constexpr uint64_t kMemory = uint64_t{1} << 30;

RoundingOptions options_of(const Recipe& recipe) {
  RoundingOptions options;
  const bool blocks = recipe.rounding == Rounding::brecq || recipe.rounding == Rounding::qdrop;
  options.granularity = blocks ? Granularity::block : Granularity::layer;
  options.learn_scales = blocks;
  options.measure_bias = recipe.measure_bias;
  if (recipe.rounding == Rounding::nearest) options.learning = Learning::nearest;
  if (recipe.rounding == Rounding::gptq) options.learning = Learning::second_moments;
  options.search_scales = recipe.search_scales;
  // Second moments, which GPTQ weighs errors by, count means as well.
  options.keep_means =
      recipe.search_scales && recipe.rounding == Rounding::nearest && recipe.bias_correction;
  options.training.adaquant = recipe.rounding == Rounding::adaquant;
  if (options.training.adaquant) options.learn_scales = true;
  options.training.drop = recipe.rounding == Rounding::qdrop;
  options.training.iterations = recipe.iterations.value_or(kIterations);
  return options;
}

/// What may be left for samples: half of what the process does not have yet.
uint64_t for_samples(std::optional<uint64_t> limit) {
  if (!limit) return kMemory;
  const uint64_t used = peak_rss_bytes().value_or(0);
  return *limit > used ? (*limit - used) / 2 : 0;
}

/// Only constants were learned; both have the same ids.
void take_weights(Graph& graph, const Graph& learned) {
  for (const ValueId id : learned.values()) {
    const Constant constant = learned.value(id).constant;
    if (constant == nullptr || constant->dtype() != DType::float32) continue;
    if (graph.value(id).constant != constant) graph.set_constant(id, constant);
  }
}

/// Four square matrices of doubles are held of the columns' second moments and their inverse.
size_t columns_within(uint64_t bytes) {
  const double columns = std::sqrt(static_cast<double>(bytes) / (4 * sizeof(double)));
  return std::clamp<size_t>(static_cast<size_t>(columns), 64, 8192);
}

}  // namespace

bool learns(const Recipe& recipe) {
  const bool without = recipe.rounding == Rounding::nearest || recipe.rounding == Rounding::hqq;
  return !without || recipe.measure_bias || recipe.search_scales;
}

bool reads_samples(const Recipe& recipe) {
  return learns(recipe) || recipe.awq || recipe.search_percentiles;
}

FeedSource first_samples(const Graph& graph, const DataOptions& data, size_t usual,
                         const char* name, const Globals& globals, Log& log) {
  struct State {
    std::vector<RunnerValue> inputs;
    DataOptions::Opened opened;
    std::optional<Loader> loader;
    std::optional<Progress> progress;
  };
  auto state = std::make_shared<State>();
  state->inputs = declared_inputs(graph);
  DataOptions some = data;
  if (!some.samples) some.usual_samples = usual;
  state->opened = some.open(state->inputs, &log);
  state->loader.emplace(*state->opened.dataset, state->opened.order,
                        Loader::Options{.batch_size = batch_size(state->inputs, data.batch, 4)});
  state->progress.emplace(name, "samples", state->opened.order.size(), globals.progress());
  return [state]() -> std::optional<FeedBatch> {
    auto next = state->loader->next();
    if (!next) {
      state->progress.reset();
      return std::nullopt;
    }
    state->progress->advance(next->size);
    TensorMap fed = feeds(*next, state->inputs);
    return FeedBatch{std::move(fed), std::move(next->ids)};
  };
}

void learn(Graph& graph, QuantPlan& plan, const Recipe& recipe, const DataOptions& data_options,
           std::optional<uint64_t> memory_limit, const Globals& globals, Log& log) {
  DataOptions some = data_options;
  if (!some.samples) some.usual_samples = kSamples;
  // Layers learn from many samples at once, also of a model that was exported for one.
  RoundingOptions options = options_of(recipe);
  Graph batched = graph;
  try {
    batched = with_open_batch(graph, builtin_ops());
  } catch (const Error& error) {
    if (error.kind() != Error::Kind::input) throw;
    log.warn(std::string(error.what()) + "; samples go through one at a time");
    options.batch = options.training.batch = 1;
  }
  output_floats(batched);
  const std::vector<RunnerValue> inputs = declared_inputs(batched);
  if (const size_t fixed = batch_size(inputs, {}, 0); fixed > 1) {
    throw unsupported_error(
        fmt::format("{} needs batches of any size; the model was exported for batches of {}",
                    to_string(recipe.rounding), fixed),
        "Export it with an open batch dimension, or choose another method.");
  }
  const auto data = some.open(inputs, &log);
  Loader loader(*data.dataset, data.order, {.batch_size = batch_size(inputs, some.batch, 16)});
  options.memory = for_samples(memory_limit);
  if (memory_limit) {
    options.memory /= 2;
    options.most_columns = columns_within(options.memory);
    options.training.memory = std::max<uint64_t>(options.memory, 1);
  }
  std::optional<Progress> progress;
  const bool trains = options.learning == Learning::reconstruction;
  options.begin = [&](size_t segment, size_t segments, const std::string& name) {
    if (!progress) {
      progress.emplace(recipe.search_scales ? "seqmse" : to_string(recipe.rounding),
                       trains ? "iterations" : "layers",
                       segments * (trains ? options.training.iterations : 1), globals.progress());
    }
    progress->note(fmt::format("{}/{} {}", segment + 1, segments, name));
  };
  options.training.advance = [&](size_t iterations) { progress->advance(iterations); };
  const auto source = [&]() -> std::optional<FeedBatch> {
    auto next = loader.next();
    if (!next) return std::nullopt;
    TensorMap fed = feeds(*next, inputs);
    return FeedBatch{std::move(fed), std::move(next->ids)};
  };
  RoundedModel learned = learn_rounding(batched, plan, source, data.order.size(), options);
  progress.reset();
  take_weights(graph, learned.graph);
  plan = std::move(learned.plan);
  if (memory_limit && learned.batch < options.training.batch) {
    log.warn(
        fmt::format("--mem-limit: {} learned from batches of {} instead of {}, which gives "
                    "other weights",
                    to_string(recipe.rounding), learned.batch, options.training.batch));
  }
  for (const std::string& note : learned.notes) log.info(note);
}

}  // namespace qtool
