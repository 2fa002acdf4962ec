# Warnings, hardening and sanitizers: one place for every target.
add_compile_definitions(_GNU_SOURCE MACULA_VERSION="${PROJECT_VERSION}")
add_compile_options(-Wall -Wextra -Werror -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes
                    -Wmissing-prototypes -Wwrite-strings -Wvla -Wformat=2 -fno-common -fstack-protector-strong)
add_link_options(-Wl,--as-needed -Wl,-z,relro -Wl,-z,now)
add_compile_options(-ffunction-sections -fdata-sections)
add_link_options(-Wl,--gc-sections)
# The tables of the messages are full of pointers. As a list, their relocations take 130 kB of every process; packed, some
# hundred bytes.
include(CheckLinkerFlag)
check_linker_flag(C "-Wl,-z,pack-relative-relocs" MACULA_PACKS_RELOCATIONS)
if(MACULA_PACKS_RELOCATIONS)
  add_link_options(-Wl,-z,pack-relative-relocs)
endif()

if(MACULA_FAULTS)
  add_compile_definitions(MAC_FAULTS=1)
endif()
if(MACULA_SANITIZE)
  add_compile_options(-fsanitize=${MACULA_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${MACULA_SANITIZE})
  add_compile_definitions(MACULA_SANITIZED=1)
endif()
if(MACULA_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "libFuzzer needs clang: use the preset 'fuzz'")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
