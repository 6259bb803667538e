// SPDX-License-Identifier: Apache-2.0
#include "kernels/onednn/primitive.h"

namespace qtool::onednn {

namespace {

/// Known wrong results of the library are kept out here (found by random checks of 2.6.3 and
/// 3.7.2 against the reference): such a convolution runs on something checked.
std::string known_fault(const ConvolutionSpec& spec) {
  const size_t rank = spec.strides.size();
  bool asymmetric = false;
  for (size_t i = 0; i < rank; ++i) asymmetric = asymmetric || spec.pads[i] != spec.pads[rank + i];
  const QuantParams* source = spec.source.params;
  if (source != nullptr && source->type.is_signed && source->zero_point[0] != 0 &&
      spec.groups > 1 && asymmetric) {
    return "grouped s8 convolution with a zero point and asymmetric padding";
  }
  return {};
}

/// [M, C/g, k...] → [g, M/g, C/g, k...] for groups.
Shape weight_shape(const ConvolutionSpec& spec) {
  Shape shape = spec.weights->shape();
  if (spec.groups > 1) {
    shape[0] /= spec.groups;
    shape.insert(shape.begin(), spec.groups);
  }
  return shape;
}

}  // namespace

MadeKernel make_convolution(const ConvolutionSpec& spec) {
  if (const std::string fault = known_fault(spec); !fault.empty()) return MadeKernel::refused(fault);
  if (any_empty({&spec.source.shape, &spec.weights->shape(), &spec.destination.shape})) {
    return MadeKernel::refused("an empty tensor");
  }
  return attempt([&]() -> MadeKernel {
    AttributeSpec attributes{spec.source.params, spec.weight_params, spec.destination.params, 2,
                             spec.post_ops};
    const Attributes made = make_attributes(attributes);
    if (!made.refusal.empty()) return MadeKernel::refused(made.refusal);

    const Shape weights_shape = weight_shape(spec);
    const DType weight_type = spec.weights->dtype();
    const auto source = descriptor(spec.source);
    const auto destination = descriptor(spec.destination);
    const auto weights = any_descriptor(weights_shape, weight_type);
    const bool biased = spec.bias != nullptr;
    const dnnl::memory::desc bias = biased
        ? descriptor({DType::float32, {spec.weights->shape()[0]}, Layout::plain, nullptr})
        : dnnl::memory::desc();
    const size_t rank = spec.strides.size();
    const dnnl::memory::dims begin(spec.pads.begin(), spec.pads.begin() + static_cast<long>(rank));
    const dnnl::memory::dims end(spec.pads.begin() + static_cast<long>(rank), spec.pads.end());
    dnnl::memory::dims dilations(spec.dilations.begin(), spec.dilations.end());
    for (auto& dilation : dilations) --dilation;  // oneDNN counts the gaps

    using Forward = dnnl::convolution_forward;
    const auto kind = dnnl::prop_kind::forward_inference;
    const auto algorithm = dnnl::algorithm::convolution_direct;
#if DNNL_VERSION_MAJOR >= 3
    const Forward::primitive_desc pd(engine(), kind, algorithm, source, weights, bias, destination,
                                     spec.strides, dilations, begin, end, made.attr);
#else
    const Forward::primitive_desc pd(
        Forward::desc(kind, algorithm, source, weights, bias, destination, spec.strides, dilations,
                      begin, end),
        made.attr, engine());
#endif
    auto kernel = std::make_unique<PrimitiveKernel>(Forward(pd), pd.impl_info_str(),
                                                    pd.scratchpad_desc());
    kernel->bind_input(DNNL_ARG_SRC, pd.src_desc(), 0);
    kernel->bind_output(DNNL_ARG_DST, pd.dst_desc(), 0);
    const auto plain = descriptor({weight_type, weights_shape, Layout::plain, nullptr});
    kernel->bind_constant(DNNL_ARG_WEIGHTS, packed(plain, spec.weights->raw(), pd.weights_desc()));
    if (biased) {
      const Tensor units = bias_in_accumulator_units(*spec.bias, spec.bias_params,
                                                     spec.source.params, spec.weight_params);
      kernel->bind_constant(DNNL_ARG_BIAS, packed(bias, units.raw(), bias));
    }
    return KernelPtr(std::move(kernel));
  });
}

}  // namespace qtool::onednn
