// SPDX-License-Identifier: Apache-2.0
#include "exec/onnxruntime_runner.h"

#include <dlfcn.h>

#include <array>
#include <cstdlib>
#include <cstring>

#include "exec/onnxruntime_abi.h"
#include "support/parallel.h"
#include "support/text.h"

namespace qtool {

namespace fs = std::filesystem;

namespace ort {

void Api::check(Status* status) const {
  if (status == nullptr) return;
  const Handle<Status> owner(status, function(kReleaseStatus));
  // Some of its messages run over several lines; an Error's message is one.
  std::string message;
  for (const std::string& line : split(plain(kGetErrorMessage, status), '\n')) {
    const size_t begin = line.find_first_not_of(' ');
    if (begin == std::string::npos) continue;
    if (!message.empty()) message += ' ';
    message += line.substr(begin);
  }
  throw input_error(std::move(message));
}

}  // namespace ort

namespace {

constexpr const char* kVariable = "QTOOL_ORT_LIBRARY";
constexpr const char* kAdvice =
    "Name its libonnxruntime.so.1 with --ort-library or the variable QTOOL_ORT_LIBRARY.";
constexpr const char* kUnderRoot =
    "tests/ort/node_modules/onnxruntime-node/bin/napi-v6/linux/x64/libonnxruntime.so.1";
constexpr std::array kSystemNames{"libonnxruntime.so.1", "libonnxruntime.so"};

/// The library stays loaded until the process ends: it has threads and exit handlers of its own.
void* load(const fs::path& library) {
  return ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
}

fs::path existing(const fs::path& path, const std::string& origin) {
  std::error_code failure;
  if (!fs::exists(path, failure)) {
    throw input_error(path.string() + ", named by " + origin + ", does not exist",
                      "Expected the path of ONNX Runtime's libonnxruntime.so.1.");
  }
  return path;
}

struct Library {
  ort::Api api;
  std::string version;
};

Library open_library(const fs::path& path) {
  void* handle = load(path);
  if (handle == nullptr) {
    throw input_error(std::string("cannot load ONNX Runtime: ") + ::dlerror(), kAdvice);
  }
  const auto entry = reinterpret_cast<ort::GetApiBase>(::dlsym(handle, ort::kEntryPoint));
  if (entry == nullptr) {
    throw input_error(path.string() + " is not ONNX Runtime: it has no " + ort::kEntryPoint);
  }
  const ort::ApiBase* base = entry();
  const ort::Function* table = base->get_api(ort::kApiVersion);
  if (table == nullptr) {
    throw input_error("ONNX Runtime " + std::string(base->version()) + " at " + path.string() +
                          " does not offer version " + std::to_string(ort::kApiVersion) +
                          " of its interface",
                      "ONNX Runtime 1.30 is known to work.");
  }
  return {ort::Api(table), base->version()};
}

struct Level {
  int number;
  const char* text;
};

Level level(OnnxRuntimeOptions::Optimization optimization) {
  switch (optimization) {
    case OnnxRuntimeOptions::Optimization::off: return {0, "no"};
    case OnnxRuntimeOptions::Optimization::basic: return {1, "basic"};
    case OnnxRuntimeOptions::Optimization::extended: return {2, "extended"};
    case OnnxRuntimeOptions::Optimization::all: return {99, "all"};
  }
  return {99, "all"};
}

struct TensorHead {
  DType dtype = DType::undefined;
  Shape dims;
};

TensorHead head(const ort::Api& api, const ort::TensorInfo* info) {
  TensorHead result;
  int number = 0;
  api.call(ort::kGetTensorElementType, info, &number);
  if (is_known(number)) result.dtype = static_cast<DType>(number);
  size_t rank = 0;
  api.call(ort::kGetDimensionsCount, info, &rank);
  result.dims.resize(rank);
  api.call(ort::kGetDimensions, info, result.dims.data(), rank);
  return result;
}

class OnnxRuntimeRunner final : public Runner {
 public:
  OnnxRuntimeRunner(const OnnxRuntimeOptions& options, const Library& library, std::string frame)
      : api_(library.api), frame_(std::move(frame)),
        env_(api_.create(ort::kReleaseEnv, ort::kCreateEnv, int{ort::kFatal}, "qtool")),
        memory_(api_.create(ort::kReleaseMemoryInfo, ort::kCreateCpuMemoryInfo,
                            int{ort::kDeviceAllocator}, int{ort::kDefaultMemory})),
        session_(open_session(options)) {
    const Level optimization = level(options.optimization);
    description_ = "ONNX Runtime " + library.version + ", " + optimization.text +
                   " optimizations, " + std::to_string(threads(options)) +
                   (threads(options) == 1 ? " thread" : " threads");
    inputs_ = values(ort::kSessionGetInputCount, ort::kSessionGetInputName,
                     ort::kSessionGetInputTypeInfo);
    outputs_ = values(ort::kSessionGetOutputCount, ort::kSessionGetOutputName,
                      ort::kSessionGetOutputTypeInfo);
    for (const RunnerValue& output : outputs_) output_names_.push_back(output.name.c_str());
  }

