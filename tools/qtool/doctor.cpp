// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <cstdlib>

#include "command.h"
#include "exec/onnxruntime_runner.h"
#include "exec/session.h"
#include "kernels/onednn/build.h"
#include "kernels/onednn/primitives.h"
#include "machine.h"
#include "quant/target.h"
#include "support/json.h"
#include "support/parallel.h"
#include "support/text.h"
#include "version.h"

namespace qtool {

namespace {

struct RunnerCheck {
  std::string name;
  bool works = false;
  std::string detail;  ///< how it was found to work, or why it does not
};

struct TargetCheck {
  std::string name;
  std::string types;  ///< "u8 activations, s8 narrow weights"
  std::string speed;  ///< "fast", "slow"
  std::string why;
};

struct Diagnosis {
  Machine machine;
  std::map<std::string, std::string> libraries;
  std::vector<RunnerCheck> runners;
  std::vector<TargetCheck> targets;
  std::vector<std::string> advice;
};

/// [1,2] times a 2x2 matrix, whose result is known.
std::string trial(Backend backend) {
  Graph graph;
  graph.model.opsets[""] = 13;
  const ValueId x = graph.add_value("x", TensorType(DType::float32, Shape{1, 2}));
  graph.add_input(x);
  const ValueId w =
      graph.add_constant("w", make_constant(Tensor::of<float>({2, 2}, {1.F, 2.F, 3.F, 4.F})));
  const ValueId y = graph.add_value("y");
  Node node;
  node.op = {"", "MatMul"};
  node.inputs = {x, w};
  node.outputs = {y};
  graph.add_node(std::move(node));
  graph.add_output(y);
  Session session(graph, builtin_ops(), {.backend = backend});
  TensorMap feeds;
  feeds.emplace("x", Tensor::of<float>({1, 2}, {1.F, 2.F}));
  const TensorMap results = session.run(feeds);
  const auto values = results.at("y").data<float>();
  if (values[0] != 7 || values[1] != 10) {
    throw unsupported_error("a product of 2x2 numbers came out wrong");
  }
  return session.steps().empty() ? "" : session.steps().back().kernel;
}

template <class Check>
RunnerCheck check_runner(std::string name, Check&& check) {
  RunnerCheck result{std::move(name), true, ""};
  try {
    result.detail = check();
  } catch (const Error& error) {
    result.works = false;
    result.detail = error.message() + (error.advice().empty() ? "" : ". " + error.advice());
  }
  return result;
}

std::string find_and_load(const std::string& named) {
  const auto library = find_onnxruntime(named);
  if (!library) {
    throw input_error("no library was found",
                      "npm install onnxruntime-node has it (bin/napi-v6/linux/x64/"
                      "libonnxruntime.so.1); name it with --ort-library or QTOOL_ORT_LIBRARY.");
  }
  return onnxruntime_version(*library) + " at " + library->string();
}

TargetCheck check_target(const std::string& name, const Machine& machine) {
  const Target target = load_target(name);
  TargetCheck result{name,
                     to_string(target.activation_type) + " activations, " +
                         to_string(target.weight_type) + " weights",
                     "slow", ""};
  const bool eight = target.activation_type.bits == 8 && target.weight_type.bits == 8;
  if (!eight) {
    result.why = "no integer kernels for these types here: runs as float";
  } else if (!machine.fast_int8()) {
    result.why = machine.has("AVX2") ? "AVX2 without VNNI takes three instructions for one"
                                     : "the CPU has no instructions for 8-bit products";
  } else if (target.activation_type.is_signed) {
    result.speed = "fast";
    result.why = "in qtool; ONNX Runtime on x64 is fast with unsigned activations only";
  } else {
    result.speed = "fast";
    result.why = machine.has("AMX-INT8") ? "AMX" : "VNNI";
  }
  return result;
}

std::vector<std::string> advice_for(const Diagnosis& found) {
  std::vector<std::string> advice;
  const Machine& machine = found.machine;
  for (const RunnerCheck& runner : found.runners) {
    if (!runner.works) advice.push_back(runner.name + ": " + runner.detail);
  }
  if (!machine.fast_int8()) {
    advice.push_back(
        "int8 is not much faster than float on this CPU; measure speed where the model will run.");
  }
  if (onednn::version() != onednn::built_version()) {
    advice.push_back("oneDNN " + onednn::version() + " runs, but qtool was built with " +
                     onednn::built_version() + ": rebuild qtool.");
  }
  for (const char* variable : {"ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"}) {
    if (const char* limit = std::getenv(variable)) {
      advice.push_back(std::string(variable) + '=' + limit +
                       " keeps oneDNN from newer instructions; unset it for speed.");
    }
  }
  if (machine.quota && *machine.quota < thread_count()) {
    advice.push_back(
        fmt::format("the control group grants {:.1f} processors, {} threads would share them: use "
                    "--threads {}.",
                    *machine.quota, thread_count(), std::max(1, static_cast<int>(*machine.quota))));
  }
  return advice;
}

Diagnosis diagnose(const std::string& ort_library) {
  Diagnosis found;
  found.machine = this_machine();
  found.libraries = library_versions();
  found.runners.push_back(check_runner("onednn", [] { return trial(Backend::onednn); }));
  found.runners.push_back(check_runner("reference", [] {
    trial(Backend::reference);
    return "plain loops, for checking";
  }));
  found.runners.push_back(check_runner("onnxruntime", [&] { return find_and_load(ort_library); }));
  for (const auto& [name, text] : builtin_targets())
    found.targets.push_back(check_target(name, found.machine));
  found.advice = advice_for(found);
  return found;
}

Json to_json(const Diagnosis& found) {
  const Machine& machine = found.machine;
  Json json{{"schema", "qtool.doctor/1"},
            {"qtool", program_version()},
            {"cpu", machine.cpu},
            {"isa", Json::object()},
            {"cores", machine.cores},
            {"hardware_threads", machine.threads},
            {"usable_threads", machine.usable},
            {"libraries", found.libraries},
            {"runners", Json::object()},
            {"targets", Json::object()},
            {"advice", found.advice}};
  for (const Extension& each : machine.extensions) json["isa"][each.name] = each.present;
  if (machine.quota) json["cpu_quota"] = *machine.quota;
  if (machine.memory) json["memory_bytes"] = *machine.memory;
  for (const RunnerCheck& runner : found.runners)
    json["runners"][runner.name] = {{"works", runner.works}, {"detail", runner.detail}};
  for (const TargetCheck& target : found.targets)
    json["targets"][target.name] = {
        {"types", target.types}, {"speed", target.speed}, {"why", target.why}};
  return json;
}

void print(const Diagnosis& found) {
  const Machine& machine = found.machine;
  std::vector<std::string> has;
  std::vector<std::string> lacks;
  for (const Extension& each : machine.extensions)
    (each.present ? has : lacks).push_back(each.name);
  fmt::print("qtool {}\n\ncpu      {}\n", program_version(), machine.cpu);
  fmt::print("         {} cores, {} hardware threads, {} usable by this process{}{}\n",
             machine.cores, machine.threads, machine.usable,
             machine.quota ? fmt::format(", time for {:.1f}", *machine.quota) : "",
             machine.memory ? ", " + human_bytes(*machine.memory) + " of memory" : "");
  fmt::print("has      {}\nlacks    {}\n", has.empty() ? "-" : join(has, ", "),
             lacks.empty() ? "-" : join(lacks, ", "));
  for (const auto& [name, version] : found.libraries) fmt::print("{:<8} {}\n", name, version);
  std::vector<std::vector<std::string>> rows{{"runner", "works", "by"}};
  for (const RunnerCheck& runner : found.runners)
    rows.push_back({runner.name, runner.works ? "yes" : "no", runner.works ? runner.detail : "-"});
  fmt::print("\n{}", text_table(rows));
  rows = {{"target", "int8 here", "why", "types"}};
  for (const TargetCheck& target : found.targets)
    rows.push_back({target.name, target.speed, target.why, target.types});
  fmt::print("\n{}", text_table(rows));
  fmt::print("\n{}\n", found.advice.empty() ? "Nothing is amiss." : "What to do:");
  for (const std::string& line : found.advice) fmt::print("- {}\n", line);
}

}  // namespace

std::function<int()> declare_doctor(CLI::App& app, const Globals& globals) {
  auto library = std::make_shared<std::string>();
  app.add_option("--ort-library", *library,
                 "ONNX Runtime's shared library; default: $QTOOL_ORT_LIBRARY, then the system's")
      ->type_name("FILE");
  app.footer("Example: qtool doctor");
  return [library, &globals] {
    const Diagnosis found = diagnose(*library);
    if (globals.json) {
      std::fputs(to_text(to_json(found)).c_str(), stdout);
    } else {
      print(found);
    }
    return 0;
  };
}

}  // namespace qtool
