# llama.cpp without its command-line helpers: half the build time, nothing that distil-sql uses is missing.
set(LLAMA_BUILD_COMMON OFF)
