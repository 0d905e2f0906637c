# What `cmake --install build/release --prefix P` puts in place: the program, the extension for OpenVINO, the library that
# reads recipes and codes with its headers, and a CMake package that finds them (docs/reference/cpp.md).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

target_include_directories(dnateq_core INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
target_compile_features(dnateq_core INTERFACE cxx_std_20)
add_library(dnateq::core ALIAS dnateq_core)
set_target_properties(dnateq_core PROPERTIES EXPORT_NAME core)
set_target_properties(dnateq PROPERTIES EXPORT_NAME program)
set_target_properties(dnateq_openvino_extension PROPERTIES EXPORT_NAME openvino_extension)
set_target_properties(dnateq dnateq_openvino_extension PROPERTIES
                      INSTALL_RPATH "$<TARGET_FILE_DIR:openvino::runtime>;$<TARGET_FILE_DIR:TBB::tbb>")

install(TARGETS dnateq_core dnateq dnateq_openvino_extension EXPORT dnateq-targets)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/dnateq)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/dnateq-config.cmake.in ${CMAKE_BINARY_DIR}/dnateq-config.cmake
                              INSTALL_DESTINATION ${package} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/dnateq-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/dnateq-config.cmake ${CMAKE_BINARY_DIR}/dnateq-config-version.cmake DESTINATION ${package})
install(EXPORT dnateq-targets NAMESPACE dnateq:: DESTINATION ${package})