  TensorMap run(const TensorMap& feeds) override {
    return within_frame([&] { return frame_; }, [&] { return run_unframed(feeds); });
  }
  std::span<const RunnerValue> inputs() const override { return inputs_; }
  std::span<const RunnerValue> outputs() const override { return outputs_; }
  std::string description() const override { return description_; }

 private:
  using ValueHandle = ort::Handle<ort::Value>;

  static int threads(const OnnxRuntimeOptions& options) {
    return options.threads > 0 ? options.threads : available_cores();
  }
  TensorMap run_unframed(const TensorMap& feeds) const;
  ort::Handle<ort::Session> open_session(const OnnxRuntimeOptions& options) const;
  std::vector<RunnerValue> values(decltype(ort::kSessionGetInputCount) count,
                                  decltype(ort::kSessionGetInputName) name,
                                  decltype(ort::kSessionGetInputTypeInfo) type) const;
  ValueHandle wrap(const std::string& name, const Tensor& tensor) const;
  Tensor copy_out(const std::string& name, ort::Value* value) const;

  ort::Api api_;
  std::string frame_;
  ort::Handle<ort::Env> env_;
  ort::Handle<ort::MemoryInfo> memory_;
  ort::Handle<ort::Session> session_;
  std::string description_;
  std::vector<RunnerValue> inputs_;
  std::vector<RunnerValue> outputs_;
  std::vector<const char*> output_names_;
};

ort::Handle<ort::Session> OnnxRuntimeRunner::open_session(const OnnxRuntimeOptions& options) const {
  const auto settings = api_.create(ort::kReleaseSessionOptions, ort::kCreateSessionOptions);
  // Whatever fails comes back as a status, so that its log would only say it twice.
  api_.call(ort::kSetSessionLogSeverityLevel, settings.get(), ort::kFatal);
  api_.call(ort::kSetSessionGraphOptimizationLevel, settings.get(),
            level(options.optimization).number);
  api_.call(ort::kSetIntraOpNumThreads, settings.get(), threads(options));
  api_.call(ort::kSetInterOpNumThreads, settings.get(), 1);
  if (!options.optimized_model.empty()) {
    api_.call(ort::kSetOptimizedModelFilePath, settings.get(), options.optimized_model.c_str());
  }
  return api_.create(ort::kReleaseSession, ort::kCreateSession, env_.get(), options.model.c_str(),
                     settings.get());
}

std::vector<RunnerValue> OnnxRuntimeRunner::values(
    decltype(ort::kSessionGetInputCount) count, decltype(ort::kSessionGetInputName) name,
    decltype(ort::kSessionGetInputTypeInfo) type) const {
  ort::Allocator* allocator = nullptr;
  api_.call(ort::kGetAllocatorWithDefaultOptions, &allocator);
  size_t total = 0;
  api_.call(count, session_.get(), &total);
  std::vector<RunnerValue> result(total);
  for (size_t i = 0; i < total; ++i) {
    char* text = nullptr;
    api_.call(name, session_.get(), i, allocator, &text);
    result[i].name = text;
    api_.call(ort::kAllocatorFree, allocator, text);
    const auto info = api_.create(ort::kReleaseTypeInfo, type, session_.get(), i);
    const ort::TensorInfo* tensor = nullptr;
    api_.call(ort::kCastTypeInfoToTensorInfo, info.get(), &tensor);
    if (tensor == nullptr) continue;
    TensorHead declared = head(api_, tensor);
    result[i].dtype = declared.dtype;
    result[i].dims = std::move(declared.dims);
  }
  return result;
}

OnnxRuntimeRunner::ValueHandle OnnxRuntimeRunner::wrap(const std::string& name,
                                                       const Tensor& tensor) const {
  if (tensor.dtype() == DType::undefined || tensor.dtype() == DType::string) {
    throw unsupported_error("input \"" + name + "\": a tensor of type " +
                            std::string(qtool::name(tensor.dtype())) +
                            " cannot be handed to ONNX Runtime");
  }
  // It wants a pointer to writable memory for inputs too, and only reads from it.
  auto* data = const_cast<std::byte*>(tensor.raw());
  return api_.create(ort::kReleaseValue, ort::kCreateTensorWithDataAsOrtValue, memory_.get(),
                     static_cast<void*>(data), tensor.bytes(), tensor.shape().data(),
                     tensor.shape().size(), static_cast<int>(tensor.dtype()));
}

Tensor OnnxRuntimeRunner::copy_out(const std::string& name, ort::Value* value) const {
  int kind = 0;
  if (value != nullptr) api_.call(ort::kGetValueType, value, &kind);
  if (kind != ort::kTensor) throw unsupported_error("output \"" + name + "\" is not a tensor");
  const auto info =
      api_.create(ort::kReleaseTensorTypeAndShapeInfo, ort::kGetTensorTypeAndShape, value);
  TensorHead found = head(api_, info.get());
  if (bits(found.dtype) == 0) {
    throw unsupported_error("output \"" + name + "\" has a type that qtool does not read");
  }
  Tensor tensor(found.dtype, std::move(found.dims));
  void* data = nullptr;
  api_.call(ort::kGetTensorMutableData, value, &data);
  if (tensor.bytes() > 0) std::memcpy(tensor.raw(), data, tensor.bytes());
  return tensor;
}

TensorMap OnnxRuntimeRunner::run_unframed(const TensorMap& feeds) const {
  for (const RunnerValue& input : inputs_) {
    if (!feeds.contains(input.name))
      throw input_error("no data for the input \"" + input.name + '"');
  }
  std::vector<const char*> names;
  std::vector<ValueHandle> owners;
  std::vector<const ort::Value*> given;
  for (const auto& [name, tensor] : feeds) {
    names.push_back(name.c_str());
    owners.push_back(wrap(name, tensor));
    given.push_back(owners.back().get());
  }
  std::vector<ort::Value*> made(outputs_.size(), nullptr);
  api_.call(ort::kRun, session_.get(), nullptr, names.data(), given.data(), given.size(),
            output_names_.data(), output_names_.size(), made.data());
  std::vector<ValueHandle> results;
  for (ort::Value* value : made) results.emplace_back(value, api_.function(ort::kReleaseValue));
  TensorMap outputs;
  for (size_t i = 0; i < made.size(); ++i) {
    outputs.emplace(outputs_[i].name, copy_out(outputs_[i].name, made[i]));
  }
  return outputs;
}

}  // namespace

std::optional<fs::path> find_onnxruntime(const fs::path& named, const fs::path& root) {
  if (!named.empty()) return existing(named, "--ort-library");
  const char* variable = std::getenv(kVariable);
  if (variable != nullptr && *variable != '\0') return existing(variable, kVariable);
  std::error_code failure;
  if (!root.empty() && fs::exists(root / kUnderRoot, failure)) return root / kUnderRoot;
  for (const char* name : kSystemNames) {
    if (load(name) != nullptr) return name;
  }
  return std::nullopt;
}

std::string onnxruntime_version(const fs::path& library) { return open_library(library).version; }

std::unique_ptr<Runner> open_onnxruntime(const OnnxRuntimeOptions& options) {
  const auto path = options.library.empty() ? find_onnxruntime() : options.library;
  if (!path) throw input_error("ONNX Runtime is not installed", kAdvice);
  const Library library = open_library(*path);
  const std::string frame = options.model.string() + ": ONNX Runtime " + library.version;
  return within_frame([&] { return frame; },
                      [&] { return std::make_unique<OnnxRuntimeRunner>(options, library, frame); });
}

}  // namespace qtool
