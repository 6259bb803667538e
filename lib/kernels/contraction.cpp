// SPDX-License-Identifier: Apache-2.0
#include "kernels/contraction.h"

#include <algorithm>

#include "kernels/onednn/primitives.h"

namespace qtool {

namespace {

size_t aligned(size_t bytes) { return (bytes + 63) / 64 * 64; }

/// The copy changes nothing: all elements in the same order.
bool in_order(const StridedCopy& copy) {
  int64_t stride = 1;
  for (size_t d = copy.extents.size(); d-- > 0;) {
    if (copy.extents[d] == 1) continue;
    if (copy.from_strides[d] != stride || copy.to_strides[d] != stride) return false;
    stride *= copy.extents[d];
  }
  return true;
}

/// Null where the copy changes nothing.
KernelPtr copy_kernel(StridedCopy copy, int64_t elements) {
  if (in_order(copy)) return nullptr;
  copy.input = 0;
  CopySpec spec;
  spec.output_elements = elements;
  spec.copies.push_back(std::move(copy));
  return make_copy(std::move(spec));
}

class ContractionKernel final : public Kernel {
 public:
  ContractionKernel(const ContractionSpec& spec, KernelPtr product)
      : left_(copy_kernel(spec.left, spec.batch * spec.rows * spec.inner)),
        right_(copy_kernel(spec.right, spec.batch * spec.inner * spec.columns)),
        result_(copy_kernel(spec.result, spec.batch * spec.rows * spec.columns)),
        product_(std::move(product)) {
    const auto bytes = [](int64_t a, int64_t b, int64_t c) {
      return aligned(static_cast<size_t>(a * b * c) * sizeof(float));
    };
    left_bytes_ = left_ ? bytes(spec.batch, spec.rows, spec.inner) : 0;
    right_bytes_ = right_ ? bytes(spec.batch, spec.inner, spec.columns) : 0;
    result_bytes_ = result_ ? bytes(spec.batch, spec.rows, spec.columns) : 0;
  }

  void run(const KernelArgs& args) override {
    auto* scratch = static_cast<std::byte*>(args.scratch);
    const void* a = moved(left_, args.inputs[0], scratch);
    const void* b = moved(right_, args.inputs[1], scratch + left_bytes_);
    void* product = result_ ? scratch + left_bytes_ + right_bytes_ : args.outputs[0];
    const void* operands[] = {a, b};
    product_->run({operands, {&product, 1}, scratch + left_bytes_ + right_bytes_ + result_bytes_});
    if (!result_) return;
    const void* source[] = {product};
    result_->run({source, args.outputs, nullptr});
  }
  std::string description() const override { return product_->description() + ", contraction"; }
  size_t scratch_bytes() const override {
    return left_bytes_ + right_bytes_ + result_bytes_ + product_->scratch_bytes();
  }

 private:
  static const void* moved(const KernelPtr& copy, const void* from, std::byte* to) {
    if (copy == nullptr) return from;
    const void* source[] = {from};
    void* target = to;
    copy->run({source, {&target, 1}, nullptr});
    return to;
  }

  KernelPtr left_;
  KernelPtr right_;
  KernelPtr result_;
  KernelPtr product_;
  size_t left_bytes_ = 0;
  size_t right_bytes_ = 0;
  size_t result_bytes_ = 0;
};

}  // namespace

MadeKernel make_contraction(const ContractionSpec& spec) {
  onednn::MatmulSpec product;
  product.source.shape = {spec.batch, spec.rows, spec.inner};
  product.weights.shape = {spec.batch, spec.inner, spec.columns};
  product.destination.shape = {spec.batch, spec.rows, spec.columns};
  MadeKernel made = onednn::make_matmul(product);
  if (made.kernel == nullptr) return made;
  return KernelPtr(std::make_unique<ContractionKernel>(spec, std::move(made.kernel)));
}

}  // namespace qtool
