// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "report/records.h"

namespace qtool {

/// A piece of the report before it gets a form: the terminal, Markdown and any other renderer show
/// the same pieces. Strings are as the model file has them; the renderer escapes.
struct Section {
  std::string title;
  std::vector<std::string> notes;              ///< sentences above the table
  std::vector<std::vector<std::string>> rows;  ///< the first is the heading; may be empty
  std::string closing;                         ///< a sentence below the table
  bool detail = false;                         ///< may be folded away
};

/// The models side by side, each candidate beside its distance to the float model; then what each
/// output says where there are several, the worst layers, and what stayed float. A part without
/// content is left out.
std::vector<Section> report_sections(const ReportRecord& report);

/// Tensor by tensor, the worst `most` of them; `file` names the candidate.
Section layers_section(const std::string& file, std::vector<LayerError> layers, size_t most);

/// The gates; no rows where there are none.
Section gate_section(const ReportRecord& report);

}  // namespace qtool
