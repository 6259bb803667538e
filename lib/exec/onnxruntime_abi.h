// SPDX-License-Identifier: Apache-2.0
// The part of ONNX Runtime's C ABI that qtool calls, declared by hand so that neither its headers
// nor its library are needed to build. The library exports one symbol, OrtGetApiBase; its GetApi
// returns a table of functions whose order ONNX Runtime guarantees for good: new functions are
// only appended. The slots here all belong to version 1 of the table. Enumerations are passed as
// int, which is what a C compiler makes of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace qtool::ort {

struct Allocator;
struct Env;
struct MemoryInfo;
struct RunOptions;
struct Session;
struct SessionOptions;
struct Status;
struct TensorInfo;
struct TypeInfo;
struct Value;

inline constexpr uint32_t kApiVersion = 1;
inline constexpr const char* kEntryPoint = "OrtGetApiBase";

using Function = void (*)();
struct ApiBase {
  const Function* (*get_api)(uint32_t version);  ///< null where the version is not supported
  const char* (*version)();
};
using GetApiBase = const ApiBase* (*)();

enum LogSeverity : int { kFatal = 4 };
enum ValueKind : int { kTensor = 1 };
enum AllocatorKind : int { kDeviceAllocator = 0 };
enum MemoryKind : int { kDefaultMemory = 0 };

/// Where in the table a function of this signature stands.
template <class Signature>
struct Slot {
  size_t index;
};

// What can fail returns a status, null on success.
inline constexpr Slot<const char*(const Status*)> kGetErrorMessage{2};
inline constexpr Slot<Status*(int severity, const char* id, Env**)> kCreateEnv{3};
inline constexpr Slot<Status*(const Env*, const char* path, const SessionOptions*, Session**)>
    kCreateSession{7};
inline constexpr Slot<Status*(
    Session*, const RunOptions*, const char* const* input_names, const Value* const* inputs,
    size_t input_count, const char* const* output_names, size_t output_count, Value** outputs)>
    kRun{9};
inline constexpr Slot<Status*(SessionOptions**)> kCreateSessionOptions{10};
inline constexpr Slot<Status*(SessionOptions*, const char* path)> kSetOptimizedModelFilePath{11};
inline constexpr Slot<Status*(SessionOptions*, int severity)> kSetSessionLogSeverityLevel{22};
inline constexpr Slot<Status*(SessionOptions*, int level)> kSetSessionGraphOptimizationLevel{23};
inline constexpr Slot<Status*(SessionOptions*, int threads)> kSetIntraOpNumThreads{24};
inline constexpr Slot<Status*(SessionOptions*, int threads)> kSetInterOpNumThreads{25};
inline constexpr Slot<Status*(const Session*, size_t*)> kSessionGetInputCount{30};
inline constexpr Slot<Status*(const Session*, size_t*)> kSessionGetOutputCount{31};
inline constexpr Slot<Status*(const Session*, size_t index, TypeInfo**)> kSessionGetInputTypeInfo{
    33};
inline constexpr Slot<Status*(const Session*, size_t index, TypeInfo**)> kSessionGetOutputTypeInfo{
    34};
inline constexpr Slot<Status*(const Session*, size_t index, Allocator*, char**)>
    kSessionGetInputName{36};
inline constexpr Slot<Status*(const Session*, size_t index, Allocator*, char**)>
    kSessionGetOutputName{37};
inline constexpr Slot<Status*(const MemoryInfo*, void* data, size_t bytes, const int64_t* dims,
                              size_t rank, int dtype, Value**)>
    kCreateTensorWithDataAsOrtValue{49};
inline constexpr Slot<Status*(Value*, void** data)> kGetTensorMutableData{51};
inline constexpr Slot<Status*(const TypeInfo*, const TensorInfo**)> kCastTypeInfoToTensorInfo{55};
inline constexpr Slot<Status*(const TensorInfo*, int* dtype)> kGetTensorElementType{60};
inline constexpr Slot<Status*(const TensorInfo*, size_t* rank)> kGetDimensionsCount{61};
inline constexpr Slot<Status*(const TensorInfo*, int64_t* dims, size_t rank)> kGetDimensions{62};
inline constexpr Slot<Status*(const Value*, TensorInfo**)> kGetTensorTypeAndShape{65};
inline constexpr Slot<Status*(const Value*, int* kind)> kGetValueType{67};
inline constexpr Slot<Status*(int allocator, int memory, MemoryInfo**)> kCreateCpuMemoryInfo{69};
inline constexpr Slot<Status*(Allocator*, void*)> kAllocatorFree{76};
inline constexpr Slot<Status*(Allocator**)> kGetAllocatorWithDefaultOptions{78};
inline constexpr Slot<void(Env*)> kReleaseEnv{92};
inline constexpr Slot<void(Status*)> kReleaseStatus{93};
inline constexpr Slot<void(MemoryInfo*)> kReleaseMemoryInfo{94};
inline constexpr Slot<void(Session*)> kReleaseSession{95};
inline constexpr Slot<void(Value*)> kReleaseValue{96};
inline constexpr Slot<void(TypeInfo*)> kReleaseTypeInfo{98};
inline constexpr Slot<void(TensorInfo*)> kReleaseTensorTypeAndShapeInfo{99};
inline constexpr Slot<void(SessionOptions*)> kReleaseSessionOptions{100};

template <class T>
using Handle = std::unique_ptr<T, void (*)(T*)>;

/// The table, with the slots' signatures put back.
class Api {
 public:
  explicit Api(const Function* table) : table_(table) {}

  template <class Signature>
  Signature* function(Slot<Signature> slot) const {
    return reinterpret_cast<Signature*>(table_[slot.index]);
  }

  /// Calls a function that cannot fail.
  template <class Result, class... Parameters>
  Result plain(Slot<Result(Parameters...)> slot,
               std::type_identity_t<Parameters>... arguments) const {
    return function(slot)(arguments...);
  }

  /// Calls one that can. Errors (input): with ONNX Runtime's message.
  template <class... Parameters>
  void call(Slot<Status*(Parameters...)> slot,
            std::type_identity_t<Parameters>... arguments) const {
    check(function(slot)(arguments...));
  }

  /// Calls one whose last parameter receives a new object.
  template <class T, class... Parameters, class... Arguments>
  Handle<T> create(Slot<void(T*)> release, Slot<Status*(Parameters...)> slot,
                   Arguments... arguments) const {
    T* object = nullptr;
    call(slot, arguments..., &object);
    return {object, function(release)};
  }

 private:
  void check(Status* status) const;

  const Function* table_;
};

}  // namespace qtool::ort
