# gpu/engine/torch.cmake - imported targets for libtorch from the wheel in ${KAIRO_CACHE}/site.
# Only torch_cpu and c10 are linked: libtorch.so would pull in every CUDA library.
set(KAIRO_SITE "${KAIRO_CACHE}/site" CACHE PATH "Folder that holds torch/ and nvidia/ (make deps)")
if(NOT EXISTS "${KAIRO_SITE}/torch/lib/libtorch_cpu.so")
  message(FATAL_ERROR "no libtorch in ${KAIRO_SITE}: run `make deps`, or configure with -DKAIRO_GPU=OFF")
endif()
function(kairo_import name file)
  add_library(${name} SHARED IMPORTED GLOBAL)
  set_property(TARGET ${name} PROPERTY IMPORTED_LOCATION "${file}")
endfunction()
kairo_import(torch::c10 "${KAIRO_SITE}/torch/lib/libc10.so")
target_include_directories(torch::c10 SYSTEM INTERFACE
  "${KAIRO_SITE}/torch/include" "${KAIRO_SITE}/torch/include/torch/csrc/api/include")
target_compile_options(torch::c10 INTERFACE "-ffile-prefix-map=${KAIRO_SITE}=site")  # in its checks' texts
kairo_import(torch::cpu "${KAIRO_SITE}/torch/lib/libtorch_cpu.so")
target_link_libraries(torch::cpu INTERFACE torch::c10)
# torch/lib first: its libgomp must be the only OpenMP runtime of the process.
set(KAIRO_TORCH_RPATH "${KAIRO_SITE}/torch/lib;${KAIRO_SITE}/nvidia/cu13/lib")
# Programs that link the engine: kairo_uses_torch(target).
function(kairo_uses_torch target)
  set_target_properties(${target} PROPERTIES BUILD_RPATH "${KAIRO_TORCH_RPATH}")
endfunction()
