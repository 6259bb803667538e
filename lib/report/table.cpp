// SPDX-License-Identifier: Apache-2.0
#include "report/table.h"

#include "report/escape.h"
#include "report/sections.h"
#include "support/text.h"

namespace qtool {

namespace {

constexpr size_t kLongestComment = 65'000;

std::string markdown_table(const std::vector<std::vector<std::string>>& rows) {
  std::string text;
  for (size_t r = 0; r < rows.size(); ++r) {
    text += '|';
    for (const std::string& cell : rows[r]) text += ' ' + markdown_text(cell) + " |";
    text += '\n';
    if (r > 0) continue;
    text += '|';
    for (size_t c = 0; c < rows[r].size(); ++c) text += " --- |";
    text += '\n';
  }
  return text;
}

std::string markdown_section(const Section& section) {
  std::string text;
  if (section.detail) {
    text += "<details><summary>" + markdown_text(section.title) + "</summary>\n\n";
  } else if (!section.title.empty()) {
    text += "#### " + markdown_text(section.title) + "\n\n";
  }
  for (const std::string& note : section.notes) text += markdown_text(note) + '\n';
  if (!section.notes.empty()) text += '\n';
  text += markdown_table(section.rows);
  if (!section.closing.empty()) text += '\n' + markdown_text(section.closing) + '\n';
  if (section.detail) text += "\n</details>\n";
  return text;
}

}  // namespace

std::string terminal_text(const Section& section) {
  std::string text;
  if (!section.title.empty()) text += printable(section.title) + '\n';
  for (const std::string& note : section.notes) text += printable(note) + '\n';
  if (!text.empty()) text += '\n';
  std::vector<std::vector<std::string>> rows = section.rows;
  for (auto& row : rows) {
    for (std::string& cell : row) cell = printable(cell);
  }
  text += text_table(rows);
  if (!section.closing.empty()) text += '\n' + printable(section.closing) + '\n';
  return text;
}

std::string terminal_report(const ReportRecord& report) {
  std::string text;
  for (const Section& section : report_sections(report)) {
    if (!text.empty()) text += '\n';
    text += terminal_text(section);
  }
  const Section gates = gate_section(report);
  if (!gates.rows.empty()) text += '\n' + terminal_text(gates);
  return text;
}

std::string markdown_report(const ReportRecord& report) {
  std::vector<Section> sections = report_sections(report);
  std::string text = "### " + markdown_text(sections[0].title) + '\n';
  sections[0].title.clear();
  const Section gates = gate_section(report);
  if (!gates.rows.empty()) {
    text += "\n**" + markdown_text(gates.closing) + "**\n\n" + markdown_table(gates.rows);
  }
  size_t left_out = 0;
  for (const Section& section : sections) {
    const std::string next = '\n' + markdown_section(section);
    if (text.size() + next.size() > kLongestComment) {
      ++left_out;
    } else {
      text += next;
    }
  }
  if (left_out > 0) {
    text += "\nLeft out for length: " + std::to_string(left_out) +
            " tables; the JSON report has them.\n";
  }
  return text;
}

}  // namespace qtool
