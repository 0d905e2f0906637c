// dnateq report.
#include <fmt/format.h>

#include <memory>

#include "cli/commands.h"
#include "cli/printing.h"
#include "job/report_job.h"

namespace dnateq {
namespace {

int run_report(const std::string& directory, const Session& session) {
  const std::string page = run_report_job(directory).string();
  if (session.json)
    print_json({{"report", page}});
  else
    fmt::print("{}\n", page);
  return 0;
}

}  // namespace

Command add_report(CLI::App& app, Session& session) {
  const auto path = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("report", "write DIR/report.html again");
  command->footer("Example: dnateq report out");
  command->add_option("dir", *path, "result folder")->required();
  add_common(*command, session);
  return {command, [path](const Session& own) { return run_report(*path, own); }};
}

}  // namespace dnateq
