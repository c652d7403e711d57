include(CMakeFindDependencyMacro)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_dependency(Threads)
include(${CMAKE_CURRENT_LIST_DIR}/linnetTargets.cmake)

# The static library is C++ inside but needs no C++ runtime, so that a project may link it with C alone.
get_target_property(linnet_configurations linnet::linnet IMPORTED_CONFIGURATIONS)
foreach(linnet_configuration IN LISTS linnet_configurations)
  set_property(TARGET linnet::linnet PROPERTY IMPORTED_LINK_INTERFACE_LANGUAGES_${linnet_configuration} C)
endforeach()
unset(linnet_configuration)
unset(linnet_configurations)
