// SPDX-License-Identifier: Apache-2.0
#include "support/file.h"

#include <sys/fsuid.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <stdexcept>

#include "catch.h"
#include "support/error.h"

using namespace qtool;
namespace fs = std::filesystem;

namespace {

std::span<const std::byte> bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    CHECK(error.kind() == Error::Kind::input);
    return error.message();
  }
  FAIL("no error");
  return {};
}

size_t entries(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), {}));
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// No file grows past `bytes` meanwhile: as near as a test comes to a full disk.
struct FileSizeLimit {
  explicit FileSizeLimit(rlim_t limit) {
    before_handler_ = std::signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit now{limit, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, before_handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  rlimit before_{};
  void (*before_handler_)(int) = nullptr;
};

/// Root may write everywhere; as nobody, this thread may not.
struct Unprivileged {
  Unprivileged() : before_(setfsuid(geteuid() == 0 ? 65534 : geteuid())) {}
  ~Unprivileged() { setfsuid(static_cast<uid_t>(before_)); }
  Unprivileged(const Unprivileged&) = delete;
  Unprivileged& operator=(const Unprivileged&) = delete;
  int before_;
};

}  // namespace

TEST_CASE("SHA-256 of the examples of FIPS 180-4") {
  CHECK(sha256(bytes("")) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256(bytes("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256(bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")) ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256(bytes(std::string(1000000, 'a'))) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("A file is written, replaced and read") {
  const test::TemporaryFolder folder;
  const fs::path path = folder / "a.txt";
  write_file(path, "first");
  CHECK(read_file(path) == "first");
  write_file(path, std::string("sec\0nd", 6));
  CHECK(read_file(path) == std::string("sec\0nd", 6));
  write_file(path, "");
  CHECK(read_file(path).empty());
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("A writer that fails leaves the old file and nothing else") {
  const test::TemporaryFolder folder;
  const fs::path path = folder / "a.txt";
  write_file(path, "old");
  SECTION("by an exception, which comes through") {
    CHECK_THROWS_WITH(write_file(path,
                                 [](std::ostream& out) {
                                   out << "half of the n";
                                   throw std::runtime_error("stop");
                                 }),
                      "stop");
  }
  SECTION("by a bad stream") {
    CHECK(contains(
        message_of([&] { write_file(path, [](auto& out) { out.setstate(std::ios::badbit); }); }),
        "cannot write " + path.string()));
  }
  SECTION("by a full disk") {
    const FileSizeLimit limit(1000);
    const std::string message = message_of([&] { write_file(path, std::string(100000, 'x')); });
    CHECK(contains(message, "cannot write " + path.string() + ": File too large"));
  }
  CHECK(read_file(path) == "old");
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("Where a file cannot be written, the error says so and nothing is left") {
  const test::TemporaryFolder folder;
  CHECK(contains(message_of([&] { write_file(folder / "missing" / "a.txt", "x"); }),
                 "No such file or directory"));
  CHECK(contains(message_of([&] { write_file(folder.path(), "x"); }), "is a folder"));
  CHECK(contains(message_of([] { write_file("/dev/null", "x"); }), "is not a regular file"));
  CHECK(fs::is_character_file("/dev/null"));
  fs::create_directory(folder / "locked");
  fs::permissions(folder / "locked", fs::perms::owner_read | fs::perms::owner_exec);
  {
    const Unprivileged nobody;
    CHECK(contains(message_of([&] { write_file(folder / "locked" / "a.txt", "x"); }),
                   "Permission denied"));
  }
  CHECK(entries(folder / "locked") == 0);
}

TEST_CASE("What cannot be read is one clear error") {
  const test::TemporaryFolder folder;
  const auto both_say = [](const fs::path& path, const std::string& wanted) {
    CHECK(contains(message_of([&] { read_file(path); }), wanted));
    CHECK(contains(message_of([&] { MappedFile file(path); }), wanted));
  };
  both_say(folder / "missing", "No such file or directory");
  both_say(folder.path(), "is a folder, not a file");
  both_say("/dev/zero", "is not a regular file");
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  both_say(folder / "pipe", "is not a regular file");

  write_file(folder / "big", std::string(101, 'x'));
  CHECK(read_file(folder / "big", 101).size() == 101);
  CHECK(contains(message_of([&] { read_file(folder / "big", 100); }),
                 "has 101 bytes, more than the 100"));
}

TEST_CASE("A mapped file outlives its object and its name") {
  const test::TemporaryFolder folder;
  write_file(folder / "a", "mapped bytes");
  std::span<const std::byte> view;
  std::shared_ptr<const void> owner;
  {
    const MappedFile file(folder / "a");
    view = file.bytes();
    owner = file.owner();
  }
  fs::remove(folder / "a");
  REQUIRE(view.size() == 12);
  CHECK(std::string(reinterpret_cast<const char*>(view.data()), view.size()) == "mapped bytes");

  write_file(folder / "empty", "");
  CHECK(MappedFile(folder / "empty").bytes().empty());
}
