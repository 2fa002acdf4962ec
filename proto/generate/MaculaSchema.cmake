# macula_schema_table(NAME PREFIX p IMPORTS dir… FILES f…): the rules (library NAME_schema) and the comments (library
# NAME_schema_comments) of the .proto FILES (names relative to one of IMPORTS that begin with PREFIX) as C tables
# NAME_schema_table and NAME_schema_comments; see libmacula/codec/mac-schema-table.h. DEPENDS: all files it is made of.
function(macula_schema_table name)
  cmake_parse_arguments(A "" "PREFIX" "IMPORTS;FILES;DEPENDS" ${ARGN})
  set(generator ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/schema-table.py)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/schema)
  set(descriptors ${out}/${name}.descriptors)
  set(table ${out}/${name}-schema-table.c)
  set(comments ${out}/${name}-schema-comments.c)
  set(imports)
  foreach(import ${A_IMPORTS})
    list(APPEND imports -I ${import})
  endforeach()
  add_custom_command(
    OUTPUT ${table} ${comments} ${descriptors}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${out}
    COMMAND ${PROTOC} ${imports} --include_imports --include_source_info --descriptor_set_out=${descriptors} ${A_FILES}
    COMMAND ${MACULA_PYTHON} ${generator} ${descriptors} ${A_PREFIX} ${name} ${table} ${comments}
    DEPENDS ${A_DEPENDS} ${generator} ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/descriptors.py
    COMMENT "Generating the table of rules ${name}" VERBATIM)
  # One target makes both files: two libraries that each ran the command would race in a parallel build.
  add_custom_target(${name}_schema_files DEPENDS ${table} ${comments})
  add_library(${name}_schema STATIC ${table})
  add_library(${name}_schema_comments STATIC ${comments})
  foreach(library ${name}_schema ${name}_schema_comments)
    add_dependencies(${library} ${name}_schema_files)
    target_include_directories(${library} PUBLIC ${CMAKE_SOURCE_DIR}/libmacula)
    target_link_libraries(${library} PUBLIC macula_proto)
    target_compile_options(${library} PRIVATE -w)
  endforeach()
endfunction()
