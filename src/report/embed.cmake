# Writes OUTPUT, a C++ file that defines dnateq::NAME, from SOURCE_DIR's page TEMPLATE with the files PARTS (a list parted by
# commas) put in where it says @FILE@. A byte array, not a string literal: no limit on its length, nothing to escape.
function(hex_of text result)
  string(HEX "${text}" hex)
  set(${result} ${hex} PARENT_SCOPE)
endfunction()

# Everything is read and joined as hexadecimal digits: CMake's own strings would touch `;`, `[` and `\`.
file(READ ${SOURCE_DIR}/${TEMPLATE} page HEX)
string(REPLACE "," ";" PARTS ${PARTS})
foreach(part ${PARTS})
  file(READ ${SOURCE_DIR}/${part} body HEX)
  hex_of("@${part}@" marker)
  string(FIND ${page} ${marker} at)
  if(at EQUAL -1)
    message(FATAL_ERROR "${TEMPLATE} lacks @${part}@")
  endif()
  string(REPLACE ${marker} ${body} page ${page})
endforeach()

string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes ${page})
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n"
       bytes ${bytes})
file(WRITE ${OUTPUT} "// Written by embed.cmake.
#include \"report/page.h\"

namespace dnateq {
namespace {
constexpr unsigned char kBytes[] = {
${bytes}
};
}  // namespace

const std::string_view ${NAME}(reinterpret_cast<const char*>(kBytes), sizeof kBytes);

}  // namespace dnateq
")
