# Everything a node runs, without the tests: `ninja programs`.
add_custom_target(programs)

# macula_library(NAME SOURCES … LINK …): a static library of the suite; headers are included as "codec/mac-codec.h".
function(macula_library name)
  cmake_parse_arguments(A "" "" "SOURCES;LINK" ${ARGN})
  add_library(${name} STATIC ${A_SOURCES})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR}/libmacula ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${A_LINK})
endfunction()

# macula_program(NAME SOURCES … LINK … [DESTINATION bin]): an executable in build/bin. Installed into libexec/macula,
# where the programs of the suite find each other, unless it says otherwise; not at all when it is part of a test.
function(macula_program name)
  cmake_parse_arguments(A "" "DESTINATION" "SOURCES;LINK" ${ARGN})
  if(NOT A_DESTINATION)
    set(A_DESTINATION libexec/macula)
  endif()
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE ${A_LINK})
  add_dependencies(programs ${name})
  if(NOT name MATCHES "^(test|bench)-")
    install(TARGETS ${name} DESTINATION ${A_DESTINATION} COMPONENT node)
  endif()
endfunction()

# macula_test(NAME SOURCES … LINK … [LABELS …] [TIMEOUT s]): a cmocka program that ctest runs.
function(macula_test name)
  if(NOT MACULA_TESTS)
    return()
  endif()
  cmake_parse_arguments(A "" "TIMEOUT" "SOURCES;LINK;LABELS" ${ARGN})
  add_executable(${name} ${A_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/test)
  target_link_libraries(${name} PRIVATE ${A_LINK} PkgConfig::CMOCKA)
  add_test(NAME ${name} COMMAND ${MACULA_MEMCHECK} $<TARGET_FILE:${name}>)
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 180)
  endif()
  if(MACULA_MEMCHECK)
    math(EXPR A_TIMEOUT "${A_TIMEOUT} * 20")
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${A_TIMEOUT} LABELS "unit;${A_LABELS}"
    ENVIRONMENT "MACULA_SOURCE_DIR=${CMAKE_SOURCE_DIR};MACULA_BIN_DIR=${CMAKE_RUNTIME_OUTPUT_DIRECTORY}"
    # nats-server is in /usr/sbin, which is not on an ordinary user's path.
    ENVIRONMENT_MODIFICATION "PATH=path_list_append:/usr/sbin")
endfunction()

# macula_fuzz(NAME SOURCES … LINK … CORPUS dir): LLVMFuzzerTestOneInput in SOURCES. With MACULA_FUZZ a libFuzzer
# program in build/fuzz; otherwise a program that replays every file of the corpus as a plain test.
function(macula_fuzz name)
  if(NOT MACULA_TESTS)
    return()
  endif()
  cmake_parse_arguments(A "" "CORPUS" "SOURCES;LINK" ${ARGN})
  set_property(GLOBAL APPEND PROPERTY MACULA_FUZZ_TARGETS ${name})
  if(MACULA_FUZZ)
    add_executable(${name} ${A_SOURCES})
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  else()
    add_executable(${name} ${A_SOURCES} ${CMAKE_SOURCE_DIR}/test/fuzz/fuzz-replay.c)
    add_test(NAME ${name} COMMAND ${name} ${A_CORPUS})
    set_tests_properties(${name} PROPERTIES TIMEOUT 120 LABELS "fuzz")
  endif()
  target_compile_options(${name} PRIVATE -UNDEBUG) # their assertions are the test, in a release too
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  target_link_libraries(${name} PRIVATE ${A_LINK})
endfunction()
