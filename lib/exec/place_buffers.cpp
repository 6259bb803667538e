// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdlib>

#include "exec/memory_plan.h"
#include "exec/program.h"

namespace qtool {

namespace {

/// First and last step that touch each buffer; outputs live to the end.
std::vector<Lifetime> lifetimes(const Session::Program& program) {
  std::vector<Lifetime> lives(program.buffers.size(), {0, -1, -1});
  const auto touch = [&](int buffer, int step) {
    if (buffer < 0) return;
    Lifetime& life = lives[static_cast<size_t>(buffer)];
    if (life.first < 0) life.first = step;
    life.last = std::max(life.last, step);
  };
  const auto count = static_cast<int>(program.steps.size());
  for (int s = 0; s < count; ++s) {
    const Step& step = program.steps[static_cast<size_t>(s)];
    for (const int buffer : step.inputs) touch(buffer, s);
    for (const int buffer : step.outputs) touch(buffer, s);
    // A tap looks when the step is done: the step itself must not write over what it shows.
    for (const TapPoint& tap : step.taps) touch(tap.where.buffer, s + 1);
  }
  for (const GraphOutput& output : program.outputs) touch(output.buffer, count);
  for (size_t b = 0; b < lives.size(); ++b) lives[b].bytes = program.buffers[b].bytes;
  return lives;
}

void rename(Session::Program& program, int from, int to) {
  for (Step& step : program.steps) {
    std::ranges::replace(step.inputs, from, to);
    std::ranges::replace(step.outputs, from, to);
    for (TapPoint& tap : step.taps) {
      if (tap.where.buffer == from) tap.where.buffer = to;
    }
  }
  for (GraphOutput& output : program.outputs) {
    if (output.buffer == from) output.buffer = to;
  }
}

/// Results take over the memory of an operand that dies in the same step, where the step says so.
void share_in_place(Session::Program& program) {
  std::vector<Lifetime> lives = lifetimes(program);
  const auto count = static_cast<int>(program.steps.size());
  for (int s = 0; s < count; ++s) {
    Step& step = program.steps[static_cast<size_t>(s)];
    const int result = step.outputs.empty() ? -1 : step.outputs[0];
    if (result < 0 || (step.copy_to_output < 0 && !step.may_overwrite)) continue;
    for (size_t i = 0; i < step.inputs.size(); ++i) {
      const bool residual = static_cast<int>(i) == step.copy_to_output;
      const int operand = step.inputs[i];
      if (operand < 0 || operand == result || (!residual && !step.may_overwrite)) continue;
      const Buffer& buffer = program.buffers[static_cast<size_t>(operand)];
      const bool dies = lives[static_cast<size_t>(operand)].last == s;
      // A kernel that reads its source while it writes must not find itself there.
      const bool once = std::ranges::count(step.inputs, operand) == 1 || step.may_overwrite;
      if (buffer.kind != Buffer::Kind::arena || !dies || !once ||
          buffer.bytes != program.buffers[static_cast<size_t>(result)].bytes) {
        continue;
      }
      if (residual) step.copy_to_output = -1;
      lives[static_cast<size_t>(operand)].last = lives[static_cast<size_t>(result)].last;
      rename(program, result, operand);
      break;
    }
  }
}

}  // namespace

void place_buffers(Session::Program& program) {
  share_in_place(program);
  const std::vector<Lifetime> lives = lifetimes(program);
  std::vector<Lifetime> blocks;
  std::vector<size_t> owners;
  for (size_t b = 0; b < lives.size(); ++b) {
    if (program.buffers[b].kind != Buffer::Kind::arena || lives[b].first < 0) continue;
    blocks.push_back(lives[b]);
    owners.push_back(b);
  }
  const MemoryPlan plan = plan_memory(blocks);
  for (size_t i = 0; i < owners.size(); ++i) program.buffers[owners[i]].offset = plan.offsets[i];
  size_t scratch = 0;
  for (const Step& step : program.steps) {
    if (step.kernel != nullptr) scratch = std::max(scratch, step.kernel->scratch_bytes());
  }
  program.arena_bytes = (plan.bytes + scratch + 127) / 64 * 64;
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(64, program.arena_bytes));
  if (memory == nullptr) {
    throw input_error(
        "no memory for activations of " + std::to_string(program.arena_bytes) + " bytes",
        "Use a smaller batch.");
  }
  program.arena = {memory, [](std::byte* data) { std::free(data); }};
  program.scratch = memory + plan.bytes;

  for (size_t s = 0; s < program.steps.size(); ++s) {
    Step& step = program.steps[s];
    for (size_t i = 0; i < step.inputs.size(); ++i) {
      const int b = step.inputs[i];
      step.input_pointers.push_back(b < 0 ? nullptr : program.address(b));
      if (b >= 0 && program.buffers[static_cast<size_t>(b)].kind == Buffer::Kind::feed) {
        program.patches.push_back({s, i, program.buffers[static_cast<size_t>(b)].feed});
      }
    }
    for (const int b : step.outputs) {
      // Only arena buffers are written; the others are no results.
      step.output_pointers.push_back(b < 0 ? nullptr : const_cast<void*>(program.address(b)));
    }
  }
  program.feeds.assign(program.input_names.size(), nullptr);
}

}  // namespace qtool
