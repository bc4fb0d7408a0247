"""app.py: where the page is offered, and for whom."""

import importlib.util
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """app.py as a module; the package `app` has its name."""
    for name in ("SPACE_ID", "GRADIO_ROOT_PATH"):
        monkeypatch.delenv(name, raising=False)
    spec = importlib.util.spec_from_file_location("pairalign_app_program", ROOT / "app.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("/pairalign", "/pairalign"),
        ("/a/b-c_d.e~/", "/a/b-c_d.e~"),
        ("https://example.org/pairalign", "https://example.org/pairalign"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("", ""),
        ("/", ""),
    ],
)
def test_a_root_path_is_a_path_or_an_address_and_makes_the_page_public(program, given: str, path: str):
    options = program.parse(["--root-path", given])
    assert options.root_path == path and options.public is bool(path)
    assert program.parse(["--root-path", given, "--no-public"]).public is False


@pytest.mark.parametrize(
    "given", ["pairalign", "//evil.example", "/a b", "javascript:alert(1)", "/a/../b?x", '/"', "/a//b"]
)
def test_any_other_root_path_is_one_line_and_exit_code_2(program, given: str, capsys):
    with pytest.raises(SystemExit) as stop:
        program.parse(["--root-path", given])
    err = capsys.readouterr().err
    assert stop.value.code == 2 and "argument --root-path" in err and err.count("\n") == 1


def test_the_microphone_of_this_machine_is_not_for_a_proxy(program, capsys):
    with pytest.raises(SystemExit):
        program.parse(["--mic", "--root-path", "/pairalign"])
    assert "--mic" in capsys.readouterr().err


@pytest.mark.parametrize("by", ["flag", "variable"])
def test_gradio_is_given_the_root_path(program, by: str, monkeypatch, services, tmp_path):
    launched = {}
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    page = SimpleNamespace(
        launch=lambda **how: launched.update(how) or (None, "http://127.0.0.1:7860/", None), block_thread=lambda: None
    )
    monkeypatch.setattr("app.ui.build", lambda _: page)
    monkeypatch.setattr(program, "make_services", lambda _: services)
    monkeypatch.setattr(program, "check_address", lambda *_: None)
    if by == "variable":
        monkeypatch.setenv("GRADIO_ROOT_PATH", "/pairalign/")
    assert program.main(["--root-path", "/pairalign"] if by == "flag" else []) == 0
    assert launched["root_path"] == "/pairalign"
