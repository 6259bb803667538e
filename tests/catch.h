// SPDX-License-Identifier: Apache-2.0
// The one place where the tests meet the two versions of Catch2.
#pragma once

#include <string>

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
namespace Catch {
using Matchers::Equals;
inline auto Contains(const std::string& part) { return Matchers::ContainsSubstring(part); }
}  // namespace Catch
#else
#include <catch2/catch.hpp>
#endif

#include <cstdlib>
#include <filesystem>
#include <iostream>

namespace qtool::test {

/// A fresh folder under the system's temporary folder, removed at the end of the scope.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "qtool-test-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace qtool::test

/// Ends the test case with a visible line where something that it needs is absent. Catch2 2 has no
/// SKIP, so that this is said on stdout and asserted as a success.
#define QTOOL_SKIP(reason)                             \
  do {                                                 \
    std::cout << "SKIPPED: " << (reason) << std::endl; \
    SUCCEED(reason);                                   \
    return;                                            \
  } while (false)

#define QTOOL_NEED_ASSETS() \
  if (!std::filesystem::exists(QTOOL_ASSETS)) QTOOL_SKIP("no assets at " QTOOL_ASSETS)
