// dnateq measure-ram, of which a job starts one for each model: a process of its own, so that the bytes are the
// model's.
#include <fmt/format.h>

#include <memory>

#include "cli/commands.h"
#include "job/memory_job.h"

namespace dnateq {

Command add_measure_ram(CLI::App& app, Session& /*session*/) {
  const auto model = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand("measure-ram", "")->group("");
  command->add_option("model", *model)->required();
  return {command, [model](const Session&) {
            fmt::print("{}\n", resident_bytes_of(*model));
            return 0;
          }};
}

}  // namespace dnateq
