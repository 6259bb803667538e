// SPDX-License-Identifier: Apache-2.0
#include "train/checkpoint.h"

#include <fmt/format.h>

#include "tensor/npy.h"

namespace qtool {

namespace {

constexpr const char* kSchema = "qtool.checkpoint/1";

Tensor text_tensor(const std::string& text) {
  Tensor tensor(DType::uint8, {static_cast<int64_t>(text.size())});
  std::ranges::copy(text, tensor.data<uint8_t>().begin());
  return tensor;
}

std::string key(const char* kind, size_t i) { return fmt::format("{}{:05}", kind, i); }

Json parse(const Tensor& tensor) {
  if (tensor.dtype() != DType::uint8) throw input_error("\"about\" is no text");
  const auto bytes = tensor.data<uint8_t>();
  Json json = Json::parse(bytes.begin(), bytes.end(), nullptr, false);
  if (json.is_discarded()) throw input_error("\"about\" is not JSON");
  return json;
}

Json about_of(const TensorMap& tensors) {
  const auto found = tensors.find("about");
  if (found == tensors.end()) throw input_error("not a checkpoint of qtool qat");
  Json about = parse(found->second);
  check_schema(about, kSchema);
  return about;
}

void check_identity(const Json& saved, const Json& wanted) {
  for (const auto& [name, value] : wanted.items()) {
    if (saved.contains(name) && saved.at(name) == value) continue;
    throw input_error(
        fmt::format("the checkpoint has {} {}, this training {}", name,
                    saved.contains(name) ? saved.at(name).dump() : "nothing", value.dump()),
        "Resume with the flags of the interrupted training, or begin again without --resume.");
  }
}

void take(TensorMap& tensors, const std::string& name, Tensor& to) {
  const auto found = tensors.find(name);
  if (found == tensors.end() || found->second.dtype() != to.dtype() ||
      found->second.shape() != to.shape()) {
    throw input_error("the tensor \"" + name + "\" is missing or of another shape");
  }
  to = std::move(found->second);
}

/// Names and shapes, in their order.
Json described(const std::vector<Parameter>& parameters) {
  Json list = Json::array();
  for (const Parameter& parameter : parameters) {
    list.push_back({parameter.name, parameter.value.shape()});
  }
  return list;
}

void check_parameters(const Json& about, const std::vector<Parameter>& parameters) {
  if (member<Json>(about, "parameters") == described(parameters)) return;
  throw input_error("the checkpoint is of other parameters than this training has",
                    "Resume with the model, target and flags of the interrupted training.");
}

}  // namespace

void write_checkpoint(const std::filesystem::path& path, const Json& identity,
                      const std::vector<Parameter>& parameters, TrainState& state) {
  Json about{{"schema", kSchema},
             {"identity", identity},
             {"epochs_done", state.epochs_done},
             {"steps", state.optimizer.steps()},
             {"best_epoch", state.best_epoch},
             {"parameters", described(parameters)}};
  about["history"] = Json::array();
  for (const EpochResult& epoch : state.history) about["history"].push_back(to_json(epoch));
  if (state.best_accuracy) about["best_accuracy"] = *state.best_accuracy;
  TensorMap tensors;
  tensors.emplace("about", text_tensor(about.dump()));
  for (size_t i = 0; i < parameters.size(); ++i) {
    tensors.emplace(key("parameter", i), parameters[i].value.clone());
  }
  for (size_t i = 0; i < state.optimizer.moments().size(); ++i) {
    tensors.emplace(key("moment", i), state.optimizer.moments()[i].clone());
  }
  for (size_t i = 0; i < state.best.size(); ++i) {
    tensors.emplace(key("best", i), state.best[i].clone());
  }
  for (size_t i = 0; i < state.average.size(); ++i) {
    tensors.emplace(key("average", i), state.average[i].clone());
  }
  for (size_t i = 0; i < state.oscillation.size(); ++i) {
    tensors.emplace(key("oscillation", i), state.oscillation[i].clone());
  }
  write_npz(path, tensors);
}

int epochs_in_checkpoint(const std::filesystem::path& path) {
  return within_frame([&] { return path.string(); },
                      [&] { return member<int>(about_of(read_npz(path)), "epochs_done"); });
}

void read_checkpoint(const std::filesystem::path& path, const Json& identity,
                     std::vector<Parameter>& parameters, TrainState& state) {
  within_frame([&] { return path.string(); },
               [&] {
                 TensorMap tensors = read_npz(path);
                 const Json about = about_of(tensors);
                 check_identity(member<Json>(about, "identity"), identity);
                 check_parameters(about, parameters);
                 for (size_t i = 0; i < parameters.size(); ++i) {
                   take(tensors, key("parameter", i), parameters[i].value);
                 }
                 for (size_t i = 0; i < state.optimizer.moments().size(); ++i) {
                   take(tensors, key("moment", i), state.optimizer.moments()[i]);
                 }
                 state.average.clear();
                 const bool averaged = tensors.contains(key("average", 0));
                 for (size_t i = 0; averaged && i < parameters.size(); ++i) {
                   state.average.push_back(parameters[i].value.clone());
                   take(tensors, key("average", i), state.average.back());
                 }
                 state.oscillation.clear();
                 for (size_t i = 0; tensors.contains(key("oscillation", i)); ++i) {
                   state.oscillation.push_back(std::move(tensors.at(key("oscillation", i))));
                 }
                 state.epochs_done = member<int>(about, "epochs_done");
                 state.optimizer.set_steps(member<int64_t>(about, "steps"));
                 state.best_epoch = member<int>(about, "best_epoch");
                 state.history.clear();
                 const auto history = member<Json>(about, "history");
                 for (const Json& epoch : history) state.history.push_back(epoch_from_json(epoch));
                 state.best_accuracy.reset();
                 state.best.clear();
                 if (state.best_epoch == 0) return;
                 state.best_accuracy = member<double>(about, "best_accuracy");
                 for (size_t i = 0; i < parameters.size(); ++i) {
                   state.best.push_back(parameters[i].value.clone());
                   take(tensors, key("best", i), state.best.back());
                 }
               });
}

}  // namespace qtool
