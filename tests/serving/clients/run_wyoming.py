"""Runs wyoming_openai with its arguments, also on Python 3.10 and 3.11, for which it is not made.

There its functions are compiled without type parameters (PEP 695), which have no effect when it
runs, and with annotations that nothing evaluates.
"""

import __future__

import importlib.machinery
import re
import runpy
import sys

PACKAGE = "wyoming_openai"
TYPE_PARAMETERS = re.compile(rb"(\bdef \w+)\[[^\]]+\]\(")


class Finder:
    """Finds the package's modules, for the loader below."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        spec = None
        if name.partition(".")[0] == PACKAGE:
            spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = Loader(name, spec.origin)
        return spec


class Loader(importlib.machinery.SourceFileLoader):
    """Compiles without type parameters."""

    def get_code(self, fullname):
        source = TYPE_PARAMETERS.sub(rb"\1(", self.get_data(self.path))
        return compile(source, self.path, "exec", __future__.annotations.compiler_flag,
                       dont_inherit=True)


if sys.version_info < (3, 12):
    sys.meta_path.insert(0, Finder)

runpy.run_module(PACKAGE, run_name="__main__")
