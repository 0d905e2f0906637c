# Writes OUTPUT, a C++ file that defines dnateq::kReportTemplate, from SOURCE_DIR's template.html, report.css, plots.js
# and report.js. A byte array, not a string literal: no limit on its length, nothing to escape.
function(hex_of text result)
  string(HEX "${text}" hex)
  set(${result} ${hex} PARENT_SCOPE)
endfunction()

# Everything is read and joined as hexadecimal digits: CMake's own strings would touch `;`, `[` and `\`.
file(READ ${SOURCE_DIR}/template.html page HEX)
foreach(part report.css plots.js report.js)
  file(READ ${SOURCE_DIR}/${part} body HEX)
  hex_of("@${part}@" marker)
  string(FIND ${page} ${marker} at)
  if(at EQUAL -1)
    message(FATAL_ERROR "template.html lacks @${part}@")
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

const std::string_view kReportTemplate(reinterpret_cast<const char*>(kBytes), sizeof kBytes);

}  // namespace dnateq
")
