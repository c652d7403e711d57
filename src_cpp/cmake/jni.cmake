# linnet_jni: the Java binding with the whole library in it. It needs no C++ runtime and exports only what Java calls.
add_library(linnet_jni SHARED bindings/jni/jni.cpp $<TARGET_OBJECTS:linnet_objects>)
set_target_properties(linnet_jni PROPERTIES LINKER_LANGUAGE C)
target_include_directories(linnet_jni PRIVATE include)
target_link_libraries(linnet_jni PRIVATE linnet_flags)
if(LINNET_MATH_LIBRARY)
  target_link_libraries(linnet_jni PRIVATE m)
endif()
if(NOT MSVC)
  target_compile_options(linnet_jni PRIVATE -fno-exceptions -fno-rtti)
endif()

if(NOT ANDROID)  # the NDK has jni.h among its own headers; a JDK's serve every processor of its system
  find_program(LINNET_JAVAC javac HINTS ENV JAVA_HOME PATH_SUFFIXES bin NO_CMAKE_FIND_ROOT_PATH)
  if(LINNET_JAVAC)
    file(REAL_PATH "${LINNET_JAVAC}" javac)
    get_filename_component(jdk_programs "${javac}" DIRECTORY)
  endif()
  find_path(LINNET_JNI_INCLUDE jni.h HINTS $ENV{JAVA_HOME}/include "${jdk_programs}/../include" REQUIRED
    NO_CMAKE_FIND_ROOT_PATH)
  find_path(LINNET_JNI_MD_INCLUDE jni_md.h HINTS ${LINNET_JNI_INCLUDE} PATH_SUFFIXES linux darwin win32 REQUIRED
    NO_CMAKE_FIND_ROOT_PATH)
  mark_as_advanced(LINNET_JAVAC LINNET_JNI_INCLUDE LINNET_JNI_MD_INCLUDE)
  target_include_directories(linnet_jni SYSTEM PRIVATE ${LINNET_JNI_INCLUDE} ${LINNET_JNI_MD_INCLUDE})
endif()

if(APPLE)
  target_link_options(linnet_jni PRIVATE LINKER:-exported_symbol,_Java_*)
elseif(UNIX)
  set(jni_exports ${CMAKE_CURRENT_SOURCE_DIR}/cmake/jni_exports.map)
  target_link_options(linnet_jni PRIVATE LINKER:--version-script=${jni_exports})
  if(NOT LINNET_SANITIZE AND NOT LINNET_BUILD_FUZZER)
    target_link_options(linnet_jni PRIVATE LINKER:--no-undefined)
  endif()
  set_target_properties(linnet_jni PROPERTIES LINK_DEPENDS ${jni_exports})
endif()
install(TARGETS linnet_jni LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
