# Debian packages through CPack: ehm (program, shared library, manual, completion) and libehm-dev (headers, pkg-config, CMake).
# `make package` builds both; tools/package_files.cmake adds what Debian asks of any package.
set(EHM_MAINTAINER "ehm developers <ehm@example.org>" CACHE STRING "who answers for the packages: NAME <ADDRESS>")
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME ehm)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "${EHM_MAINTAINER}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_SOURCE_DIR}/tools/package_files.cmake)
set(CPACK_EHM_SOURCE ${CMAKE_SOURCE_DIR})
set(CPACK_VERBATIM_VARIABLES ON)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL ehm dev)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_MAINTAINER "${EHM_MAINTAINER}")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_DEBIAN_EHM_PACKAGE_NAME ehm)
set(CPACK_DEBIAN_EHM_PACKAGE_SECTION science)
set(CPACK_DEBIAN_EHM_PACKAGE_SHLIBDEPS ON)
# Programs built on libehm.so.0 depend on the package that holds it; the loader's cache learns of it.
file(WRITE ${CMAKE_BINARY_DIR}/package/shlibs "libehm ${PROJECT_VERSION_MAJOR} ehm (>= ${PROJECT_VERSION})\n")
file(WRITE ${CMAKE_BINARY_DIR}/package/triggers "activate-noawait ldconfig\n")
set(CPACK_DEBIAN_EHM_PACKAGE_CONTROL_EXTRA ${CMAKE_BINARY_DIR}/package/shlibs ${CMAKE_BINARY_DIR}/package/triggers)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "") # the first line of each description is its summary
set(CPACK_DEBIAN_EHM_DESCRIPTION "pre-training of vision transformers on pictures
ehm pre-trains vision transformers on one's own pictures by masked image
modelling, on the processor at hand and without Python. It reads folders,
archives and array files as they are, hides patches along a hierarchy that
the model's own attention draws over each picture, or as masked autoencoders
do, and stops and resumes to the last bit.

The features are measured by nearest neighbours, linear probes, fine-tuning,
segmentation, detection and retrieval, each with intervals; models are written
in the formats of timm, transformers and torchvision.")

set(CPACK_DEBIAN_DEV_PACKAGE_NAME libehm-dev)
set(CPACK_DEBIAN_DEV_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEV_PACKAGE_DEPENDS "ehm (= ${PROJECT_VERSION}), libc6-dev")
set(CPACK_DEBIAN_DEV_DESCRIPTION "pre-training of vision transformers on pictures, development files
What is needed to build a program on libehm, the library of ehm: headers,
a pkg-config file, a CMake package and examples. The library reads pictures,
builds trees over patches, draws masks along them and runs vision transformers.")
include(CPack)
