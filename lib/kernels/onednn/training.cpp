// SPDX-License-Identifier: Apache-2.0
#include "kernels/onednn/training.h"

#include "kernels/onednn/primitive.h"

namespace qtool::onednn {

namespace {

/// A primitive and the reorder of its weights: in front of it (`slot` among the inputs), or behind
/// it (among the outputs). Scratch: the weights in oneDNN's order, then that of the two.
class WithReorder final : public Kernel {
 public:
  enum class Side { input, output };

  WithReorder(std::unique_ptr<PrimitiveKernel> main, std::unique_ptr<PrimitiveKernel> reorder,
              Side side, size_t slot, size_t packed_bytes)
      : main_(std::move(main)), reorder_(std::move(reorder)), side_(side), slot_(slot),
        packed_bytes_((packed_bytes + 63) / 64 * 64) {
    constexpr size_t kMostOperands = 8;
    inputs_.reserve(kMostOperands);
    outputs_.reserve(kMostOperands);
  }

  void run(const KernelArgs& args) override {
    auto* packed = static_cast<std::byte*>(args.scratch);
    void* rest = packed + packed_bytes_;
    inputs_.assign(args.inputs.begin(), args.inputs.end());
    outputs_.assign(args.outputs.begin(), args.outputs.end());
    if (side_ == Side::input) {
      void* const target[] = {packed};
      reorder_->run({{&inputs_[slot_], 1}, target, rest});
      inputs_[slot_] = packed;
      main_->run({inputs_, outputs_, rest});
    } else {
      void* const target = outputs_[slot_];
      outputs_[slot_] = packed;
      main_->run({inputs_, outputs_, rest});
      const void* const source[] = {packed};
      reorder_->run({source, {&target, 1}, rest});
    }
  }
  std::string description() const override { return main_->description(); }
  size_t scratch_bytes() const override {
    return packed_bytes_ + std::max(main_->scratch_bytes(), reorder_->scratch_bytes());
  }

 private:
  std::unique_ptr<PrimitiveKernel> main_;
  std::unique_ptr<PrimitiveKernel> reorder_;
  Side side_;
  size_t slot_;
  size_t packed_bytes_;
  std::vector<const void*> inputs_;
  std::vector<void*> outputs_;
};

std::unique_ptr<PrimitiveKernel> make_reorder(const dnnl::memory::desc& from,
                                              const dnnl::memory::desc& to) {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  const dnnl::reorder::primitive_desc pd(engine(), from, engine(), to, attr);
  auto kernel = std::make_unique<PrimitiveKernel>(dnnl::reorder(pd), pd.impl_info_str(),
                                                  pd.scratchpad_desc());
  kernel->bind_input(DNNL_ARG_FROM, from, 0);
  kernel->bind_output(DNNL_ARG_TO, to, 0);
  return kernel;
}

/// The pieces of which all three descriptors are made.
struct Parts {
  dnnl::memory::desc source;
  dnnl::memory::desc weights;
  dnnl::memory::desc plain_weights;
  dnnl::memory::desc bias;
  dnnl::memory::desc destination;
  dnnl::memory::dims strides;
  dnnl::memory::dims dilations;
  dnnl::memory::dims begin;
  dnnl::memory::dims end;
};

Parts parts_of(const TrainedConvolution& spec, bool biased) {
  const auto image = [](const Shape& shape) {
    return descriptor({DType::float32, shape, Layout::channels_last, nullptr});
  };
  Shape weights = spec.weights;
  if (spec.groups > 1) {
    weights[0] /= spec.groups;
    weights.insert(weights.begin(), spec.groups);
  }
  Parts parts;
  parts.source = image(spec.source);
  parts.destination = image(spec.destination);
  parts.weights = any_descriptor(weights, DType::float32);
  parts.plain_weights = descriptor({DType::float32, weights, Layout::plain, nullptr});
  if (biased) {
    parts.bias = descriptor({DType::float32, {spec.weights[0]}, Layout::plain, nullptr});
  }
  const auto rank = static_cast<std::ptrdiff_t>(spec.strides.size());
  parts.strides = spec.strides;
  parts.begin.assign(spec.pads.begin(), spec.pads.begin() + rank);
  parts.end.assign(spec.pads.begin() + rank, spec.pads.end());
  for (const int64_t dilation : spec.dilations) parts.dilations.push_back(dilation - 1);
  return parts;
}

constexpr auto kAlgorithm = dnnl::algorithm::convolution_direct;

dnnl::convolution_forward::primitive_desc forward_desc(const Parts& p, dnnl::prop_kind kind,
                                                       const dnnl::primitive_attr& attr) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine(),      kind,      kAlgorithm,  p.source, p.weights, p.bias,
          p.destination, p.strides, p.dilations, p.begin,  p.end,     attr};
#else
  return {dnnl::convolution_forward::desc(kind, kAlgorithm, p.source, p.weights, p.bias,
                                          p.destination, p.strides, p.dilations, p.begin, p.end),
          attr, engine()};
#endif
}

dnnl::primitive_attr scratch_attr() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

bool empty(const TrainedConvolution& spec) {
  return any_empty({&spec.source, &spec.weights, &spec.destination});
}

}  // namespace

