"""The build step that pyproject.toml cannot express: files that are made, not written, enter the wheel.

The extractors in `edgecl/data` are made by `export/edgecl_export`: the one of voice is composed from two public
models, the one of movement is calibrated on simulated movement. So a device needs neither `onnx` nor the package
that carries the models. An editable install writes them into the source tree, where git ignores them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.errors import ExecError

DATA = Path("edgecl", "data")


def make_extractor(target: Path) -> None:
    """Write the extractor that `target` is named after, anew each time: one left by an older build may be stale."""
    sys.path[:0] = [".", "kernels", "export"]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        import edgecl_export

        getattr(edgecl_export, f"export_{target.stem}")(target)
    except ImportError as error:
        raise ExecError(
            f"cannot make {DATA / target.name}: {error}. It needs the build requirements of pyproject.toml: "
            "build with isolation (the default of pip), or install them first."
        ) from error
    except Exception as error:
        raise ExecError(f"cannot make {DATA / target.name}: {type(error).__name__}: {error}") from error
    finally:
        del sys.path[:3]
    if not target.is_file():
        raise ExecError(f"cannot make {DATA / target.name}: the exporter ended without an error and wrote no file")


class BuildPy(build_py):
    """`build_py` that also makes the files in `MADE` and reports them, as PEP 660 wants."""

    MADE = (DATA / "voice.onnx", DATA / "imu.onnx")

    def run(self) -> None:
        super().run()
        for path in self.MADE:
            make_extractor(self._place(path))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        outputs = super().get_outputs(include_bytecode)
        # an editable build lists the mapping below by itself
        return outputs if self.editable_mode else outputs + [str(self._place(path)) for path in self.MADE]

    def get_output_mapping(self) -> dict[str, str]:
        mapping = super().get_output_mapping()
        if self.editable_mode:
            mapping.update({str(Path(self.build_lib, path)): str(path) for path in self.MADE})
        return mapping

    def _place(self, path: Path) -> Path:
        return path if self.editable_mode else Path(self.build_lib, path)


setup(cmdclass={"build_py": BuildPy})
