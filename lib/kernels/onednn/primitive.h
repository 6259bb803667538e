// SPDX-License-Identifier: Apache-2.0
// Internal to this folder: what the primitives share, and the differences of oneDNN 2 and 3.
#pragma once

#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <vector>

#include "kernels/kernel.h"
#include "kernels/onednn/primitives.h"
#include "support/parallel.h"

namespace qtool::onednn {

/// The process's CPU engine and a stream on it. CPU streams hold no state of their own.
dnnl::engine& engine();
dnnl::stream& stream();

dnnl::memory::data_type data_type(DType dtype);
dnnl::memory::dims dims(const Shape& shape);

/// A descriptor with the strides of a layout.
dnnl::memory::desc descriptor(const Operand& operand);

/// "Any" layout for oneDNN to choose.
dnnl::memory::desc any_descriptor(const Shape& shape, DType dtype);

/// Whether any of the operands has no elements: oneDNN then leaves its results unwritten.
bool any_empty(std::initializer_list<const Shape*> shapes);

/// Whether along some dimension an output's window has no tap inside of the input. There oneDNN
/// 2.6.3's brgconv with post-ops drops the bias or reads wild addresses.
struct ConvolutionWindow {
  const std::vector<int64_t>& strides;
  const std::vector<int64_t>& pads;
  const std::vector<int64_t>& dilations;
};
bool sees_only_padding(const Shape& source, const Shape& weights, const Shape& destination,
                       const ConvolutionWindow& window);

/// Copies constant elements into memory of the wanted descriptor, reordering as needed.
dnnl::memory packed(const dnnl::memory::desc& from, const void* data, const dnnl::memory::desc& to);

/// The same for weights of an integer kernel, by way of a plain order with the output channels
/// innermost. A reorder to where zero points or s8 sources need sums of the weights makes these
/// sums; when it also transposes, oneDNN 2.6.3 makes wrong ones for some shapes.
dnnl::memory packed_codes(const dnnl::memory::desc& from, const void* data,
                          const dnnl::memory::desc& outputs_innermost,
                          const dnnl::memory::desc& to);

/// u8 weights as the s8 codes of the same numbers, 128 less with their zero points.
struct SignedCodes {
  Tensor codes;
  QuantParams params;
};
SignedCodes signed_codes(const Tensor& weights, const QuantParams& params);

/// "", or why this CPU's integer kernels would be wrong with these weights. Without VNNI two
/// products are added in 16 bits: 255 * 64 * 2 still fits, more saturates. And s8 sources are
/// shifted to u8 at the price of the weights' lowest bit.
std::string overflow_problem(const QuantParams& source, const Tensor& weights);

/// Scales, zero points and post-ops of a quantized or float computation: how both library
/// versions are told the same thing.
struct AttributeSpec {
  const QuantParams* source = nullptr;
  const QuantParams* weights = nullptr;
  const QuantParams* destination = nullptr;
  int channel_mask = 0;  ///< the destination's channel dimension
  int filters_mask = 0;  ///< the weights' dimensions that make it up
  std::vector<PostOpSpec> post_ops;
};

/// The attributes, or why oneDNN cannot express them.
struct Attributes {
  dnnl::primitive_attr attr;
  std::string refusal;
  /// Accumulators times this are what the post-ops see: one, or one a channel; none for floats.
  std::vector<float> scales = {};
  /// Version 3 takes scales and zero points as arguments of each run.
  std::vector<std::pair<int, dnnl::memory>> arguments = {};
};
Attributes make_attributes(const AttributeSpec& spec);

/// Bias in the units that the primitive adds it in, as float32 [M]: the real ones for floats, else
/// the accumulator's (version 2) or those that the post-ops see (version 3).
Tensor bias_for(const Attributes& made, const Tensor& bias, const QuantParams* bias_params,
                const QuantParams* source, const QuantParams* weights);

/// A primitive with its arguments: constant ones hold their memory, the others are bound at run.
class PrimitiveKernel final : public Kernel {
 public:
  PrimitiveKernel(dnnl::primitive primitive, std::string implementation,
                  const dnnl::memory::desc& scratchpad);

  void bind_input(int argument, const dnnl::memory::desc& desc, size_t input);
  void bind_output(int argument, const dnnl::memory::desc& desc, size_t output);
  void bind_constant(int argument, dnnl::memory memory);
  void bind(const Attributes& made);

  void run(const KernelArgs& args) override;
  std::string description() const override { return "oneDNN " + implementation_; }
  size_t scratch_bytes() const override { return scratch_bytes_; }

 private:
  enum class Place { input, output, scratch, constant };
  struct Argument {
    Place place;
    size_t index;
    dnnl::memory memory;
  };
  void add(int argument, Place place, size_t index, dnnl::memory memory);

  dnnl::primitive primitive_;
  std::string implementation_;
  int threads_ = thread_count();
  size_t scratch_bytes_ = 0;
  std::vector<Argument> arguments_;
  std::vector<dnnl_exec_arg_t> exec_;
};

/// Threads for a kernel of so many multiply-adds: 1 where waking the others would cost more than
/// they save (some microseconds of work).
int threads_worth(int64_t macs, bool integer);

/// Runs a maker; what oneDNN cannot do becomes a refusal with its message. The primitive is made
/// for `threads` threads, and then always runs with so many.
template <class Make>
MadeKernel attempt(int threads, Make&& make) {
  const ThreadScope scope(threads);
  try {
    return make();
  } catch (const dnnl::error& failure) {
    return MadeKernel::refused(std::string("oneDNN: ") + failure.what());
  }
}

}  // namespace qtool::onednn
