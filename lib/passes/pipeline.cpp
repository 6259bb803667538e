// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "passes/pass.h"
#include "support/text.h"

namespace qtool {

namespace {

void check_name(const std::string& wanted, const Pipeline& pipeline) {
  if (wanted.empty()) return;
  std::vector<std::string> names;
  for (const PipelineEntry& entry : pipeline) names.emplace_back(entry.pass->name());
  if (std::ranges::find(names, wanted) != names.end()) return;
  throw usage_error("there is no pass \"" + wanted + "\" in this pipeline",
                    "The passes are " + join(names, ", ") + '.' + or_did_you_mean(wanted, names));
}

void check_sound(const Graph& graph) {
  const std::vector<std::string> defects = verify(graph);
  if (defects.empty()) return;
  throw Error(Error::Kind::internal, "it left a broken graph: " + join(defects, "; "),
              "This is a bug in qtool; --stop-after with the pass before shows the graph it got.");
}

}  // namespace

std::vector<PassCount> run_pipeline(Graph& graph, const Pipeline& pipeline,
                                    const PassContext& context, const PipelineOptions& options) {
  check_name(options.dump_after, pipeline);
  check_name(options.stop_after, pipeline);
  std::vector<PassCount> counts;
  for (const PipelineEntry& entry : pipeline) {
    const std::string name(entry.pass->name());
    within_frame([&] { return "pass " + name; },
                 [&] {
                   counts.push_back({name, entry.pass->run(graph, context)});
                   check_sound(graph);
                 });
    if (context.log != nullptr) {
      const int rewrites = counts.back().rewrites;
      const std::string line =
          fmt::format("pass {}: {} rewrite{}", name, rewrites, rewrites == 1 ? "" : "s");
      if (options.print_passes) {
        context.log->info(line);
      } else {
        context.log->debug(line);
      }
      if (options.dump_after == name)
        context.log->info("after pass " + name + ":\n" + to_text(graph));
    }
    if (options.stop_after == name) break;
  }
  return counts;
}

}  // namespace qtool
