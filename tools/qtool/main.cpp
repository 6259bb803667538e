// SPDX-License-Identifier: Apache-2.0
#include <malloc.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "command.h"
#include "help.h"
#include "support/error.h"
#include "support/parallel.h"
#include "version.h"

namespace qtool {

namespace {

/// libgomp reads its waiting policy before main. Its own default, spinning for long, costs a
/// hundredfold where other processes compete for the cores, and sleeping at once costs on an idle
/// machine; so the program starts itself again with a short spin, unless the user chose or there
/// is one thread, which never waits.
void choose_waiting_policy(int argc, char** argv) {
  const std::string_view kFlag = "--threads";
  for (int i = 1; i < argc; ++i) {
    const bool last = i + 1 == argc;
    if (argv[i] == std::string(kFlag) + "=1") return;
    if (argv[i] == kFlag && !last && argv[i + 1] == std::string_view("1")) return;
  }
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  setenv("GOMP_SPINCOUNT", "2000", 1);
  execv("/proc/self/exe", argv);  // on failure the default policy is merely slower
}

/// Large blocks go back to the system when they are freed. By default glibc keeps those that are as
/// large as any that was freed before, and what is small and stays between them holds tens of MB.
void return_freed_memory() {
#ifdef M_MMAP_THRESHOLD
  mallopt(M_MMAP_THRESHOLD, 256 << 10);
#endif
}

int run(int argc, char** argv) {
  check_command_name(argc, argv);
  CLI::App app("Quantizes trained ONNX models and proves the result.", "qtool");
  style_help(app);
  app.set_version_flag("--version", version_text());
  app.require_subcommand(1);
  app.footer(
      "qtool COMMAND --help explains a command. Exit codes: 0 ok, 1 bad input or unsupported,\n"
      "2 usage, 3 a gate failed, 70 a bug in qtool.");
  Globals globals;
  std::function<int()> action;
  std::vector<std::function<int()>> actions;
  actions.reserve(commands().size());
  for (const Command& command : commands()) {
    CLI::App* sub = app.add_subcommand(command.name, command.summary);
    actions.push_back(command.declare(*sub, globals));
    sub->group("Commands");
    sub->add_flag("--json", globals.json, "machine-readable result on stdout");
    sub->add_flag("-q,--quiet", globals.quiet, "no progress, no warnings");
    // A variable that the commands share is set back to 0 by those not called, in CLI11 2.4.
    sub->add_flag_function(
        "-v", [&globals](int64_t count) { globals.verbosity = static_cast<int>(count); },
        "say more; twice: everything");
    sub->add_option("--threads", globals.threads, "threads to compute with; 0: one per core")
        ->check(CLI::Range(0, 1024));
    sub->final_callback([&globals, &action, &chosen = actions.back()] {
      set_thread_count(globals.threads);
      action = chosen;
    });
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& failure) {
    if (failure.get_exit_code() == 0) return app.exit(failure);  // --help, --version
    throw command_line_error(app, failure);
  }
  return action();
}

}  // namespace

}  // namespace qtool

int main(int argc, char** argv) {
  qtool::choose_waiting_policy(argc, argv);
  qtool::return_freed_memory();
  try {
    const int code = qtool::run(argc, argv);
    // A result that could not be written (a full disk behind a pipe) is no success.
    if (std::fflush(stdout) != 0) throw qtool::input_error("cannot write to standard output");
    return code;
  } catch (const qtool::Error& error) {
    std::fprintf(stderr, "qtool: error: %s\n", error.what());
    return qtool::exit_code(error.kind());
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "qtool: error: out of memory\n  Use a smaller batch.\n");
    return 1;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "qtool: error: %s\n  This is a bug in qtool: please report it.\n",
                 failure.what());
    return 70;
  }
}
