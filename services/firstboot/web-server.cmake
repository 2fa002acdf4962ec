# firstboot_web: libmicrohttpd without TLS (firstboot-no-tls.c) where its static archive wants no name that is not there, else the
# shared one, which is larger in memory and otherwise the same.
find_library(MICROHTTPD_ARCHIVE libmicrohttpd.a HINTS ${MICROHTTPD_LIBRARY_DIRS})
add_library(firstboot_web INTERFACE)
target_include_directories(firstboot_web INTERFACE ${MICROHTTPD_INCLUDE_DIRS})
if(MICROHTTPD_ARCHIVE AND NOT DEFINED FIRSTBOOT_WITHOUT_TLS)
  set(PROBE ${CMAKE_CURRENT_BINARY_DIR}/web-server-probe)
  file(WRITE ${PROBE}.c "int main(void) { return 0; }\n")
  try_compile(FIRSTBOOT_WITHOUT_TLS ${PROBE} SOURCES ${PROBE}.c ${CMAKE_CURRENT_SOURCE_DIR}/firstboot-no-tls.c
    LINK_LIBRARIES -Wl,--whole-archive ${MICROHTTPD_ARCHIVE} -Wl,--no-whole-archive -pthread)
endif()
if(FIRSTBOOT_WITHOUT_TLS)
  add_library(firstboot_no_tls STATIC firstboot-no-tls.c)
  target_link_libraries(firstboot_web INTERFACE ${MICROHTTPD_ARCHIVE} firstboot_no_tls)
else()
  message(STATUS "firstboot brings libgnutls with it: libmicrohttpd is linked as a shared library")
  target_link_libraries(firstboot_web INTERFACE PkgConfig::MICROHTTPD)
endif()
