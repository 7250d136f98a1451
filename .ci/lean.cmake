# llama.cpp without its command-line helpers: half the build time, nothing that distil-sql uses is missing.
set(LLAMA_BUILD_COMMON OFF)

# And without AMX: gcc before 12.4 and 13.3 compiles its tiles into code that crashes (gcc bug 114098), so distil-sql does
# not use them; a build that has none reads q4_0 weights in the order of AVX, a quarter faster.
include(CheckCCompilerFlag)
set(no_amx "-mno-amx-tile -mno-amx-int8 -mno-amx-bf16")
check_c_compiler_flag("${no_amx}" KNOWS_AMX)
if(KNOWS_AMX AND NOT CMAKE_C_FLAGS MATCHES "-mno-amx-tile")
    string(APPEND CMAKE_C_FLAGS " ${no_amx}")
    string(APPEND CMAKE_CXX_FLAGS " ${no_amx}")
endif()
