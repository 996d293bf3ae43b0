"""The option or command that settles what an error or a skip is about, in the words of the command line."""

from __future__ import annotations

from collections.abc import Set

# the option of a parameter that an error names: `EdgeclError.parameter`
OPTIONS = {
    "alerts_per_1000": "--alerts-per-1000",
    "at": "--at",
    "background": "--background",
    "by": "--by",
    "categories": "--categories",
    "cert": "--cert",
    "channel": "--channel left",
    "columns": "--columns",
    "control": "--control",
    "cost": "--cost",
    "detect_for": "--for me|anyone",
    "devices": "--devices",
    "disk_bytes": "--disk",
    "drop_missing": "--drop-missing",
    "execute": "--exec",
    "extractor": "--extractor",
    "experiences": "--experiences",
    "at_least": "--at-least",
    "cap": "--cap",
    "flower": "--flower",
    "out": "--out",
    "irreversible": "--irreversible",
    "label": "--label",
    "label_case": "--label-case keep|lower",
    "false_per_hour": "--false-per-hour",
    "frame": "--frame",
    "label_column": "--label-column",
    "label_folder": "--label-folder",
    "labels_from": "--labels-from",
    "lift_width": "--lift",
    "max_classes": "--max-classes",
    "memory_bytes": "--memory",
    "port": "--port",
    "require_signature": "--require-signature",
    "rate": "--rate",
    "preset": "--preset",
    "prior": "--prior",
    "overwrite": "--overwrite",
    "pixels": "--pixels",
    "priority": "--always, --while-used or --until",
    "pcm_channels": "--channels",
    "pcm_format": "--format",
    "scale": "--scale",
    "scenario": "--scenario",
    "same_as": "--same-as LABEL or --distinct",
    "seeds": "--seeds",
    "sign": "--sign",
    "size": "--size",
    "stream": "--stream",
    "top": "--top",
    "unknown": "--unknown",
    "unknown_above": "--unknown-above",
    "via": "--via",
    "words": "--words",
    "wyoming": "--wyoming",
    "time_column": "--time-column",
    "time_unit": "--time-unit",
}
# the command of an operation that an error advises: `EdgeclError.remedy`
REMEDIES = {
    "bench": "`edgecl bench --out FILE`",
    "centre": "`edgecl centre STORE --off`",
    "create": "`edgecl init STORE --extractor voice`",
    "export": "`edgecl export imu|voice -o FILE`",
    "learn": "`edgecl learn STORE PATH`",
    "like": "an extractor for such data: `edgecl export imu --like FILE -o OUT`",
    "listen": "`edgecl listen STORE --inbox`",
    "merge": "`edgecl merge STORE --without DEVICE`",
    "reference": "`edgecl bench --reference`",
    "repair": "`edgecl doctor STORE --repair`",
    "resize": "`edgecl resize STORE --max-classes N`",
    "table": "`edgecl export identity --like FILE -o OUT` makes the extractor of one",
    "suggest": "`edgecl listen STORE --suggest`",
    "wrap": "`edgecl export wrap FILE --modality imu|voice|table|image|custom -o OUT`",
}


def advice(parameter: str, remedy: str = "", *, offered: Set[str] | None = None) -> str:
    """Return what to add to a message; of options only those that are offered, None for any.

    >>> advice("scale"), advice("scale", offered={"--label"}), advice("")
    (' (--scale)', '', '')
    """
    option = OPTIONS.get(parameter, "")
    if offered is not None and not offered & {word.strip(",") for word in option.split()}:
        option = ""
    words = [option, REMEDIES.get(remedy, "")]
    named = ", ".join(word for word in words if word)
    return f" ({named})" if named else ""
