// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "kernels/onednn/primitive.h"

namespace qtool::onednn {

MadeKernel make_pool(const PoolSpec& spec) {
  if (std::ranges::any_of(spec.dilations, [](int64_t d) { return d != 1; })) {
    return MadeKernel::refused("dilated pooling");
  }
  if (any_empty({&spec.source.shape, &spec.destination.shape}))
    return MadeKernel::refused("an empty tensor");
  int64_t window = 1;
  for (const int64_t extent : spec.kernel) window *= extent;
  const int64_t work = element_count(spec.destination.shape) * window;
  return attempt(threads_worth(work, spec.source.dtype != DType::float32), [&]() -> MadeKernel {
    auto algorithm = dnnl::algorithm::pooling_max;
    if (spec.kind == PoolSpec::Kind::average_including_pads) {
      algorithm = dnnl::algorithm::pooling_avg_include_padding;
    } else if (spec.kind == PoolSpec::Kind::average_excluding_pads) {
      algorithm = dnnl::algorithm::pooling_avg_exclude_padding;
    }
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const size_t rank = spec.kernel.size();
    const dnnl::memory::dims begin(spec.pads.begin(), spec.pads.begin() + static_cast<long>(rank));
    // A ceil_mode window may hang over the end: then the end padding is what it covers.
    dnnl::memory::dims end(spec.pads.begin() + static_cast<long>(rank), spec.pads.end());
    for (size_t i = 0; i < rank; ++i) {
      const int64_t covered =
          (spec.destination.shape[i + 2] - 1) * spec.strides[i] + spec.kernel[i];
      end[i] = std::max(end[i], covered - spec.source.shape[i + 2] - begin[i]);
    }
    const auto kind = dnnl::prop_kind::forward_inference;
    const auto source = descriptor(spec.source);
    const auto destination = descriptor(spec.destination);
    using Forward = dnnl::pooling_forward;
#if DNNL_VERSION_MAJOR >= 3
    const Forward::primitive_desc pd(engine(), kind, algorithm, source, destination, spec.strides,
                                     spec.kernel, dnnl::memory::dims(rank, 0), begin, end, attr);
#else
    const Forward::primitive_desc pd(
        Forward::desc(kind, algorithm, source, destination, spec.strides, spec.kernel, begin, end),
        attr, engine());
#endif
    auto kernel =
        std::make_unique<PrimitiveKernel>(Forward(pd), pd.impl_info_str(), pd.scratchpad_desc());
    kernel->bind_input(DNNL_ARG_SRC, pd.src_desc(), 0);
    kernel->bind_output(DNNL_ARG_DST, pd.dst_desc(), 0);
    return KernelPtr(std::move(kernel));
  });
}

MadeKernel make_softmax(const Operand& source, int axis, bool logarithm) {
  // An exponential costs some ten multiply-adds.
  return attempt(threads_worth(10 * element_count(source.shape), false), [&]() -> MadeKernel {
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const auto desc = descriptor(source);
    const auto kind = dnnl::prop_kind::forward_inference;
    const auto algorithm =
        logarithm ? dnnl::algorithm::softmax_log : dnnl::algorithm::softmax_accurate;
#if DNNL_VERSION_MAJOR >= 3
    using Forward = dnnl::softmax_forward;
    const Forward::primitive_desc pd(engine(), kind, algorithm, desc, desc, axis, attr);
#else
    using Forward = dnnl::softmax_v2_forward;
    const Forward::primitive_desc pd(Forward::desc(kind, algorithm, desc, desc, axis), attr,
                                     engine());
#endif
    auto kernel =
        std::make_unique<PrimitiveKernel>(Forward(pd), pd.impl_info_str(), pd.scratchpad_desc());
    kernel->bind_input(DNNL_ARG_SRC, pd.src_desc(), 0);
    kernel->bind_output(DNNL_ARG_DST, pd.dst_desc(), 0);
    return KernelPtr(std::move(kernel));
  });
}

}  // namespace qtool::onednn