MadeKernel make_trained_convolution(const TrainedConvolution& spec, bool biased,
                                    const std::vector<PostOpSpec>& post_ops) {
  if (empty(spec)) return MadeKernel::refused("an empty tensor");
  const ConvolutionWindow window{spec.strides, spec.pads, spec.dilations};
  if (sees_only_padding(spec.source, spec.weights, spec.destination, window))
    return MadeKernel::refused("windows that see only padding");
  return attempt(thread_count(), [&]() -> MadeKernel {
    AttributeSpec attributes;
    attributes.post_ops = post_ops;
    const Attributes made = make_attributes(attributes);
    if (!made.refusal.empty()) return MadeKernel::refused(made.refusal);
    const Parts parts = parts_of(spec, biased);
    const auto pd = forward_desc(parts, dnnl::prop_kind::forward_training, made.attr);
    auto main = std::make_unique<PrimitiveKernel>(dnnl::convolution_forward(pd), pd.impl_info_str(),
                                                  pd.scratchpad_desc());
    main->bind_input(DNNL_ARG_SRC, pd.src_desc(), 0);
    main->bind_input(DNNL_ARG_WEIGHTS, pd.weights_desc(), 1);
    if (biased) main->bind_input(DNNL_ARG_BIAS, parts.bias, 2);
    main->bind_output(DNNL_ARG_DST, pd.dst_desc(), 0);
    auto reorder = make_reorder(parts.plain_weights, pd.weights_desc());
    return KernelPtr(std::make_unique<WithReorder>(std::move(main), std::move(reorder),
                                                   WithReorder::Side::input, 1,
                                                   pd.weights_desc().get_size()));
  });
}

MadeKernel make_convolution_input_gradient(const TrainedConvolution& spec) {
  if (empty(spec)) return MadeKernel::refused("an empty tensor");
  return attempt(thread_count(), [&]() -> MadeKernel {
    const Parts p = parts_of(spec, false);
    const auto hint = forward_desc(p, dnnl::prop_kind::forward_training, scratch_attr());
    using Backward = dnnl::convolution_backward_data;
#if DNNL_VERSION_MAJOR >= 3
    const Backward::primitive_desc pd(engine(), kAlgorithm, p.source, p.weights, p.destination,
                                      p.strides, p.dilations, p.begin, p.end, hint, scratch_attr());
#else
    const Backward::primitive_desc pd(Backward::desc(kAlgorithm, p.source, p.weights, p.destination,
                                                     p.strides, p.dilations, p.begin, p.end),
                                      scratch_attr(), engine(), hint);
#endif
    auto main =
        std::make_unique<PrimitiveKernel>(Backward(pd), pd.impl_info_str(), pd.scratchpad_desc());
    main->bind_input(DNNL_ARG_DIFF_DST, pd.diff_dst_desc(), 0);
    main->bind_input(DNNL_ARG_WEIGHTS, pd.weights_desc(), 1);
    main->bind_output(DNNL_ARG_DIFF_SRC, pd.diff_src_desc(), 0);
    auto reorder = make_reorder(p.plain_weights, pd.weights_desc());
    return KernelPtr(std::make_unique<WithReorder>(std::move(main), std::move(reorder),
                                                   WithReorder::Side::input, 1,
                                                   pd.weights_desc().get_size()));
  });
}

MadeKernel make_convolution_weight_gradient(const TrainedConvolution& spec, bool biased) {
  if (empty(spec)) return MadeKernel::refused("an empty tensor");
  return attempt(thread_count(), [&]() -> MadeKernel {
    const Parts p = parts_of(spec, biased);
    const auto hint = forward_desc(p, dnnl::prop_kind::forward_training, scratch_attr());
    using Backward = dnnl::convolution_backward_weights;
#if DNNL_VERSION_MAJOR >= 3
    const Backward::primitive_desc pd(engine(), kAlgorithm, p.source, p.weights, p.bias,
                                      p.destination, p.strides, p.dilations, p.begin, p.end, hint,
                                      scratch_attr());
#else
    const Backward::primitive_desc pd(
        Backward::desc(kAlgorithm, p.source, p.weights, p.bias, p.destination, p.strides,
                       p.dilations, p.begin, p.end),
        scratch_attr(), engine(), hint);
#endif
    auto main =
        std::make_unique<PrimitiveKernel>(Backward(pd), pd.impl_info_str(), pd.scratchpad_desc());
    main->bind_input(DNNL_ARG_SRC, pd.src_desc(), 0);
    main->bind_input(DNNL_ARG_DIFF_DST, pd.diff_dst_desc(), 1);
    main->bind_output(DNNL_ARG_DIFF_WEIGHTS, pd.diff_weights_desc(), 0);
    if (biased) main->bind_output(DNNL_ARG_DIFF_BIAS, p.bias, 1);
    auto reorder = make_reorder(pd.diff_weights_desc(), p.plain_weights);
    return KernelPtr(std::make_unique<WithReorder>(std::move(main), std::move(reorder),
                                                   WithReorder::Side::output, 0,
                                                   pd.diff_weights_desc().get_size()));
  });
}

}  // namespace qtool::onednn
