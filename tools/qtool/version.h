// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

namespace qtool {

/// "0.1.0 (daf4dba4290b)".
std::string program_version();

/// What qtool computes and reads with, by name; oneDNN with the instruction set that it uses.
std::map<std::string, std::string> library_versions();

/// For --version: the program, then one line a library.
std::string version_text();

}  // namespace qtool
