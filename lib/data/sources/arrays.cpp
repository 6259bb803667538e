// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cstring>

#include "data/sources/sources.h"
#include "support/text.h"
#include "tensor/npy.h"

namespace qtool {

namespace {

class Arrays : public Dataset {
 public:
  Arrays(std::string kind, std::filesystem::path path, TensorMap inputs,
         std::vector<int64_t> labels)
      : kind_(std::move(kind)), path_(std::move(path)), inputs_(std::move(inputs)),
        labels_(std::move(labels)), size_(static_cast<size_t>(inputs_.begin()->second.shape()[0])) {
  }

  size_t size() const override { return size_; }
  bool labelled() const override { return !labels_.empty(); }
  std::optional<int64_t> class_count() const override { return classes_among(labels_); }

  Sample get(size_t index) const override {
    QTOOL_CHECK(index < size_, "sample " + std::to_string(index));
    Sample sample;
    sample.id = path_.filename().string() + ':' + std::to_string(index);
    for (const auto& [key, all] : inputs_) {
      Tensor one(all.dtype(), Shape(all.shape().begin() + 1, all.shape().end()));
      std::memcpy(one.raw(), all.raw() + index * one.bytes(), one.bytes());
      sample.inputs.emplace(key, std::move(one));
    }
    if (!labels_.empty()) sample.label = labels_[index];
    return sample;
  }

  Json provenance() const override { return provenance_of_file(kind_, path_, size_); }

 private:
  std::string kind_;
  std::filesystem::path path_;
  TensorMap inputs_;
  std::vector<int64_t> labels_;
  size_t size_;
};

std::vector<std::string> keys(const TensorMap& arrays) {
  std::vector<std::string> names;
  for (const auto& [key, tensor] : arrays) names.push_back(key);
  return names;
}

std::string described(const Tensor& tensor) {
  return std::string(name(tensor.dtype())) + to_string(tensor.shape());
}

bool can_be_labels(const Tensor& tensor) {
  return tensor.rank() == 1 && is_integer(tensor.dtype());
}

/// The array that holds the labels, or arrays.end().
TensorMap::iterator find_labels(TensorMap& arrays, const std::string& asked) {
  if (!asked.empty()) {
    const auto found = arrays.find(asked);
    if (found == arrays.end()) {
      std::string advice = did_you_mean(asked, keys(arrays));
      if (advice.empty()) advice = "It has " + join(keys(arrays), ", ") + '.';
      throw input_error("no array \"" + asked + "\" for the labels", advice);
    }
    return found;
  }
  for (const char* usual : {"label", "labels"}) {
    if (const auto found = arrays.find(usual); found != arrays.end()) return found;
  }
  // Others call an input y.
  const auto found = arrays.find("y");
  return found != arrays.end() && can_be_labels(found->second) ? found : arrays.end();
}

std::vector<int64_t> take_labels(TensorMap& arrays, const std::string& asked) {
  const auto found = find_labels(arrays, asked);
  if (found == arrays.end()) return {};
  return within_frame(
      [&] { return "array \"" + found->first + '"'; },
      [&] {
        if (!can_be_labels(found->second)) {
          throw input_error("labels are integers, one a sample; it is " + described(found->second),
                            "Name the array with the labels, or store class numbers.");
        }
        std::vector<int64_t> labels = to_int64s(found->second);
        for (size_t i = 0; i < labels.size(); ++i) {
          within_frame([&] { return "sample " + std::to_string(i); },
                       [&] { check_label(labels[i]); });
        }
        arrays.erase(found);
        return labels;
      });
}

void check_counts(const TensorMap& arrays, const std::vector<int64_t>* labels) {
  if (arrays.empty()) throw input_error("there is no array besides the labels");
  const auto& [first_key, first] = *arrays.begin();
  for (const auto& [key, tensor] : arrays) {
    if (tensor.rank() == 0)
      throw input_error("the array \"" + key +
                        "\" is a single number; its first dimension should count samples");
    if (tensor.shape()[0] != first.shape()[0]) {
      throw input_error(fmt::format("the array \"{}\" has {} samples, \"{}\" has {}", first_key,
                                    first.shape()[0], key, tensor.shape()[0]),
                        "The first dimension of every array counts the samples.");
    }
  }
  if (labels != nullptr && static_cast<int64_t>(labels->size()) != first.shape()[0]) {
    throw input_error(fmt::format("{} labels for {} samples", labels->size(), first.shape()[0]));
  }
  if (first.shape()[0] == 0) throw input_error("it holds no samples");
}

size_t samples_of(const TensorMap& arrays) {
  return static_cast<size_t>(arrays.begin()->second.shape()[0]);
}

void apply(TensorMap& arrays, const Preprocessing& steps) {
  if (steps.resize || steps.crop) {
    throw unsupported_error(
        "the preprocessing resizes or crops, which is done for image files only",
        "Give just the values' part, such as '{scale: 1/255, mean: 0.5, std: 0.5}'.");
  }
  if (!steps.changes_values()) return;
  bool any = false;
  for (auto& [key, tensor] : arrays) {
    // Bytes of four dimensions are images' pixels.
    const bool pixels = tensor.dtype() == DType::uint8;
    if ((!is_floating(tensor.dtype()) && !pixels) || tensor.rank() != 4) continue;
    any = true;
    tensor = cast(tensor, DType::float32);
    within_frame([&, &k = key] { return "array \"" + k + '"'; },
                 [&, &t = tensor] { normalize(t, steps); });
  }
  if (any) return;
  throw input_error(
      "the preprocessing has nothing to work on: no array holds floats or bytes of [N,C,H,W] or "
      "[N,H,W,C]",
      "Leave it out; other arrays go to the model as they are.");
}

}  // namespace

std::unique_ptr<Dataset> open_arrays(const DataSpec& spec) {
  const bool one = spec.path.extension() == ".npy";
  const auto file = label_file(spec);
  if (one && !spec.labels.empty() && !file) {
    throw usage_error(
        spec.path.string() + " is a single array and has no labels \"" + spec.labels + '"',
        "Name a file with labels, or put both into an .npz file.");
  }
  TensorMap arrays;
  if (one) {
    arrays.emplace("", read_npy(spec.path));
  } else {
    arrays = read_npz(spec.path);
  }
  return within_frame([&] { return spec.path.string(); },
                      [&] {
                        const size_t count = arrays.size();
                        std::vector<int64_t> labels;
                        if (!one && !file) labels = take_labels(arrays, spec.labels);
                        check_counts(arrays, arrays.size() < count ? &labels : nullptr);
                        if (file) labels = read_label_list(*file, samples_of(arrays));
                        apply(arrays, spec.preprocessing);
                        return std::make_unique<Arrays>(one ? "npy" : "npz", spec.path,
                                                        std::move(arrays), std::move(labels));
                      });
}

}  // namespace qtool
