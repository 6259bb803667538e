// SPDX-License-Identifier: Apache-2.0
#include "kernels/onednn/primitive.h"

namespace qtool::onednn {

namespace {

/// Row-major, or with the last two dimensions stored the other way round.
dnnl::memory::desc matrices(const Operand& operand, bool transposed) {
  std::vector<int64_t> strides = row_major_strides(operand.shape);
  const size_t rank = strides.size();
  if (transposed) {
    strides[rank - 2] = 1;
    strides[rank - 1] = operand.shape[rank - 2];
  }
  return {dims(operand.shape), data_type(operand.dtype), strides};
}

}  // namespace

MadeKernel make_matmul(const MatmulSpec& spec) {
  if (spec.weights.params != nullptr && spec.constant_weights != nullptr &&
      spec.constant_weights->dtype() == DType::uint8) {
    const SignedCodes weights = signed_codes(*spec.constant_weights, *spec.weights.params);
    MatmulSpec same = spec;
    same.constant_weights = &weights.codes;
    same.weights.dtype = DType::int8;
    same.weights.params = &weights.params;
    return make_matmul(same);
  }
  const Shape& w = spec.weights.shape;
  const int64_t macs =
      element_count(spec.destination.shape) * (w.size() >= 2 ? w[w.size() - 2] : 1);
  return attempt(threads_worth(macs, spec.source.params != nullptr), [&]() -> MadeKernel {
    const size_t rank = spec.destination.shape.size();
    if (spec.source.shape.size() != rank || spec.weights.shape.size() != rank || rank < 2) {
      return MadeKernel::refused("operands of unlike rank");
    }
    if (any_empty({&spec.source.shape, &spec.weights.shape, &spec.destination.shape})) {
      return MadeKernel::refused("an empty tensor");
    }
    if (spec.source.params != nullptr) {
      if (spec.constant_weights == nullptr)
        return MadeKernel::refused("weights of codes that are computed at run time");
      if (auto why = overflow_problem(*spec.source.params, *spec.constant_weights); !why.empty()) {
        return MadeKernel::refused(std::move(why));
      }
    }
    const int columns = 1 << (rank - 1);
    const AttributeSpec attributes{
        spec.source.params, spec.weights.params, spec.destination.params, columns, columns,
        spec.post_ops};
    const Attributes made = make_attributes(attributes);
    if (!made.refusal.empty()) return MadeKernel::refused(made.refusal);

    const bool constant = spec.constant_weights != nullptr;
    const auto source = matrices(spec.source, spec.transposed_source);
    const auto destination = descriptor(spec.destination);
    const auto weights = constant ? any_descriptor(spec.weights.shape, spec.weights.dtype)
                                  : matrices(spec.weights, spec.transposed_weights);
    const bool biased = spec.bias != nullptr || spec.bias_at_run;
    Shape bias_shape(rank, 1);
    bias_shape.back() = spec.destination.shape.back();
    const dnnl::memory::desc bias =
        biased ? descriptor({DType::float32, bias_shape, Layout::plain, nullptr})
               : dnnl::memory::desc();
#if DNNL_VERSION_MAJOR >= 3
    const dnnl::matmul::primitive_desc pd(engine(), source, weights, bias, destination, made.attr);
#else
    const dnnl::matmul::primitive_desc pd(dnnl::matmul::desc(source, weights, bias, destination),
                                          made.attr, engine());
#endif
    auto kernel = std::make_unique<PrimitiveKernel>(dnnl::matmul(pd), pd.impl_info_str(),
                                                    pd.scratchpad_desc());
    kernel->bind(made);
    kernel->bind_input(DNNL_ARG_SRC, pd.src_desc(), 0);
    kernel->bind_output(DNNL_ARG_DST, pd.dst_desc(), 0);
    if (constant) {
      const auto stored = matrices(spec.weights, spec.transposed_weights);
      const void* elements = spec.constant_weights->raw();
      const auto plain =
          descriptor({spec.weights.dtype, spec.weights.shape, Layout::plain, nullptr});
      kernel->bind_constant(DNNL_ARG_WEIGHTS,
                            spec.weights.params != nullptr
                                ? packed_codes(stored, elements, plain, pd.weights_desc())
                                : packed(stored, elements, pd.weights_desc()));
    } else {
      kernel->bind_input(DNNL_ARG_WEIGHTS, pd.weights_desc(), 1);
    }
    if (spec.bias_at_run) {
      kernel->bind_input(DNNL_ARG_BIAS, bias, 2);
    } else if (biased) {
      const Tensor units =
          bias_for(made, *spec.bias, spec.bias_params, spec.source.params, spec.weights.params);
      kernel->bind_constant(DNNL_ARG_BIAS, packed(bias, units.raw(), bias));
    }
    return KernelPtr(std::move(kernel));
  });
}

}  // namespace qtool::onednn
