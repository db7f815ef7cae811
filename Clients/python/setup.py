"""Takes the version from the checkout, where it is written once, and writes it into what is built. The rest is in pyproject.toml."""

import pathlib
import runpy

from setuptools import setup
from setuptools.command.build_py import build_py

VERSION = runpy.run_path(str(pathlib.Path(__file__).resolve().parent / "src/simplerpc/_version.py"))["__version__"]


class Build(build_py):
    def build_module(self, module, module_file, package):
        built = super().build_module(module, module_file, package)
        if module == "_version":
            pathlib.Path(built[0]).write_text(f'__version__ = "{VERSION}"\n')
        return built


setup(version=VERSION, cmdclass={"build_py": Build})
