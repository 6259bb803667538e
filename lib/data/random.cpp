// SPDX-License-Identifier: Apache-2.0
#include "data/random.h"

#include "data/sources/csv.h"
#include "support/rng.h"

namespace qtool {

namespace {

constexpr int64_t kMostSamples = 1'000'000;

class Random : public Dataset {
 public:
  Random(size_t samples, std::vector<RandomInput> inputs, bool batched)
      : samples_(samples), inputs_(std::move(inputs)), batched_(batched) {}

  size_t size() const override { return samples_; }
  bool labelled() const override { return false; }
  bool batched() const override { return batched_; }

  Sample get(size_t index) const override {
    QTOOL_CHECK(index < samples_, "sample " + std::to_string(index));
    Sample sample;
    sample.id = "random:" + std::to_string(index);
    Rng rng(1, index);
    for (const RandomInput& input : inputs_) {
      const bool real = is_floating(input.dtype);
      Tensor values(DType::float32, input.shape);
      for (float& value : values.data<float>())
        value = real ? rng.normal() : (rng.normal() < 0 ? 0.0F : 1.0F);
      sample.inputs.emplace(input.name, cast(values, input.dtype));
    }
    return sample;
  }

  Json provenance() const override { return {{"kind", "random"}, {"samples", samples_}}; }

 private:
  size_t samples_;
  std::vector<RandomInput> inputs_;
  bool batched_;
};

}  // namespace

std::optional<size_t> parse_random(std::string_view text) {
  constexpr std::string_view kPrefix = "random:";
  if (!text.starts_with(kPrefix) && text != "random") return std::nullopt;
  const auto count = parse_integer(text.substr(std::min(kPrefix.size(), text.size())));
  if (!count || *count < 1 || *count > kMostSamples) {
    throw usage_error("--data " + std::string(text) + ": how many samples?",
                      "Write random:N with N from 1 to 1000000.");
  }
  return static_cast<size_t>(*count);
}

std::unique_ptr<Dataset> open_random(size_t samples, std::vector<RandomInput> inputs,
                                     bool batched) {
  for (const RandomInput& input : inputs) {
    if (bits(input.dtype) < 8) {
      throw unsupported_error("no random numbers for the input \"" + input.name + "\" of type " +
                              std::string(name(input.dtype)));
    }
  }
  return std::make_unique<Random>(samples, std::move(inputs), batched);
}

}  // namespace qtool
