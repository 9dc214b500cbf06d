"""What user modules get for `importlib`, `sys` and `builtins`: the real ones, but that they find the substitutes."""

import builtins
import importlib
import sys
from types import ModuleType
from typing import Any

import pytest

from pyconvex.engine.driver.variants import findable, variant

TIME = variant(sys.modules["time"], time=lambda: 1.0)
FOUND: dict[str, Any] = dict(findable({"time": TIME}))


def test_every_way_to_a_module_leads_to_its_substitute() -> None:
    assert FOUND["importlib"].import_module("time") is TIME
    assert FOUND["importlib"].__import__("time") is TIME
    assert FOUND["builtins"].__import__("time") is TIME
    assert FOUND["sys"].modules["time"] is TIME
    assert FOUND["sys"].modules.get("time") is TIME
    assert dict(FOUND["sys"].modules.items())["time"] is TIME
    assert FOUND["sys"].modules.copy()["time"] is TIME
    assert FOUND["importlib"].import_module("sys") is FOUND["sys"]


def test_all_else_is_the_real_thing() -> None:
    assert FOUND["importlib"].import_module("json") is sys.modules["json"]
    assert FOUND["importlib"].import_module(".decoder", "json") is sys.modules["json.decoder"]
    assert FOUND["builtins"].__import__("os.path") is sys.modules["os"]
    assert FOUND["sys"].modules[__name__] is sys.modules[__name__]
    assert len(FOUND["sys"].modules) == len(sys.modules)
    assert FOUND["builtins"].len is len
    assert dir(FOUND["sys"]) == dir(sys)
    assert isinstance(FOUND["sys"], ModuleType) and FOUND["sys"].__name__ == "sys"
    with pytest.raises(AttributeError):
        _ = FOUND["sys"].nothing


def test_a_module_is_seen_as_it_is_now(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert FOUND["sys"].stdout is sys.stdout
    monkeypatch.setattr(FOUND["sys"], "argv", ["changed"])
    assert sys.argv == ["changed"]
    FOUND["sys"].of_this_test = 1
    assert vars(sys)["of_this_test"] == 1
    del FOUND["sys"].of_this_test
    assert not hasattr(sys, "of_this_test")


def test_modules_can_be_put_in_and_taken_out() -> None:
    module = ModuleType("of_this_test")
    FOUND["sys"].modules["of_this_test"] = module
    assert sys.modules["of_this_test"] is module
    del FOUND["sys"].modules["of_this_test"]
    assert "of_this_test" not in sys.modules


def test_submodules_that_are_imported_later_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(importlib, "metadata", raising=False)
    early = variant(importlib)
    assert not hasattr(early, "metadata")
    monkeypatch.setattr(importlib, "metadata", sys, raising=False)
    assert early.metadata is sys


def test_builtins_hand_out_pythons_own_modules_elsewhere() -> None:
    assert builtins.__import__("time") is not TIME
