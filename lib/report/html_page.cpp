// SPDX-License-Identifier: Apache-2.0
#include "report/html_page.h"

#include <fmt/format.h>

#include "report/escape.h"

namespace qtool {

namespace {

constexpr const char* kStyle = R"(
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 1320px; padding: 0 1em; color: #1c2128; background: #fff; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
table { border-collapse: collapse; margin: 1em 0; display: block; overflow-x: auto; }
th, td { padding: 3px 12px 3px 0; text-align: left; border-bottom: 1px solid #d8dee4; white-space: nowrap; }
td:not(:first-child) { font-variant-numeric: tabular-nums; }
p.note { margin: 0; color: #57606a; } .ok { color: #1a7f37; } .failed { color: #cf222e; font-weight: 600; }
.charts { display: flex; flex-wrap: wrap; gap: 1em; } svg { max-width: 100%; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: #1c2128; } svg text.title { font-weight: 600; font-size: 13px; }
svg .grid { stroke: #d8dee4; } svg .reference { fill: #fff; stroke: #57606a; stroke-width: 2; }
.curve { fill: none; stroke: #0969da; stroke-width: 1.5; } svg .range { stroke: #bf8700; stroke-width: 2; } svg .candidate, svg .first { fill: #0969da; } svg .second { fill: #bf8700; }
@media (prefers-color-scheme: dark) { body { color: #e6edf3; background: #0d1117; } svg text { fill: #e6edf3; }
th, td { border-color: #30363d; } svg .grid { stroke: #30363d; } svg .reference { fill: #0d1117; stroke: #8b949e; } p.note { color: #8b949e; } }
)";

}  // namespace

std::string html_page(const std::string& title, const std::string& body) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width\"/>\n<title>{0}</title>\n"
      "<style>{1}</style>\n</head>\n<body>\n<h1>{0}</h1>\n{2}</body>\n</html>\n",
      html_text(title), kStyle, body);
}

std::string html_table(const std::vector<std::vector<std::string>>& rows) {
  if (rows.empty()) return {};
  std::string text = "<table>\n";
  for (size_t r = 0; r < rows.size(); ++r) {
    const char* cell = r == 0 ? "th" : "td";
    text += "<tr>";
    for (const std::string& content : rows[r])
      text += fmt::format("<{}>{}</{}>", cell, html_text(content), cell);
    text += "</tr>\n";
  }
  return text + "</table>\n";
}

}  // namespace qtool
