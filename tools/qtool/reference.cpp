// SPDX-License-Identifier: Apache-2.0
#include "reference.h"

#include <cstring>

#include "data/image.h"
#include "exec/session_runner.h"
#include "support/text.h"
#include "tensor/npy.h"

namespace qtool {

namespace fs = std::filesystem;

namespace {

class ModelReference : public Reference {
 public:
  ModelReference(LoadedModel model, Log& log)
      : model_(std::move(model)),
        runner_(open_session(prepared(model_, log), builtin_ops(), Backend::onednn)) {}

  std::string name() const override { return model_.file.file; }
  TensorMap outputs(const Batch&, std::span<const size_t>, const TensorMap& inputs) override {
    return within_frame([&] { return model_.path.string(); }, [&] { return runner_->run(inputs); });
  }

 private:
  LoadedModel model_;
  std::unique_ptr<Runner> runner_;
};

class ArrayReference : public Reference {
 public:
  ArrayReference(fs::path path, TensorMap arrays, size_t samples)
      : path_(std::move(path)), arrays_(std::move(arrays)) {
    for (const auto& [key, array] : arrays_) {
      if (array.rank() > 0 && array.shape()[0] == static_cast<int64_t>(samples)) continue;
      throw input_error(fmt::format("{}: the outputs \"{}\" are {}{}, but the data has {} samples",
                                    path_.string(), key, qtool::name(array.dtype()),
                                    to_string(array.shape()), samples),
                        "The first dimension counts the samples, all of the data's.");
    }
  }

  std::string name() const override { return path_.filename().string(); }

  TensorMap outputs(const Batch&, std::span<const size_t> samples, const TensorMap&) override {
    TensorMap result;
    for (const auto& [key, array] : arrays_) {
      Shape shape = array.shape();
      shape[0] = static_cast<int64_t>(samples.size());
      Tensor rows(array.dtype(), std::move(shape));
      const size_t bytes = samples.empty() ? 0 : rows.bytes() / samples.size();
      for (size_t i = 0; i < samples.size() && bytes > 0; ++i)
        std::memcpy(rows.raw() + i * bytes, array.raw() + samples[i] * bytes, bytes);
      result.emplace(key, std::move(rows));
    }
    return result;
  }

 private:
  fs::path path_;
  TensorMap arrays_;
};

/// Outputs without a name of the model go by their place, as ONNX's test data do.
class DataReference : public Reference {
 public:
  explicit DataReference(std::span<const RunnerValue> outputs)
      : outputs_(outputs.begin(), outputs.end()) {}

  std::string name() const override { return "the data"; }
  TensorMap outputs(const Batch& batch, std::span<const size_t>, const TensorMap&) override {
    TensorMap result;
    for (const auto& [key, tensor] : batch.expected) {
      std::string name = key;
      for (size_t i = 0; i < outputs_.size(); ++i) {
        if (key == "output_" + std::to_string(i)) name = outputs_[i].name;
      }
      result.emplace(name, tensor.clone());
    }
    if (result.empty()) {
      throw input_error(batch.ids.front() + " has neither labels nor outputs to compare with",
                        "Name a model or its outputs with --reference.");
    }
    return result;
  }

 private:
  std::vector<RunnerValue> outputs_;
};

}  // namespace

std::unique_ptr<Reference> open_reference(const std::string& path, const Dataset& dataset,
                                          std::span<const RunnerValue> outputs, Log& log) {
  if (path.empty()) return std::make_unique<DataReference>(outputs);
  const std::string extension = lower_extension(path);
  if (extension == ".npz")
    return std::make_unique<ArrayReference>(path, read_npz(path), dataset.size());
  if (extension == ".npy") {
    if (outputs.size() != 1) {
      throw usage_error("--reference " + path + " is one array, the model has " +
                            std::to_string(outputs.size()) + " outputs",
                        "Put arrays named as they are into an .npz.");
    }
    TensorMap one;
    one.emplace(outputs[0].name, read_npy(path));
    return std::make_unique<ArrayReference>(path, std::move(one), dataset.size());
  }
  return std::make_unique<ModelReference>(open_model(path), log);
}

}  // namespace qtool
