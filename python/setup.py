"""Builds libehm.so with CMake and puts it into the wheel, which then fits any Python 3 of this machine.

The C sources are those of the repository that this folder lies in. EHM_CMAKE_ARGS adds options for CMake, such as
"-DEHM_TIFF=OFF"; MAX_JOBS says how many compilers run at once.
"""

import os
import pathlib
import re
import shlex
import shutil
import subprocess

from setuptools import Command, setup
from setuptools.command.build import build
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.dist import Distribution

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
CMAKE_LEAST = (3, 25)


def root() -> pathlib.Path:
    if not (ROOT / "CMakeLists.txt").is_file() or not (ROOT / "src" / "api").is_dir():
        raise SystemExit(f"ehm: the C sources are not in {ROOT}: install from a checkout of the whole repository, as pip install ./python")
    return ROOT


def cmake_is_there() -> bool:
    program = shutil.which("cmake")
    if not program:
        return False
    text = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"(\d+)\.(\d+)", text)
    return bool(found) and (int(found.group(1)), int(found.group(2))) >= CMAKE_LEAST


class build_library(Command):
    """libehm.so, into the package's build folder."""

    description = "build libehm.so with CMake"
    user_options: list = []

    def initialize_options(self) -> None:
        self.build_lib = None
        self.build_base = None
        self.editable_mode = False

    def finalize_options(self) -> None:
        self.set_undefined_options("build", ("build_lib", "build_lib"), ("build_base", "build_base"))

    def run(self) -> None:
        made = pathlib.Path(self.build_base).resolve() / "libehm"
        made.mkdir(parents=True, exist_ok=True)
        jobs = os.environ.get("MAX_JOBS") or str(len(os.sched_getaffinity(0)))
        options = ["-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_C_FLAGS_RELEASE=-O2", "-DEHM_TESTS=OFF"]
        subprocess.run(["cmake", "-S", str(root()), "-B", str(made), *options, *shlex.split(os.environ.get("EHM_CMAKE_ARGS", ""))], check=True)
        subprocess.run(["cmake", "--build", str(made), "--target", "ehm_shared", "-j", jobs], check=True)
        to = (HERE if self.editable_mode else pathlib.Path(self.build_lib).resolve()) / "ehm" / "libehm.so"
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(made / "libehm.so", to)

    def get_source_files(self) -> list:
        return []

    def get_outputs(self) -> list:
        return [] if self.editable_mode else [str(pathlib.Path(self.build_lib) / "ehm" / "libehm.so")]

    def get_output_mapping(self) -> dict:
        return {}


build.sub_commands = [*build.sub_commands, ("build_library", None)]


class WithLibrary(Distribution):
    """Pure Python by its sources, but not by what is in the wheel."""

    def has_ext_modules(self) -> bool:
        return True


class wheel_of_any_python(bdist_wheel):
    """ctypes calls the library: no Python's own interface is involved."""

    def get_tag(self) -> tuple:
        return ("py3", "none", super().get_tag()[2])


(ROOT / "build" / "python").mkdir(parents=True, exist_ok=True)
setup(
    version=(root() / "VERSION").read_text(encoding="utf-8").split()[0],
    setup_requires=[] if cmake_is_there() else ["cmake>=3.25"],
    cmdclass={"build_library": build_library, "bdist_wheel": wheel_of_any_python},
    distclass=WithLibrary,
)
