# cmake -DOUT=FILE.c -DFILES=a.sql,b.sql -DHEADER=h.h -DTYPE=sql_file -DARRAY=install_sql -P embed.cmake
# Writes text files, in the given order, as the array of {name, text} that the header declares. By
# their bytes in hex, as quoting them for C by regular expressions is a trap.
string(REPLACE "," ";" files "${FILES}")
set(arrays "")
set(rows "")
set(number 0)
foreach(file IN LISTS files)
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${hex}")
  string(REGEX REPLACE "(....................................................................................)"
                       "    \\1\n" bytes "${bytes}")
  get_filename_component(name ${file} NAME)
  string(APPEND arrays "static const char file_${number}[] = {\n${bytes}\n0};\n")
  string(APPEND rows "    {\"${name}\", file_${number}},\n")
  math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUT} "/* Made by cmake/embed.cmake. */\n#include \"${HEADER}\"\n\n${arrays}\n"
                  "const struct ${TYPE} ${ARRAY}[] = {\n${rows}    {0},\n};\n")
