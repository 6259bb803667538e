// SPDX-License-Identifier: Apache-2.0
#include "tensor/cast.h"

#include "kernels/host/reduce.h"
#include "support/parallel.h"

namespace qtool {

namespace {

class CastKernel final : public Kernel {
 public:
  CastKernel(DType from, DType to, int64_t count) : from_(from), to_(to), count_(count) {}

  void run(const KernelArgs& args) override {
    const auto* x = static_cast<const std::byte*>(args.inputs[0]);
    auto* y = static_cast<std::byte*>(args.outputs[0]);
    parallel_for(count_, int64_t{1} << 15, [&](int64_t begin, int64_t end) {
      cast_elements(from_, x + begin * bits(from_) / 8, to_, y + begin * bits(to_) / 8,
                    end - begin);
    });
  }
  std::string description() const override { return "host cast"; }

 private:
  DType from_;
  DType to_;
  int64_t count_;
};

}  // namespace

MadeKernel make_cast(DType from, DType to, int64_t count) {
  for (const DType dtype : {from, to}) {
    // One that visit_dtype knows: numbers of at least a byte that are no 8-bit floats.
    if (bits(dtype) < 8 || bits(dtype) > 64 || dtype == DType::complex64 ||
        (is_floating(dtype) && bits(dtype) < 16)) {
      return MadeKernel::refused("elements of type " + std::string(name(dtype)));
    }
  }
  return {std::make_unique<CastKernel>(from, to, count)};
}

}  // namespace qtool
