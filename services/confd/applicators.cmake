# The applicators, as a library that confd's core links, its worker, and their tests. Included by CMakeLists.txt.
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)

set(CONFD_APPLICATOR_SOURCES
    confd-accounts.c confd-applicator.c confd-applicators.c confd-apply-commands.c confd-apply-environment.c
    confd-apply-files.c confd-apply-hostname.c confd-apply-k3s.c confd-apply-kernel.c confd-apply-ntp.c
    confd-apply-settings.c confd-apply-ssh.c confd-apply-users.c confd-content.c confd-files.c confd-keycache.c
    confd-keyfetch.c confd-manifest.c confd-run.c confd-sshkeys.c confd-sys-linux.c confd-sys-record.c confd-sys.c
    confd-undo.c)
macula_library(confd_apply SOURCES ${CONFD_APPLICATOR_SOURCES}
               LINK mac_base mac_log mac_fs mac_crypto mac_codec mac_flow macula_proto PkgConfig::UV PkgConfig::JANSSON
                    PkgConfig::ZLIB)
macula_program(confd-worker SOURCES confd-worker.c confd-sshkeys.c
               LINK mac_worker_main mac_http mac_crypto mac_base macula_proto)
