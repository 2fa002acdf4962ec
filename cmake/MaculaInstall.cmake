# What is installed beside the programs (macula_program) and the man pages (cli/): components `node` and `development`.
# The programs find each other relative to themselves (libmacula/base/mac-program.h), so those paths are fixed.
file(GLOB MACULA_UNITS CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/services/units/*.yaml)
install(FILES ${MACULA_UNITS} DESTINATION lib/macula/units COMPONENT node)

# For services that are built elsewhere: one archive of all modules, without a shared library (docs/packages.md says why).
set(MACULA_MODULES mac_service mac_bus mac_nats mac_http mac_worker_main mac_flow mac_release mac_hashtree mac_boot mac_codec mac_store mac_crypto mac_fs
                   mac_log mac_base macula_schema macula_proto)
set(objects)
foreach(module ${MACULA_MODULES})
  list(APPEND objects $<TARGET_OBJECTS:${module}>)
endforeach()
add_library(macula STATIC ${objects})
set_target_properties(macula PROPERTIES LINKER_LANGUAGE C)
add_dependencies(macula ${MACULA_MODULES})
install(TARGETS macula DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)

set(HEADERS ${CMAKE_INSTALL_INCLUDEDIR}/libmacula)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/libmacula/ DESTINATION ${HEADERS} COMPONENT development
        FILES_MATCHING PATTERN "mac-*.h" PATTERN "*-internal.h" EXCLUDE PATTERN "fuzz-corpus-*" EXCLUDE)
install(DIRECTORY ${CMAKE_BINARY_DIR}/proto/c/ DESTINATION ${HEADERS} COMPONENT development
        FILES_MATCHING PATTERN "*.pb-c.h")
install(DIRECTORY ${CMAKE_SOURCE_DIR}/proto/macula DESTINATION ${CMAKE_INSTALL_DATADIR}/maculaos/proto COMPONENT development
        FILES_MATCHING PATTERN "*.proto")
configure_file(${CMAKE_SOURCE_DIR}/cmake/libmacula.pc.in ${CMAKE_BINARY_DIR}/libmacula.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/libmacula.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
