// SPDX-License-Identifier: Apache-2.0
#include "kernels/host/gather.h"

#include <algorithm>
#include <cstring>

#include "support/parallel.h"
#include "support/text.h"

namespace qtool {

namespace {

constexpr int64_t kParallelBytes = int64_t{1} << 18;

/// Short rows as the one number they are: a copy of known size is one load and one store.
void copy_row(std::byte* to, const std::byte* from, size_t bytes) {
  switch (bytes) {
    case 1: std::memcpy(to, from, 1); return;
    case 4: std::memcpy(to, from, 4); return;
    case 8: std::memcpy(to, from, 8); return;
    default: std::memcpy(to, from, bytes);
  }
}

class GatherKernel final : public Kernel {
 public:
  explicit GatherKernel(GatherSpec spec) : spec_(std::move(spec)) {}

  void run(const KernelArgs& args) override {
    if (!spec_.known.empty()) {
      gather(args, spec_.known.data());
    } else if (spec_.index_dtype == DType::int32) {
      gather(args, static_cast<const int32_t*>(args.inputs[1]));
    } else {
      gather(args, static_cast<const int64_t*>(args.inputs[1]));
    }
  }
  std::string description() const override { return "host gather"; }

 private:
  template <class T>
  void gather(const KernelArgs& args, const T* indices) const {
    const auto* from = static_cast<const std::byte*>(args.inputs[0]);
    auto* to = static_cast<std::byte*>(args.outputs[0]);
    const size_t row = spec_.row_bytes;
    const auto bytes = static_cast<int64_t>(std::max<size_t>(row, 1));
    parallel_for(spec_.outer * spec_.count, std::max<int64_t>(1, kParallelBytes / bytes),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t place = checked(static_cast<int64_t>(indices[i % spec_.count]));
                     const int64_t source = i / spec_.count * spec_.extent + place;
                     copy_row(to + static_cast<size_t>(i) * row,
                              from + static_cast<size_t>(source) * row, row);
                   }
                 });
  }

  int64_t checked(int64_t index) const {
    const int64_t place = index < 0 ? index + spec_.extent : index;
    if (place < 0 || place >= spec_.extent) {
      throw input_error(
          fmt::format("the index {} is outside of an axis of extent {}", index, spec_.extent),
          "An index counts from 0, or from -1 backwards.");
    }
    return place;
  }

  GatherSpec spec_;
};

}  // namespace

MadeKernel make_gather(GatherSpec spec) {
  if (spec.index_dtype != DType::int32 && spec.index_dtype != DType::int64) {
    return MadeKernel::refused("indices of type " + std::string(name(spec.index_dtype)));
  }
  return KernelPtr(std::make_unique<GatherKernel>(std::move(spec)));
}

}  // namespace qtool
