"""An operator's Python package: the digest of its sources, and its modules run from the very bytes that were hashed.

Covered: every `.py` of the module's top-level package, also where it is imported late. Not covered: what it imports
from other packages, which this process keeps as it first found them.
"""

import hashlib
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module, invalidate_caches
from importlib.abc import MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, SourceFileLoader
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

_INIT = "__init__.py"


class _Loader(SourceFileLoader):
    """Neither reads the file again nor trusts what Python compiled of it before, which goes by its time and size."""

    def __init__(self, name: str, path: Path, source: bytes) -> None:
        super().__init__(name, str(path))
        self._source = source

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - importlib calls it so
        code: CodeType = self.source_to_code(self._source, self.path)
        return code


class Package(MetaPathFinder):
    """Its modules are nowhere but here: `sys.modules` has them only while one of them runs, so that two versions of a
    package can be used by one process."""

    def __init__(self, name: str, sources: Mapping[str, tuple[Path, bytes]]) -> None:
        self.name = name
        self._sources = sources
        """By the module's name."""
        self._modules: dict[str, ModuleType] = {}
        lines = (f"{name}\0{hashlib.sha256(sources[name][1]).hexdigest()}\n" for name in sorted(sources))
        self.sha256 = hashlib.sha256("".join(lines).encode()).hexdigest()

    @contextmanager
    def running(self) -> Iterator[None]:
        others = self._take_out()
        sys.modules.update(self._modules)
        sys.meta_path.insert(0, self)
        try:
            yield
        finally:
            sys.meta_path.remove(self)
            self._modules = self._take_out()
            sys.modules.update(others)

    def load(self, module: str) -> ModuleType:
        with self.running():
            return import_module(module)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - importlib calls it so
        target: ModuleType | None = None,  # noqa: ARG002 - importlib calls it so
    ) -> ModuleSpec | None:
        if fullname not in self._sources:
            return None
        file, source = self._sources[fullname]
        inner = [str(file.parent)] if file.name == _INIT else None
        loader = _Loader(fullname, file, source)
        return spec_from_file_location(fullname, file, loader=loader, submodule_search_locations=inner)

    def _take_out(self) -> dict[str, ModuleType]:
        names = [name for name in list(sys.modules) if name == self.name or name.startswith(f"{self.name}.")]
        return {name: sys.modules.pop(name) for name in names}


def read_package(module: str) -> Package:
    """The top-level package of a module, without running any of it. ImportError where there are no sources to read."""
    name = module.partition(".")[0]
    # A process that has run for hours is to see a file that was put there since.
    invalidate_caches()
    try:
        spec = find_spec(name)
    except ValueError:  # as of `__main__`
        spec = None
    if spec is None:
        raise ModuleNotFoundError(f"there is no module {name}")
    sources = dict(_read_sources(name, spec))
    if not sources:
        raise ImportError(f"{name} has no source in Python that could be told from another version of it")
    return Package(name, sources)


def check_is_installed(module: str) -> None:
    """Whether an isolated interpreter finds it, as a runtime has to: there neither PYTHONPATH counts nor the folder in
    which a command was typed. Raises ModuleNotFoundError."""
    name = module.partition(".")[0]
    find = "import sys; from importlib.util import find_spec; sys.exit(find_spec(sys.argv[1]) is None)"
    ran = subprocess.run([sys.executable, "-I", "-c", find, name], check=False)  # noqa: S603 - our own line, and a name
    if ran.returncode:
        raise ModuleNotFoundError(f"there is no module {name} where trainings run, which heed no PYTHONPATH")


def _read_sources(name: str, spec: ModuleSpec) -> Iterator[tuple[str, tuple[Path, bytes]]]:
    if spec.submodule_search_locations is None:
        file = Path(spec.origin or "")
        if file.suffix == ".py" and file.is_file():
            yield name, (file, file.read_bytes())
        return
    for folder in map(Path, spec.submodule_search_locations):
        for file in sorted(folder.rglob("*")):
            if file.name.endswith(tuple(EXTENSION_SUFFIXES)):
                raise ImportError(
                    f"{name} has compiled parts, as {file.name}; let the function stand in a package without, which"
                    " imports it"
                )
            if file.suffix == ".py":
                yield _name_module(name, file.relative_to(folder)), (file, file.read_bytes())


def _name_module(package: str, file: Path) -> str:
    inner = file.parent.parts if file.name == _INIT else file.with_suffix("").parts
    return ".".join((package, *inner))
