"""Addresses that cannot be listened at."""

from __future__ import annotations

import pytest

from edgecl.errors import SettingError
from edgecl.service.addresses import Address


@pytest.mark.parametrize("host", ["\udcff", "\u202e", "x" * 70, "a\0b", "n\u00f6.invalid", "256.1.1.1"])
def test_a_host_that_is_no_name_is_refused(host: str) -> None:
    with pytest.raises(SettingError, match="cannot be listened at") as refused:
        Address(host, 0).bound(parameter="host")
    assert refused.value.parameter == "host"
    assert str(refused.value).isprintable()
