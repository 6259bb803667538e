// SPDX-License-Identifier: Apache-2.0
// Cast (opsets 6 to 21), CastLike (15 to 21). Floats to integers truncate and saturate; ONNX leaves
// open what does not fit. Strings and 8-bit floats are refused.
#include "kernels/host/reduce.h"
#include "ops/families.h"
#include "ops/lowering.h"
#include "ops/shapes.h"
#include "support/text.h"

namespace qtool {

namespace {

/// undefined where CastLike's second input is not known yet.
template <bool like>
DType target(const NodeView& node) {
  if (like) return node.input_type(1).dtype;
  const int64_t number = node.attributes().integer("to", 0);
  if (number < 1 || number > 255 || !is_known(static_cast<int>(number))) {
    throw input_error(fmt::format("\"to\" is {}, which is no element type", number));
  }
  return static_cast<DType>(number);
}

template <bool like>
void infer_cast(InferContext& context) {
  context.set_output(0, {target<like>(context.node), context.node.input_type(0).shape});
}

template <bool like>
std::vector<Tensor> cast_reference(const ReferenceCall& call) {
  const DType to = target<like>(call.node);
  const Tensor& x = call.input(0);
  if (x.dtype() == DType::string || to == DType::string) {
    throw unsupported_error("qtool does not turn numbers into text or text into numbers",
                            "Do it before or after the model.");
  }
  return one_result(cast(x, to));
}

template <bool like>
Lowering lower_cast(const LowerContext& context) {
  if (context.quantized() || !context.post_ops.empty()) {
    return Lowering::refuse("it runs alone, in float");
  }
  const LowerInput& x = context.inputs[0];
  const DType to = target<like>(context.node);
  Lowering result;
  if (x.dtype == to) {
    result.alias = true;
  } else {
    result = lowering(make_cast(x.dtype, to, element_count(x.shape)));
    if (result.kernel == nullptr) return result;
  }
  result.input_layouts = {x.layout, Layout::plain};
  result.output_layouts = {x.layout};
  if (like) result.packed = {1};
  return result;
}

template <bool like>
OpDef cast_record(const char* type, int since) {
  return {.key = {"", type},
          .since_version = since,
          .inputs = {like ? 2 : 1, like ? 2 : 1},
          .outputs = {1, 1},
          .infer = infer_cast<like>,
          .reference = cast_reference<like>,
          .taste = LayoutTaste::any,
          .lower = lower_cast<like>};
}

}  // namespace

void register_cast(OpRegistry& ops) {
  ops.add(cast_record<false>("Cast", 6));
  ops.add(cast_record<true>("CastLike", 15));
}

}  // namespace qtool
