// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace qtool {

// Names come from model files, where they may be any bytes.

/// The text with every byte that is not part of valid UTF-8 written as \xNN.
std::string valid_utf8(std::string_view text);

/// valid_utf8(), with control characters and marks that reverse the direction of writing written as
/// \xNN too: nothing in a name can steer the terminal or fake a line.
std::string printable(std::string_view text);

/// printable(), as plain text inside of a cell or paragraph of GitHub's Markdown.
std::string markdown_text(std::string_view text);

/// printable(), as text or as a quoted attribute's value in HTML and XML.
std::string html_text(std::string_view text);

}  // namespace qtool
