# cmake -DOUT=FILE.c -DFILES=a.sql,b.sql -P embed_sql.cmake
# Writes the files, in the given order, as the array that src/cli/install_sql.h declares. By their
# bytes in hex, as quoting SQL for C by regular expressions is a trap.
string(REPLACE "," ";" files "${FILES}")
set(arrays "")
set(rows "")
set(number 0)
foreach(file IN LISTS files)
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "(................................................................................)"
                       "    \\1\n" bytes "${bytes}")
  get_filename_component(name ${file} NAME)
  string(APPEND arrays "static const char file_${number}[] = {\n${bytes}\n0};\n")
  string(APPEND rows "    {\"${name}\", file_${number}},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUT} "/* Made from sql/ by cmake/embed_sql.cmake. */\n#include \"install_sql.h\"\n\n${arrays}\n"
                  "const struct sql_file install_sql[] = {\n${rows}    {0},\n};\n")
