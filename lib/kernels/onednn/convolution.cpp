// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string_view>

#include "kernels/onednn/primitive.h"

namespace qtool::onednn {

namespace {

/// [M, C/g, k...] → [g, M/g, C/g, k...] for groups.
Shape weight_shape(const ConvolutionSpec& spec) {
  Shape shape = spec.weights->shape();
  if (spec.groups > 1) {
    shape[0] /= spec.groups;
    shape.insert(shape.begin(), spec.groups);
  }
  return shape;
}

/// Those weights with the filters innermost: [k..., C/g, g, M/g].
dnnl::memory::desc filters_innermost(const Shape& shape, DType dtype, bool grouped) {
  std::vector<size_t> order = grouped ? std::vector<size_t>{1, 0, 2} : std::vector<size_t>{0, 1};
  const size_t first_spatial = order.size();
  for (size_t d = shape.size(); d-- > first_spatial;) order.push_back(d);
  std::vector<int64_t> strides(shape.size());
  int64_t stride = 1;
  for (const size_t d : order) {
    strides[d] = stride;
    stride *= shape[d];
  }
  return {dims(shape), data_type(dtype), strides};
}

}  // namespace

bool sees_only_padding(const Shape& source, const Shape& weights, const Shape& destination,
                       const ConvolutionWindow& window) {
  for (size_t d = 0; d < window.strides.size(); ++d) {
    for (int64_t o = 0; o < destination[d + 2]; ++o) {
      bool inside = false;
      for (int64_t k = 0; k < weights[d + 2] && !inside; ++k) {
        const int64_t at = o * window.strides[d] - window.pads[d] + k * window.dilations[d];
        inside = at >= 0 && at < source[d + 2];
      }
      if (!inside) return true;
    }
  }
  return false;
}

namespace {

/// The strided one gives other codes from run to run in oneDNN 2.6.3.
bool differs_between_runs(std::string_view implementation, const std::vector<int64_t>& strides) {
  return implementation.find("int8_1x1:avx2") != std::string_view::npos &&
         std::ranges::any_of(strides, [](int64_t stride) { return stride != 1; });
}

/// oneDNN 2.6.3's brgconv keeps 1 KiB for each element of an output row. For rows so long its
/// older kernel keeps 0.1 MiB and is as fast on floats (0.87 to 1.1 of the time, by ow 1370 to
/// 21922); on codes of one channel it takes 1.3 to 1.8.
constexpr int64_t kLongRow = 4096;

/// On codes of more channels the older kernels are the faster ones: 0.4 to 1.07 of the time.
bool prefers_older_kernel(const ConvolutionSpec& spec) {
  const bool codes = spec.source.params != nullptr;
  return spec.destination.shape.back() >= kLongRow || (codes && spec.weights->shape()[1] > 1);
}

void choose_older_kernel(dnnl::convolution_forward::primitive_desc& pd,
                         const ConvolutionSpec& spec) {
  const bool codes = spec.source.params != nullptr;
  const std::string_view chosen(pd.impl_info_str());
  std::string_view older;
  if (chosen.starts_with("brgconv:")) older = codes ? "jit_int8:" : "jit:";
  if (codes && chosen.starts_with("brgconv_1x1:")) older = "jit_int8_1x1:";
  if (older.empty()) return;
  auto next = pd;
  while (next.next_impl()) {
    const std::string_view name(next.impl_info_str());
    if (!name.starts_with(older) || differs_between_runs(name, spec.strides)) continue;
    pd = next;
    return;
  }
}

#if DNNL_VERSION_MAJOR >= 3
/// What oneDNN 3.7.3 computes wrongly, as found by random convolutions of each kind.
bool is_wrong(std::string_view implementation, const ConvolutionSpec& spec) {
  const bool codes = spec.source.params != nullptr;
  if (codes && implementation.find("gemm_s8") != std::string_view::npos) return true;
  if (implementation.find("brg") == std::string_view::npos) return false;
  const bool one_column = spec.destination.shape.back() == 1 && spec.strides.back() > 1;
  const bool one_channel = codes && spec.weights->shape()[1] == 1;
  return one_column || one_channel;
}

/// The first implementation that is right; false where there is none.
bool skip_wrong(dnnl::convolution_forward::primitive_desc& pd, const ConvolutionSpec& spec) {
  while (is_wrong(pd.impl_info_str(), spec)) {
    if (!pd.next_impl()) return false;
  }
  return true;
}
#else
bool skip_wrong(const dnnl::convolution_forward::primitive_desc&, const ConvolutionSpec&) {
  return true;
}
#endif

MadeKernel make_dense_convolution(const ConvolutionSpec& spec) {
  if (any_empty({&spec.source.shape, &spec.weights->shape(), &spec.destination.shape})) {
    return MadeKernel::refused("an empty tensor");
  }
  // There oneDNN 2.6.3's brgconv with post-ops drops the bias or reads wild addresses.
  const ConvolutionWindow window{spec.strides, spec.pads, spec.dilations};
  if (sees_only_padding(spec.source.shape, spec.weights->shape(), spec.destination.shape, window))
    return MadeKernel::refused("windows that see only padding");
  if (spec.source.params != nullptr) {
    if (auto why = overflow_problem(*spec.source.params, *spec.weights); !why.empty()) {
      return MadeKernel::refused(std::move(why));
    }
  }
  const Shape& taps = spec.weights->shape();
  const int64_t macs = element_count(spec.destination.shape) * element_count(taps) / taps[0];
  return attempt(threads_worth(macs, spec.source.params != nullptr), [&]() -> MadeKernel {
    const AttributeSpec attributes{spec.source.params,      spec.weight_params,
                                   spec.destination.params, 2,
                                   spec.groups > 1 ? 3 : 1, spec.post_ops};
    const Attributes made = make_attributes(attributes);
    if (!made.refusal.empty()) return MadeKernel::refused(made.refusal);

    const Shape weights_shape = weight_shape(spec);
    const DType weight_type = spec.weights->dtype();
    const auto source = descriptor(spec.source);
    const auto destination = descriptor(spec.destination);
    const auto weights = any_descriptor(weights_shape, weight_type);
    const bool biased = spec.bias != nullptr;
    const dnnl::memory::desc bias =
        biased ? descriptor({DType::float32, {spec.weights->shape()[0]}, Layout::plain, nullptr})
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
    Forward::primitive_desc pd(engine(), kind, algorithm, source, weights, bias, destination,
                               spec.strides, dilations, begin, end, made.attr);
#else
    // It outlives the primitive descriptor, whose next_impl() reads it.
    const Forward::desc operation(kind, algorithm, source, weights, bias, destination, spec.strides,
                                  dilations, begin, end);
    Forward::primitive_desc pd(operation, made.attr, engine());
#endif
    if (prefers_older_kernel(spec)) choose_older_kernel(pd, spec);
    if (!skip_wrong(pd, spec)) return MadeKernel::refused("what oneDNN computes wrongly here");
    if (differs_between_runs(pd.impl_info_str(), spec.strides))
      return MadeKernel::refused("oneDNN's strided 1x1 convolution of codes for AVX2");
    auto kernel =
        std::make_unique<PrimitiveKernel>(Forward(pd), pd.impl_info_str(), pd.scratchpad_desc());
    kernel->bind(made);
    kernel->bind_input(DNNL_ARG_SRC, pd.src_desc(), 0);
    kernel->bind_output(DNNL_ARG_DST, pd.dst_desc(), 0);
    const auto plain = descriptor({weight_type, weights_shape, Layout::plain, nullptr});
    const void* elements = spec.weights->raw();
    if (spec.weight_params == nullptr) {
      kernel->bind_constant(DNNL_ARG_WEIGHTS, packed(plain, elements, pd.weights_desc()));
    } else {
      const auto turned = filters_innermost(weights_shape, weight_type, spec.groups > 1);
      kernel->bind_constant(DNNL_ARG_WEIGHTS,
                            packed_codes(plain, elements, turned, pd.weights_desc()));
    }
    if (biased) {
      const Tensor units =
          bias_for(made, *spec.bias, spec.bias_params, spec.source.params, spec.weight_params);
      kernel->bind_constant(DNNL_ARG_BIAS, packed(bias, units.raw(), bias));
    }
    return KernelPtr(std::move(kernel));
  });
}

/// Whether nothing happens along spatial dimension d: one element everywhere.
bool is_trivial(const ConvolutionSpec& spec, size_t d) {
  return spec.source.shape[d + 2] == 1 && spec.weights->shape()[d + 2] == 1 &&
         spec.destination.shape[d + 2] == 1 && spec.pads[d] == 0;
}

void drop_dimension(ConvolutionSpec& spec, size_t d) {
  const auto at = static_cast<std::ptrdiff_t>(d);
  const auto drop = [&](Shape& shape) { shape.erase(shape.begin() + at + 2); };
  drop(spec.source.shape);
  drop(spec.destination.shape);
  for (PostOpSpec& post : spec.post_ops) {
    if (post.operand) drop(post.operand->shape);
  }
  const auto rank = static_cast<std::ptrdiff_t>(spec.strides.size());
  spec.pads.erase(spec.pads.begin() + rank + at);
  spec.pads.erase(spec.pads.begin() + at);
  spec.strides.erase(spec.strides.begin() + at);
  spec.dilations.erase(spec.dilations.begin() + at);
}

}  // namespace

MadeKernel make_convolution(const ConvolutionSpec& spec) {
  if (spec.weight_params != nullptr && spec.weights->dtype() == DType::uint8) {
    const SignedCodes weights = signed_codes(*spec.weights, *spec.weight_params);
    ConvolutionSpec same = spec;
    same.weights = &weights.codes;
    same.weight_params = &weights.params;
    return make_convolution(same);
  }
  // oneDNN blocks over the innermost dimension: a convolution over time that an exporter gave a
  // width of 1 runs 5 times as fast in one dimension.
  ConvolutionSpec dense = spec;
  Shape kernel = spec.weights->shape();
  for (size_t d = spec.strides.size(); d-- > 0 && dense.strides.size() > 1;) {
    if (!is_trivial(spec, d)) continue;
    drop_dimension(dense, d);
    kernel.erase(kernel.begin() + static_cast<std::ptrdiff_t>(d) + 2);
  }
  if (dense.strides.size() == spec.strides.size()) return make_dense_convolution(spec);
  const Tensor weights = spec.weights->clone().reshaped(kernel);
  dense.weights = &weights;
  return make_dense_convolution(dense);
}

}  // namespace qtool::onednn
