# The applicators, as a library that confd's core links, its worker, and their tests. Included by CMakeLists.txt.
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)

set(CONFD_APPLICATOR_SOURCES
    confd-accounts.c confd-applicator.c confd-applicators.c confd-apply-commands.c confd-apply-environment.c
    confd-apply-files.c confd-apply-hostname.c confd-apply-init.c confd-apply-k3s.c confd-apply-kernel.c confd-apply-ntp.c
    confd-apply-settings.c confd-apply-ssh.c confd-apply-users.c confd-content.c confd-files.c confd-keycache.c confd-keykept.c
    confd-keyfetch.c confd-manifest.c confd-run.c confd-sshkeys.c confd-sys-linux.c confd-sys-record.c confd-sys.c
    confd-target.c confd-undo.c)
macula_library(confd_apply SOURCES ${CONFD_APPLICATOR_SOURCES}
               LINK mac_base mac_log mac_fs mac_crypto mac_codec mac_flow mac_nats macula_proto PkgConfig::UV PkgConfig::JANSSON
                    PkgConfig::ZLIB)
macula_program(confd-worker SOURCES confd-worker.c confd-password-hash.c confd-sshkeys.c
               LINK mac_worker_main mac_http mac_crypto mac_base macula_proto)

# Strings of protobuf-c's structs are not const; in tests they are constants.
function(confd_apply_test name)
  macula_test(${name} SOURCES ${name}.c test-confd-sandbox.c LINK confd_apply)
  if(MACULA_TESTS)
    target_compile_options(${name} PRIVATE -Wno-write-strings)
    add_dependencies(${name} confd-worker)
  endif()
endfunction()
confd_apply_test(test-confd-run)
confd_apply_test(test-confd-sys)
confd_apply_test(test-confd-apply-system)
confd_apply_test(test-confd-apply-users)
confd_apply_test(test-confd-apply-files)
confd_apply_test(test-confd-apply-commands)
confd_apply_test(test-confd-apply-init)
confd_apply_test(test-confd-apply-ssh)
confd_apply_test(test-confd-sshkeys)

foreach(noun sshkeys accounts content)
  macula_fuzz(fuzz-confd-${noun} SOURCES fuzz-confd-${noun}.c LINK confd_apply
              CORPUS ${CMAKE_CURRENT_SOURCE_DIR}/fuzz-corpus-confd-${noun})
endforeach()
