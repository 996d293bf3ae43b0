"""The table of `tools/release`."""

from __future__ import annotations

from collections.abc import Mapping

CHECKS = (
    "each wheel was built twice, in folders of different names: the same bytes",
    "`twine check --strict` read the metadata of wheels and sdist",
    "each wheel was installed by pip where nothing else was, that for the other machine by an emulated Python",
    "`edgecl doctor` and `edgecl demo voice` ended with exit code 0 there",
    "a CycloneDX SBOM was written of what was installed",
)


def as_markdown(
    sizes: Mapping[str, int], versions: Mapping[str, str], components: Mapping[str, Mapping[str, str]]
) -> str:
    """Return the files of a release, what was checked, and the versions of what built, checked and was installed.

    Parameters
    ----------
    sizes
        Name of each file to its bytes.
    versions
        Name of each tool to its version.
    components
        Name of each SBOM to the packages in it with their versions.
    """
    lines = ["| file | bytes |", "|---|---|", *(f"| {name} | {size:,} |" for name, size in sizes.items()), ""]
    lines += [*(f"- {check}" for check in CHECKS), ""]
    lines += [f"By {', '.join(' '.join(one) for one in versions.items())}.", ""]
    for name, installed in components.items():
        listed = ", ".join(" ".join(one) for one in sorted(installed.items()))
        lines.append(f"{name}: {listed}.\n")
    return "\n".join(lines)
