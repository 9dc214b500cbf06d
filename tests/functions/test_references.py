"""References build paths; names answer to both spellings."""

import copy
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.functions.references import (
    FunctionReference,
    InvalidReference,
    camel,
    function_path,
    snake,
    spellings,
)
from pyconvex.server import api, internal, query


@query
async def known(ctx: Any) -> None: ...


PATHS: list[tuple[Any, str]] = [
    (api.messages.send, "messages:send"),
    (internal.messages.send, "messages:send"),
    (api.admin.reports.daily, "admin/reports:daily"),
    (api.messages.default, "messages:default"),
    (api["class"]["import"], "class:import"),
    (api.messages.path.root.parts, "messages/path/root:parts"),
    (FunctionReference("messages:send"), "messages:send"),
    (FunctionReference("admin/reports"), "admin/reports:default"),
    ("messages:send", "messages:send"),
    ("messages", "messages"),
]


@pytest.mark.parametrize(("fn", "path"), PATHS)
def test_a_reference_is_a_path(fn: Any, path: str) -> None:
    assert function_path(fn) == path


def test_a_registered_function_stands_for_itself() -> None:
    assert function_path(known) is known


def test_references_behave_as_values() -> None:
    assert api.messages.send == internal.messages.send != api.messages.list
    assert len({api.messages.send, api.messages.send, internal.messages.send}) == 1
    assert repr(internal.messages["class"].x) == "internal.messages['class'].x"
    assert copy.deepcopy(api.messages.send) == api.messages.send
    assert pickle.loads(pickle.dumps(api.messages.send)) == api.messages.send
    assert not hasattr(api.messages, "__wrapped__")


REFUSED: list[tuple[Any, str]] = [
    (api, "of the form `api.module_name.function_name`. Found: `api`"),
    (internal.messages, "of the form `internal.module_name.function_name`. Found: `internal.messages`"),
    (len, "`len` is a plain function"),
    (5, "not by 5"),
    (None, "not by None"),
    ("", "not by ''"),
]


@pytest.mark.parametrize(("fn", "message"), REFUSED)
def test_what_names_no_function(fn: Any, message: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        function_path(fn)
    assert message in caught.value.message


SPELLED = [
    ("send_one", "sendOne"),
    ("messages:send_one", "messages:sendOne"),
    ("admin_tools/reports:daily_mail", "adminTools/reports:dailyMail"),
    ("a_b_c", "aBC"),
    ("take_2", "take_2"),
    ("_private_name", "_privateName"),
    ("plain", "plain"),
    ("__", "__"),
]


@pytest.mark.parametrize(("python", "javascript"), SPELLED)
def test_both_spellings(python: str, javascript: str) -> None:
    assert camel(python) == javascript
    assert snake(javascript) == python
    assert {python, javascript} <= set(spellings(python))
    assert spellings(python)[0] == python


@given(st.from_regex(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", fullmatch=True))
def test_snake_inverts_camel(name: str) -> None:
    assert snake(camel(name)) == name
    assert snake(name) == name


def test_spellings_mix_in_module_and_function() -> None:
    assert set(spellings("my_mod:do_it")) == {"my_mod:do_it", "myMod:do_it", "my_mod:doIt", "myMod:doIt"}
    assert spellings("plain:plain") == ("plain:plain",)
