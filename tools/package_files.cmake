# Run by CPack over the files that are about to be packed: what Debian asks of any package, and the documents that README.md points to.
# Manual pages are compressed, there is a changelog and a copyright file, and the licence itself, which every Debian has, is left out.
set(root ${CPACK_TEMPORARY_DIRECTORY})
set(contact "${CPACK_DEBIAN_PACKAGE_MAINTAINER}")
find_program(gzip gzip REQUIRED)

# One date for all, so that the same sources make the same package.
set(date "$ENV{SOURCE_DATE_EPOCH}")
if(date STREQUAL "")
  execute_process(COMMAND git -C ${CPACK_EHM_SOURCE} log -1 --format=%ct OUTPUT_VARIABLE date OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(date STREQUAL "")
  string(TIMESTAMP date %s)
endif()
execute_process(COMMAND env LC_ALL=C date -u -R -d @${date} OUTPUT_VARIABLE date OUTPUT_STRIP_TRAILING_WHITESPACE
                COMMAND_ERROR_IS_FATAL ANY)

function(compress)
  foreach(f ${ARGN})
    execute_process(COMMAND ${gzip} -9nf ${f} COMMAND_ERROR_IS_FATAL ANY)
  endforeach()
endfunction()

function(add_papers package component)
  set(doc ${root}/${component}/usr/share/doc/${package})
  file(WRITE ${doc}/changelog "ehm (${CPACK_PACKAGE_VERSION}) unstable; urgency=medium

  * Version ${CPACK_PACKAGE_VERSION}; what changed is in NEWS.gz of the package ehm.

 -- ${contact}  ${date}
")
  compress(${doc}/changelog)
  file(WRITE ${doc}/copyright "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: ehm
Upstream-Contact: ${contact}

Files: *
Copyright: 2026 ehm developers
License: Apache-2.0
 On Debian systems, the complete text of the Apache License, version 2.0, is in
 /usr/share/common-licenses/Apache-2.0.
")
endfunction()

add_papers(ehm ehm)
add_papers(libehm-dev dev)
file(GLOB pages ${root}/ehm/usr/share/man/man1/*.1)
compress(${pages})
file(REMOVE ${root}/ehm/usr/share/doc/ehm/LICENSE)
file(READ ${CPACK_EHM_SOURCE}/CHANGELOG.md news)
file(WRITE ${root}/ehm/usr/share/doc/ehm/NEWS "${news}")
compress(${root}/ehm/usr/share/doc/ehm/NEWS)
file(COPY ${CPACK_EHM_SOURCE}/docs DESTINATION ${root}/ehm/usr/share/doc/ehm PATTERN decisions EXCLUDE)
file(GLOB examples ${CPACK_EHM_SOURCE}/examples/*.c)
file(COPY ${examples} DESTINATION ${root}/dev/usr/share/doc/libehm-dev/examples)
execute_process(COMMAND chmod -R u=rwX,go=rX ${root}/ehm ${root}/dev COMMAND_ERROR_IS_FATAL ANY)

file(WRITE ${root}/ehm/usr/share/lintian/overrides/ehm "# The library goes with the program, which is what most install.
ehm: package-name-doesnt-match-sonames libehm0
# CPack calls ldconfig where a package has a library; the trigger does the same.
ehm: maintscript-calls-ldconfig *
")
