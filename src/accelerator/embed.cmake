# Writes OUTPUT, a C++ file that defines kDefaultConfig from CONFIG and kDefaultEnergyTable from ENERGIES, so that the program needs
# no files. Byte arrays, not string literals: no limit on their length, nothing to escape.
function(bytes_of file result)
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes ${hex})
  string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n"
         bytes ${bytes})
  set(${result} ${bytes} PARENT_SCOPE)
endfunction()

bytes_of(${CONFIG} config)
bytes_of(${ENERGIES} energies)
get_filename_component(energies_name ${ENERGIES} NAME)
file(WRITE ${OUTPUT} "// Written by embed.cmake.
#include \"accelerator/parse.h\"

namespace dnateq::accelerator {
namespace {
constexpr unsigned char kConfig[] = {
${config}
};
constexpr unsigned char kEnergies[] = {
${energies}
};
}  // namespace

const std::string_view kDefaultConfig(reinterpret_cast<const char*>(kConfig), sizeof kConfig);
const std::string_view kDefaultEnergyTable(reinterpret_cast<const char*>(kEnergies), sizeof kEnergies);
const std::string_view kDefaultEnergyTableName = \"built-in ${energies_name}\";

}  // namespace dnateq::accelerator
")
