// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace qtool {

/// A page that needs nothing beside it: the title as a heading, then the body, which is XHTML;
/// styled for tables and the charts of svg.h, light and dark.
std::string html_page(const std::string& title, const std::string& body);

/// The first row is that of the headings. Cells are text. No rows: nothing.
std::string html_table(const std::vector<std::vector<std::string>>& rows);

}  // namespace qtool
