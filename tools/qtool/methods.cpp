// SPDX-License-Identifier: Apache-2.0
#include "quant/methods.h"

#include <fmt/format.h>

#include <cstdio>

#include "command.h"
#include "support/json.h"

namespace qtool {

namespace {

int list_methods(const Globals& globals) {
  if (globals.json) {
    Json list = Json::array();
    for (const Method& method : methods()) {
      list.push_back({{"name", method.name},
                      {"use", method.use},
                      {"cost", method.cost},
                      {"needs", method.needs},
                      {"source", method.source}});
    }
    std::fputs(to_text(Json{{"schema", "qtool.methods/1"}, {"methods", std::move(list)}}).c_str(),
               stdout);
    return 0;
  }
  for (const Method& method : methods()) {
    fmt::print("{:<17} {}\n{:<17} costs {}; needs {}; {}\n", method.name, method.use, "",
               method.cost, method.needs, method.source);
  }
  return 0;
}

}  // namespace

std::function<int()> declare_methods(CLI::App& app, const Globals& globals) {
  app.footer(
      "Example: qtool methods\n"
      "Then:    qtool ptq model.onnx --data photos/ --bits w4a8 --method adaround -o q.onnx");
  return [&globals] { return list_methods(globals); };
}

}  // namespace qtool
