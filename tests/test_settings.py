"""Settings: who wins, where a value came from, and what a bad value is told."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyconvex.errors import Place
from pyconvex.settings import (
    DEFAULT,
    BadSetting,
    Limits,
    Settings,
    Source,
    TailLogs,
    environment_name,
    resolve_settings,
)


def project(folder: Path, toml: str) -> Path:
    (folder / "pyproject.toml").write_text(toml)
    return folder


def test_without_anything_every_value_is_the_default(tmp_path: Path) -> None:
    settings = resolve_settings(tmp_path)
    assert settings == Settings()
    assert settings.origin("port") == DEFAULT == settings.origin("limits.action_seconds")


def test_flag_beats_environment_beats_pyproject_beats_default(tmp_path: Path) -> None:
    project(tmp_path, '[tool.pyconvex]\nport = 1\nsite-port = 2\nhost = "0.0.0.0"\ntail_logs = "always"\n')
    environ = {"PYCONVEX_PORT": "10", "PYCONVEX_SITE_PORT": "20"}
    settings = resolve_settings(tmp_path, {"port": "100", "site_port": None}, environ)

    assert (settings.port, settings.site_port, settings.host) == (100, 20, "0.0.0.0")
    assert settings.tail_logs is TailLogs.ALWAYS
    assert [str(settings.origin(name)) for name in ("port", "site_port", "host", "data")] == [
        "--port",
        "PYCONVEX_SITE_PORT",
        "pyproject.toml",
        "default",
    ]
    assert settings.origin("host").source is Source.PYPROJECT


def test_limits_are_layered_one_by_one(tmp_path: Path) -> None:
    project(tmp_path, "[tool.pyconvex.limits]\naction_seconds = 30\nquery-seconds = 0.5\nread_documents = 10\n")
    settings = resolve_settings(
        tmp_path,
        {"limits": ["action_seconds=20", "http_request_bytes=1.5 MiB"]},
        {"PYCONVEX_LIMITS": " action_seconds=25, read_documents = 1_000 ,"},
    )

    assert settings.limits == Limits(
        action_seconds=20, query_seconds=0.5, read_documents=1000, http_request_bytes=3 * 2**19
    )
    origins = {name: str(settings.origin(f"limits.{name}")) for name in ("action_seconds", "query_seconds")}
    assert origins == {"action_seconds": "--limit", "query_seconds": "pyproject.toml"}
    assert str(settings.origin("limits.read_documents")) == "PYCONVEX_LIMITS"
    assert str(settings.origin("limits.http_request_bytes")) == "--limit"


def test_limits_keep_their_types(tmp_path: Path) -> None:
    settings = resolve_settings(tmp_path, {"limits": ["query_seconds=2", "log_lines=5"]})
    assert isinstance(settings.limits.query_seconds, float)
    assert isinstance(settings.limits.log_lines, int)


def test_values_by_name(tmp_path: Path) -> None:
    settings = resolve_settings(tmp_path, {"port": "5", "limits": ["log_lines=7"]})
    values = settings.values(without={"host"})
    assert (values["port"], values["limits.log_lines"], values["tail_logs"]) == (5, 7, TailLogs.PAUSE_ON_DEPLOY)
    assert "host" not in values


def test_an_empty_variable_counts_as_not_given(tmp_path: Path) -> None:
    assert resolve_settings(tmp_path, {}, {"PYCONVEX_PORT": "", "PYCONVEX_LIMITS": ""}) == Settings()


@pytest.mark.parametrize(
    ("flags", "environ", "message", "hint"),
    [
        ({"port": "abc"}, {}, "--port is 'abc', but it must be a port from 0 to 65535", "0 takes any free port"),
        ({"site_port": "65536"}, {}, "--site-port is '65536', but it must be a port from 0 to 65535", None),
        ({"port": "-1"}, {}, "--port is '-1', but it must be a port from 0 to 65535", None),
        ({"port": "²"}, {}, "--port is '²', but it must be a port from 0 to 65535", None),
        ({}, {"PYCONVEX_PORT": "x"}, "PYCONVEX_PORT is 'x', but it must be a port from 0 to 65535", None),
        ({"host": " "}, {}, "--host is ' ', but it must be a text that is not empty", None),
        (
            {"tail_logs": "never"},
            {},
            "--tail-logs is 'never', but it must be `always` or `pause-on-deploy` or `disable`",
            None,
        ),
        ({"limits": ["action_seconds"]}, {}, "--limit is 'action_seconds', but it must be NAME=VALUE", None),
        (
            {"limits": ["action_secs=2"]},
            {},
            "there is no limit `action_secs` (--limit)",
            "did you mean `action_seconds`?",
        ),
        ({"limits": ["zebra=2"]}, {}, "there is no limit `zebra` (--limit)", "`pyconvex limits` lists them all"),
        (
            {},
            {"PYCONVEX_LIMITS": "log_lines=1.5"},
            "the limit `log_lines` (PYCONVEX_LIMITS) is '1.5', but it must be a whole number above 0",
            None,
        ),
        (
            {"limits": ["query_seconds=0"]},
            {},
            "the limit `query_seconds` (--limit) is '0', but it must be a number of seconds above 0",
            None,
        ),
        ({"limits": ["query_seconds=inf"]}, {}, "the limit `query_seconds` (--limit) is 'inf', but", None),
        ({"limits": ["query_seconds=2MiB"]}, {}, "the limit `query_seconds` (--limit) is '2MiB', but", None),
        (
            {"limits": ["args_bytes=2 cows"]},
            {},
            "the limit `args_bytes` (--limit) is '2 cows', but it must be a whole number above 0",
            "sizes may be written as 20MiB",
        ),
    ],
)
def test_a_bad_value_names_its_source(
    tmp_path: Path, flags: dict[str, object], environ: dict[str, str], message: str, hint: str | None
) -> None:
    with pytest.raises(BadSetting) as caught:
        resolve_settings(tmp_path, flags, environ)
    assert caught.value.code == "BadSetting"
    assert str(caught.value).startswith(message)
    if hint is not None:
        assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("toml", "message", "hint"),
    [
        ("[tool]\npyconvex = 3\n", "`tool.pyconvex` in pyproject.toml is 3, but it must be a table", None),
        (
            "[tool.pyconvex]\nport = true\n",
            "`port` in [tool.pyconvex] of pyproject.toml is true, but it must be a port from 0 to 65535",
            "0 takes any free port",
        ),
        (
            "[tool.pyconvex]\nprot = 3\n",
            "there is no key `prot` ([tool.pyconvex] of pyproject.toml)",
            "did you mean `port`?",
        ),
        (
            "[tool.pyconvex]\nlimits = 3\n",
            "`limits` in [tool.pyconvex] is 3, but it must be a table of limits",
            None,
        ),
        (
            "[tool.pyconvex.limits]\nlog_lines = true\n",
            "the limit `log_lines` ([tool.pyconvex.limits]) is true, but it must be a whole number above 0",
            None,
        ),
        (
            "[tool.pyconvex.limits]\nlog_line = 1\n",
            "there is no limit `log_line` ([tool.pyconvex.limits])",
            "did you mean `log_lines`?",
        ),
    ],
)
def test_a_bad_key_of_pyproject_is_named(tmp_path: Path, toml: str, message: str, hint: str | None) -> None:
    with pytest.raises(BadSetting) as caught:
        resolve_settings(project(tmp_path, toml))
    assert (str(caught.value), caught.value.hint) == (message, hint)


def test_broken_toml_is_shown_at_its_line(tmp_path: Path) -> None:
    with pytest.raises(BadSetting) as caught:
        resolve_settings(project(tmp_path, '[project]\nname = "pyconvex-app"\nversion = \n'))
    assert caught.value.place == Place("pyproject.toml", 3, 11)
    assert str(caught.value).startswith("pyproject.toml is not valid TOML: ")


def test_other_tools_keys_are_none_of_our_business(tmp_path: Path) -> None:
    toml = '[project]\nname = "x"\ndependencies = ["pyconvex"]\n[tool.other]\nport = "no"\n'
    assert resolve_settings(project(tmp_path, toml)) == Settings()


def test_environment_names() -> None:
    assert environment_name("site_port") == "PYCONVEX_SITE_PORT"


@given(st.text(max_size=20))
def test_any_text_is_a_port_or_refused(text: str) -> None:
    try:
        settings = resolve_settings(Path("/nonexistent"), {"port": text})
    except BadSetting as error:
        assert error.message.startswith("--port is ")
    else:
        assert settings.port is not None
        assert 0 <= settings.port <= 65535


@given(st.text(max_size=20))
def test_any_text_is_a_limit_or_refused(text: str) -> None:
    try:
        settings = resolve_settings(Path("/nonexistent"), {"limits": [f"read_bytes={text}"]})
    except BadSetting as error:
        assert "read_bytes" in error.message
    else:
        assert settings.limits.read_bytes > 0


@pytest.mark.parametrize("url", ["sqlite", "sqlite:///data/x.db", "postgresql://me@host/x", "postgres:///x?host=/run"])
def test_a_database_is_a_file_or_on_a_server(tmp_path: Path, url: str) -> None:
    assert resolve_settings(tmp_path, {"database": url}).database == url
    assert resolve_settings(tmp_path, environ={"PYCONVEX_DATABASE": url}).database == url


@pytest.mark.parametrize(
    "url", ["mysql://me:s3cret@host/x", "postgresql:me:s3cret@host", "sqlite://s3cret", "s3cret", 5]
)
def test_a_database_that_cannot_be_one_is_refused_without_its_password(tmp_path: Path, url: object) -> None:
    with pytest.raises(BadSetting) as refused:
        resolve_settings(tmp_path, {"database": url})
    assert str(refused.value) == "--database must be `sqlite`, `sqlite:///FILE` or `postgresql://…`"


def test_settings_never_show_the_password_of_their_database(tmp_path: Path) -> None:
    settings = resolve_settings(tmp_path, {"database": "postgresql://me:s3cret@host/x"})
    assert "s3cret" not in repr(settings)
