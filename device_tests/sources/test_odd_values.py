"""One bad value costs one sample: cells, lines and latents that no sensor gives."""

from __future__ import annotations

import numpy as np
import pytest

from edgecl.sources.cells import csv_cells
from edgecl.sources.samples import LARGEST, UnusableError, check_size


@pytest.mark.parametrize("joined", [0, 16])
@pytest.mark.parametrize("bad", ['"1,2,3\n', '1,"2,3\n', '1,2,3"\n', "1,\r2,3\n"])
def test_a_line_that_is_no_csv_costs_itself_alone(joined: int, bad: str) -> None:
    lines = [f"{i},2,3\n" for i in range(40)]
    lines[7] = bad
    cells = dict(csv_cells(lines, ",", width=3, joined=joined))
    good = {number + 1: [str(number), "2", "3"] for number in range(40) if number != 7}
    assert {number: one for number, one in cells.items() if number != 8} == good


def test_two_bad_lines_cost_at_most_the_lines_between_them() -> None:
    lines = [f"{i},2,3\n" for i in range(40)]
    lines[7], lines[9] = '"7,2,3\n', '9,2,3"\n'
    cells = list(csv_cells(lines, ",", width=3))
    assert sum(len(one) == 3 and "\n" not in "".join(one) for _, one in cells) >= 37


def test_a_cell_in_quotation_marks_may_go_on_over_lines() -> None:
    lines = ['1,"a, b\n', 'and ""c""",3\n', "\n", "4,5,6\n"]
    assert list(csv_cells(lines, ",", width=3)) == [(2, ["1", 'a, b\nand "c"', "3"]), (4, ["4", "5", "6"])]


def test_the_last_line_may_lack_its_end() -> None:
    assert list(csv_cells(["1,2\r\n", '3,"4'], ",", width=2)) == [(1, ["1", "2"]), (2, ["3", "4"])]


@pytest.mark.parametrize(
    ("signal", "units", "reason"),
    [
        ([[1.0, 1e20]], (), "too large: 1e\\+20, at most 1e\\+12"),
        ([[1.0, np.nan]], (), "not finite"),
        ([[1.0, np.inf]], (), "not finite"),
        ([[-2e5, 0.0]], ("m/s2", "rad/s"), "too large: 2e\\+05 m/s2, at most 100000 m/s2"),
    ],
)
def test_values_that_no_sensor_gives_are_named_with_their_unit(
    signal: list[list[float]], units: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(UnusableError, match=reason):
        check_size(np.array(signal, np.float32), units)


def test_large_values_within_the_bound_pass() -> None:
    check_size(np.array([[LARGEST, -LARGEST]]))
    check_size(np.array([[9.9e4, 1.0]]), ("m/s2", ""))
    check_size(np.zeros((0, 3)))
