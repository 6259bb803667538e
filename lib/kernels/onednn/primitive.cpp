// SPDX-License-Identifier: Apache-2.0
#include "kernels/onednn/primitive.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

namespace qtool::onednn {

dnnl::engine& engine() {
  static dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

dnnl::stream& stream() {
  static dnnl::stream one(engine());
  return one;
}

std::string version() {
  const dnnl_version_t* v = dnnl_version();
  return std::to_string(v->major) + '.' + std::to_string(v->minor) + '.' + std::to_string(v->patch);
}

std::string instruction_set() {
  switch (dnnl::get_effective_cpu_isa()) {
    case dnnl::cpu_isa::sse41: return "sse41";
    case dnnl::cpu_isa::avx: return "avx";
    case dnnl::cpu_isa::avx2: return "avx2";
    case dnnl::cpu_isa::avx2_vnni: return "avx2_vnni";
    case dnnl::cpu_isa::avx512_core: return "avx512_core";
    case dnnl::cpu_isa::avx512_core_vnni: return "avx512_core_vnni";
    case dnnl::cpu_isa::avx512_core_bf16: return "avx512_core_bf16";
    default: return "other";
  }
}

dnnl::memory::data_type data_type(DType dtype) {
  switch (dtype) {
    case DType::float32: return dnnl::memory::data_type::f32;
    case DType::uint8: return dnnl::memory::data_type::u8;
    case DType::int8: return dnnl::memory::data_type::s8;
    case DType::int32: return dnnl::memory::data_type::s32;
    case DType::bfloat16: return dnnl::memory::data_type::bf16;
    default: return dnnl::memory::data_type::undef;
  }
}

dnnl::memory::dims dims(const Shape& shape) { return {shape.begin(), shape.end()}; }

dnnl::memory::desc descriptor(const Operand& operand) {
  return {dims(operand.shape), data_type(operand.dtype), strides(operand.shape, operand.layout)};
}

dnnl::memory::desc any_descriptor(const Shape& shape, DType dtype) {
  return {dims(shape), data_type(dtype), dnnl::memory::format_tag::any};
}

bool any_empty(std::initializer_list<const Shape*> shapes) {
  return std::ranges::any_of(shapes, [](const Shape* shape) { return element_count(*shape) == 0; });
}

dnnl::memory packed(const dnnl::memory::desc& from, const void* data,
                    const dnnl::memory::desc& to) {
  // oneDNN's C++ API takes sources as non-const; a reorder does not write to its source.
  const dnnl::memory source(from, engine(), const_cast<void*>(data));
  dnnl::memory target(to, engine());
  dnnl::reorder(source, target).execute(stream(), const_cast<dnnl::memory&>(source), target);
  stream().wait();
  return target;
}

dnnl::memory packed_codes(const dnnl::memory::desc& from, const void* data,
                          const dnnl::memory::desc& outputs_innermost,
                          const dnnl::memory::desc& to) {
  const dnnl::memory turned = packed(from, data, outputs_innermost);
  return packed(outputs_innermost, turned.get_data_handle(), to);
}

int threads_worth(int64_t macs, bool integer) {
  const int64_t least = integer ? int64_t{1} << 20 : int64_t{1} << 18;
  return macs < least ? 1 : thread_count();
}

SignedCodes signed_codes(const Tensor& weights, const QuantParams& params) {
  SignedCodes result{Tensor(DType::int8, weights.shape()), params};
  std::ranges::transform(weights.data<uint8_t>(), result.codes.data<int8_t>().begin(),
                         [](uint8_t code) { return static_cast<int8_t>(code - 128); });
  result.params.type.is_signed = true;
  for (int32_t& zero : result.params.zero_point) zero -= 128;
  return result;
}

std::string overflow_problem(const QuantParams& source, const Tensor& weights) {
  switch (dnnl::get_effective_cpu_isa()) {
    case dnnl::cpu_isa::sse41:
    case dnnl::cpu_isa::avx:
    case dnnl::cpu_isa::avx2:
    case dnnl::cpu_isa::avx512_core: break;
    default: return {};
  }
  if (source.type.is_signed) return "a CPU without VNNI: signed sources cost a bit of the weights";
  if (weights.dtype() != DType::int8) return {};
  const bool fits =
      std::ranges::all_of(weights.data<int8_t>(), [](int8_t w) { return w >= -64 && w <= 64; });
  return fits ? "" : "a CPU without VNNI: weights of more than 7 bits overflow";
}

Tensor bias_for([[maybe_unused]] const Attributes& made, const Tensor& bias,
                const QuantParams* bias_params, const QuantParams* source,
                const QuantParams* weights) {
  Tensor result(DType::float32, {bias.size()});
  const std::vector<double> values = to_doubles(bias);
  const auto scale_at = [](const QuantParams& params, size_t c) {
    return static_cast<double>(params.scale[params.per_tensor() ? 0 : c]);
  };
  for (size_t c = 0; c < values.size(); ++c) {
    double real = values[c];
    if (bias_params != nullptr) {
      const size_t s = bias_params->per_tensor() ? 0 : c;
      real = (real - bias_params->zero_point[s]) * scale_at(*bias_params, c);
    }
    if (source != nullptr) {
      // What was a code of this unit comes as a whole number, but for the rounding of the file's
      // float32 scale and of a bias that was dequantized to float32.
      const double units = real / (scale_at(*source, 0) * scale_at(*weights, c));
      const double whole = std::nearbyint(units);
      real = std::abs(units - whole) <= 0x1p-22 * std::abs(whole) ? whole : units;
#if DNNL_VERSION_MAJOR >= 3
      real *= static_cast<double>(made.scales[made.scales.size() == 1 ? 0 : c]);
#endif
    }
    result.data<float>()[c] = static_cast<float>(real);
  }
  return result;
}

namespace {

/// What it is called there, or nothing.
std::optional<dnnl::algorithm> algorithm_of(const PostOp& op) {
  switch (op.kind) {
    case PostOp::Kind::relu:
    case PostOp::Kind::leaky_relu: return dnnl::algorithm::eltwise_relu;
    case PostOp::Kind::clip: return dnnl::algorithm::eltwise_clip;
    case PostOp::Kind::sigmoid: return dnnl::algorithm::eltwise_logistic;
    case PostOp::Kind::tanh: return dnnl::algorithm::eltwise_tanh;
    case PostOp::Kind::linear: return dnnl::algorithm::eltwise_linear;
    case PostOp::Kind::elu: return dnnl::algorithm::eltwise_elu;
    case PostOp::Kind::mish: return dnnl::algorithm::eltwise_mish;
    case PostOp::Kind::gelu: return dnnl::algorithm::eltwise_gelu_erf;
    case PostOp::Kind::gelu_tanh: return dnnl::algorithm::eltwise_gelu_tanh;
    case PostOp::Kind::hard_swish: return dnnl::algorithm::eltwise_hardswish;
    default: return std::nullopt;
  }
}

void append_eltwise(dnnl::post_ops& ops, dnnl::algorithm algorithm, float alpha, float beta) {
#if DNNL_VERSION_MAJOR >= 3
  ops.append_eltwise(algorithm, alpha, beta);
#else
  ops.append_eltwise(1.0F, algorithm, alpha, beta);
#endif
}

/// Results are in units of `unit` when the post-op sees them.
void append_unary(dnnl::post_ops& ops, const PostOp& op, dnnl::algorithm algorithm, float unit) {
  float alpha = op.alpha;
  float beta = op.beta;
  if (op.kind == PostOp::Kind::clip) {
    alpha /= unit;
    beta /= unit;
  } else if (op.kind == PostOp::Kind::hard_swish) {
    alpha = 1.0F / 6;  // version 2 has them built in
    beta = 0.5F;
  }
  append_eltwise(ops, algorithm, alpha, beta);
}

/// oneDNN 2.6 keeps one generator per algorithm: of two relus with different slopes, two clips or
/// elus, the second would compute what the first does.
bool clashes(const PostOp& a, const PostOp& b) {
  const auto slope = [](const PostOp& op) {
    return op.kind == PostOp::Kind::leaky_relu ? op.alpha : 0.0F;
  };
  const auto is_relu = [](const PostOp& op) {
    return op.kind == PostOp::Kind::relu || op.kind == PostOp::Kind::leaky_relu;
  };
  if (is_relu(a) && is_relu(b)) return slope(a) != slope(b);
  return a.kind == b.kind && (a.alpha != b.alpha || a.beta != b.beta);
}

bool any_clash(const std::vector<PostOpSpec>& posts) {
  for (size_t i = 0; i < posts.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (clashes(posts[i].op, posts[j].op)) return true;
    }
  }
  return false;
}

bool scales_with_its_argument(const PostOp& op) {
  return op.kind == PostOp::Kind::relu || op.kind == PostOp::Kind::leaky_relu ||
         op.kind == PostOp::Kind::clip || op.kind == PostOp::Kind::add ||
         (op.kind == PostOp::Kind::linear && op.beta == 0);
}

#if DNNL_VERSION_MAJOR >= 3

template <class T>
dnnl::memory constant_memory(std::span<const T> values, dnnl::memory::data_type type) {
  const auto count = static_cast<dnnl::memory::dim>(values.size());
  dnnl::memory memory({{count}, type, dnnl::memory::format_tag::a}, engine());
  std::memcpy(memory.get_data_handle(), values.data(), values.size_bytes());
  return memory;
}

void set_scales(Attributes& result, const AttributeSpec& spec) {
  // With any scale its sums pass through floats, which end being exact at 2^24.
  if (result.scales.size() == 1 && result.scales[0] == 1.0F) return;
  result.attr.set_scales_mask(DNNL_ARG_WEIGHTS, result.scales.size() > 1 ? spec.filters_mask : 0);
  result.arguments.emplace_back(
      DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS,
      constant_memory(std::span<const float>(result.scales), dnnl::memory::data_type::f32));
}

void set_zero_point(Attributes& result, int argument, int32_t zero_point) {
  if (zero_point == 0) return;
  result.attr.set_zero_points_mask(argument, 0);
  result.arguments.emplace_back(
      DNNL_ARG_ATTR_ZERO_POINTS | argument,
      constant_memory(std::span<const int32_t>(&zero_point, 1), dnnl::memory::data_type::s32));
}

#else

void set_scales(Attributes& result, const AttributeSpec& spec) {
  result.attr.set_output_scales(result.scales.size() > 1 ? spec.channel_mask : 0, result.scales);
}

void set_zero_point(Attributes& result, int argument, int32_t zero_point) {
  if (zero_point != 0) result.attr.set_zero_points(argument, 0, {zero_point});
}

#endif

}  // namespace

Attributes make_attributes(const AttributeSpec& spec) {
  Attributes result;
  result.attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  const bool integer = spec.source != nullptr;
  if (integer && (spec.weights == nullptr || !spec.source->per_tensor())) {
    result.refusal = "integer kernels need quantized weights and a per-tensor source";
    return result;
  }
  if (any_clash(spec.post_ops)) {
    result.refusal = "two activations of one kind";
    return result;
  }
  if (spec.destination != nullptr && !integer) {
    result.refusal = "float operands with a quantized result";
    return result;
  }
  if (integer && std::ranges::any_of(spec.weights->zero_point, [](int32_t z) { return z != 0; })) {
    result.refusal = "weights with zero points";
    return result;
  }
  // One scale turns accumulators into the units that the post-ops see, which are the destination's
  // code units unless a post-op is not homogeneous.
  const bool homogeneous = std::ranges::all_of(
      spec.post_ops, [](const PostOpSpec& p) { return scales_with_its_argument(p.op); });
  const float target = spec.destination != nullptr ? spec.destination->scale[0] : 1.0F;
  const float unit = homogeneous ? target : 1.0F;
  if (integer) {
    for (const float weight : spec.weights->scale) {
      // In floats and in this order, as ONNX Runtime has it: the codes then are the same.
      result.scales.push_back(spec.source->scale[0] * weight / unit);
    }
    set_scales(result, spec);
    set_zero_point(result, DNNL_ARG_SRC, spec.source->zero_point[0]);
  }
  if (spec.destination != nullptr)
    set_zero_point(result, DNNL_ARG_DST, spec.destination->zero_point[0]);
  dnnl::post_ops ops;
  for (const PostOpSpec& post : spec.post_ops) {
    if (post.op.kind == PostOp::Kind::add) {
      if (integer || post.operand->params != nullptr) {
        result.refusal = "a residual of codes is added by a kernel of its own";
        return result;
      }
      ops.append_sum(1.0F);
      continue;
    }
    const auto algorithm = algorithm_of(post.op);
    if (!algorithm) {
      result.refusal = "an activation that is no post-op of oneDNN";
      return result;
    }
    append_unary(ops, post.op, *algorithm, unit);
  }
  if (unit != target) append_eltwise(ops, dnnl::algorithm::eltwise_linear, 1.0F / target, 0.0F);
  // oneDNN adds the zero point before it rounds, which turns ties to the other side.
  if (integer && spec.destination != nullptr && spec.destination->zero_point[0] != 0)
    append_eltwise(ops, dnnl::algorithm::eltwise_round, 0.0F, 0.0F);
  result.attr.set_post_ops(ops);
  return result;
}

PrimitiveKernel::PrimitiveKernel(dnnl::primitive primitive, std::string implementation,
                                 const dnnl::memory::desc& scratchpad)
    : primitive_(std::move(primitive)), implementation_(std::move(implementation)),
      scratch_bytes_(scratchpad.get_size()) {
  if (scratch_bytes_ > 0) {
    add(DNNL_ARG_SCRATCHPAD, Place::scratch, 0,
        dnnl::memory(scratchpad, engine(), DNNL_MEMORY_NONE));
  }
}

void PrimitiveKernel::bind_input(int argument, const dnnl::memory::desc& desc, size_t input) {
  add(argument, Place::input, input, dnnl::memory(desc, engine(), DNNL_MEMORY_NONE));
}
void PrimitiveKernel::bind_output(int argument, const dnnl::memory::desc& desc, size_t output) {
  add(argument, Place::output, output, dnnl::memory(desc, engine(), DNNL_MEMORY_NONE));
}
void PrimitiveKernel::bind_constant(int argument, dnnl::memory memory) {
  add(argument, Place::constant, 0, std::move(memory));
}

void PrimitiveKernel::bind(const Attributes& made) {
  for (const auto& [argument, memory] : made.arguments) bind_constant(argument, memory);
}

void PrimitiveKernel::add(int argument, Place place, size_t index, dnnl::memory memory) {
  exec_.push_back({argument, memory.get()});
  arguments_.push_back({place, index, std::move(memory)});
}

void PrimitiveKernel::run(const KernelArgs& args) {
  for (Argument& argument : arguments_) {
    switch (argument.place) {
      case Place::input:
        argument.memory.set_data_handle(const_cast<void*>(args.inputs[argument.index]));
        break;
      case Place::output: argument.memory.set_data_handle(args.outputs[argument.index]); break;
      case Place::scratch: argument.memory.set_data_handle(args.scratch); break;
      case Place::constant: break;
    }
  }
  // oneDNN has booked scratch memory for the threads that it was made for.
  const ThreadScope scope(threads_);
  // The C call takes the prepared array; the C++ one would allocate a map's copy.
  const dnnl_status_t status = dnnl_primitive_execute(primitive_.get(), stream().get(),
                                                      static_cast<int>(exec_.size()), exec_.data());
  QTOOL_CHECK(status == dnnl_success,
              description() + " failed with status " + std::to_string(status));
}

}  // namespace qtool::onednn
