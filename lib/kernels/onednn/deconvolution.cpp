// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "kernels/onednn/primitive.h"

namespace qtool::onednn {

namespace {

/// ONNX stores [C, M/g, k...]; oneDNN counts [(g,) M/g, C/g, k...].
Shape counted_shape(const ConvolutionSpec& spec) {
  Shape shape = spec.weights->shape();
  shape[0] /= spec.groups;
  std::swap(shape[0], shape[1]);
  if (spec.groups > 1) shape.insert(shape.begin(), spec.groups);
  return shape;
}

/// The stored order under the counted shape.
dnnl::memory::desc stored_descriptor(const ConvolutionSpec& spec) {
  std::vector<int64_t> strides = row_major_strides(spec.weights->shape());
  const int64_t per_channel = strides[0];
  std::swap(strides[0], strides[1]);
  if (spec.groups > 1) {
    strides.insert(strides.begin(), per_channel * (spec.weights->shape()[0] / spec.groups));
  }
  return {dims(counted_shape(spec)), data_type(spec.weights->dtype()), strides};
}

/// Whether some result is beyond all that the windows reach: oneDNN has no such results.
bool ends_beyond(const ConvolutionSpec& spec) {
  const size_t rank = spec.strides.size();
  for (size_t d = 0; d < rank; ++d) {
    if (spec.pads[rank + d] + spec.strides[d] <= 0) return true;
  }
  return false;
}

/// Whether windows do not meet, or end before the result does.
bool leaves_gaps(const ConvolutionSpec& spec) {
  for (size_t d = 0; d < spec.strides.size(); ++d) {
    const int64_t span = (spec.weights->shape()[d + 2] - 1) * spec.dilations[d] + 1;
    if (spec.strides[d] > span || spec.pads[spec.strides.size() + d] < 0) return true;
  }
  return false;
}

}  // namespace

MadeKernel make_deconvolution(const ConvolutionSpec& spec) {
  if (any_empty({&spec.source.shape, &spec.weights->shape(), &spec.destination.shape})) {
    return MadeKernel::refused("an empty tensor");
  }
  if (ends_beyond(spec)) return MadeKernel::refused("results that no window reaches");
  if (spec.source.params != nullptr) {
    // There oneDNN 2.6.3's integer kernels are wrong.
    if (leaves_gaps(spec)) return MadeKernel::refused("codes, and results that no window reaches");
    if (auto why = overflow_problem(*spec.source.params, *spec.weights); !why.empty()) {
      return MadeKernel::refused(std::move(why));
    }
  }
  const Shape& taps = spec.weights->shape();
  const int64_t macs = element_count(spec.source.shape) * element_count(taps) / taps[0];
  return attempt(threads_worth(macs, spec.source.params != nullptr), [&]() -> MadeKernel {
    const AttributeSpec attributes{spec.source.params,      spec.weight_params,
                                   spec.destination.params, 2,
                                   spec.groups > 1 ? 3 : 1, spec.post_ops};
    const Attributes made = make_attributes(attributes);
    if (!made.refusal.empty()) return MadeKernel::refused(made.refusal);

    const auto source = descriptor(spec.source);
    const auto destination = descriptor(spec.destination);
    const auto weights = any_descriptor(counted_shape(spec), spec.weights->dtype());
    const bool biased = spec.bias != nullptr;
    const dnnl::memory::desc bias =
        biased ? descriptor({DType::float32, {spec.destination.shape[1]}, Layout::plain, nullptr})
               : dnnl::memory::desc();
    const auto rank = static_cast<long>(spec.strides.size());
    const dnnl::memory::dims begin(spec.pads.begin(), spec.pads.begin() + rank);
    const dnnl::memory::dims end(spec.pads.begin() + rank, spec.pads.end());
    dnnl::memory::dims dilations(spec.dilations.begin(), spec.dilations.end());
    for (auto& dilation : dilations) --dilation;  // oneDNN counts the gaps

    using Forward = dnnl::deconvolution_forward;
    const auto kind = dnnl::prop_kind::forward_inference;
    const auto algorithm = dnnl::algorithm::deconvolution_direct;
#if DNNL_VERSION_MAJOR >= 3
    const Forward::primitive_desc pd(engine(), kind, algorithm, source, weights, bias, destination,
                                     spec.strides, dilations, begin, end, made.attr);
#else
    const Forward::primitive_desc pd(
        Forward::desc(kind, algorithm, source, weights, bias, destination, spec.strides, dilations,
                      begin, end),
        made.attr, engine());
#endif
    auto kernel =
        std::make_unique<PrimitiveKernel>(Forward(pd), pd.impl_info_str(), pd.scratchpad_desc());
    kernel->bind(made);
    kernel->bind_input(DNNL_ARG_SRC, pd.src_desc(), 0);
    kernel->bind_output(DNNL_ARG_DST, pd.dst_desc(), 0);
    kernel->bind_constant(DNNL_ARG_WEIGHTS,
                          packed(stored_descriptor(spec), spec.weights->raw(), pd.weights_desc()));
    if (biased) {
      const Tensor units =
          bias_for(made, *spec.bias, spec.bias_params, spec.source.params, spec.weight_params);
      kernel->bind_constant(DNNL_ARG_BIAS, packed(bias, units.raw(), bias));
    }
    return KernelPtr(std::move(kernel));
  });
}

}  // namespace qtool::onednn
