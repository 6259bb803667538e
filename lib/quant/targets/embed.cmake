# Writes OUTPUT, a C++ source with the text of each YAML file of INPUTS (";"-separated), as the function
# FUNCTION that HEADER declares.
set(text "// Made by targets/embed.cmake.\n#include \"${HEADER}\"\n\nnamespace qtool {\n\n")
string(APPEND text "const std::map<std::string, std::string_view>& ${FUNCTION}() {\n")
string(APPEND text "  static const std::map<std::string, std::string_view> files = {\n")
foreach(file ${INPUTS})
  get_filename_component(name ${file} NAME_WE)
  file(READ ${file} yaml)
  string(APPEND text "      {\"${name}\", R\"yaml(${yaml})yaml\"},\n")
endforeach()
string(APPEND text "  };\n  return files;\n}\n\n}  // namespace qtool\n")
file(WRITE ${OUTPUT} "${text}")
