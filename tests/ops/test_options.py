"""One schema: command line, environment, file and keywords, in this order."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from nbio.config import Config, options
from nbio.options import choose, from_environment
from nbio.reference import main, options_page


def printed(directory: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nbio", *arguments],
        cwd=directory,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_line_goes_before_the_environment_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "nbio.toml").write_text("port = 1\nmax_body = 2\nmax-head = 3\n")
    run = printed(
        tmp_path,
        *("--config", "nbio.toml", "--print-config", "--port", "30"),
        NBIO_PORT="20",
        NBIO_MAX_BODY="21",
    )
    assert run.returncode == 0, run.stderr
    shown = tomllib.loads(run.stdout)
    assert (shown["port"], shown["max_body"], shown["max_head"]) == (30, 21, 3)
    assert "port = 30  # the command line\n" in run.stdout
    assert "max_body = 21  # the environment\n" in run.stdout
    assert "max_head = 3  # nbio.toml\n" in run.stdout
    # What was printed is a file with the same meaning.
    (tmp_path / "again.toml").write_text(run.stdout)
    again = printed(tmp_path, "--config", "again.toml", "--print-config")
    assert tomllib.loads(again.stdout) == shown


def test_a_printed_default_is_the_default() -> None:
    assert choose({}, {}) == (Config(), {})


def test_a_pyproject_has_a_table_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text("[project]\nname = 'x'\n[tool.nbio]\nport = 81\n")
    assert choose({}, {}, str(path)).config.port == 81


@pytest.mark.parametrize("word", ["1", "true", "Yes", "on"])
def test_true_in_the_environment(word: str) -> None:
    assert from_environment({"NBIO_PRINT_BALANCE": word, "NBIO_OTHER": "?"}) == {
        "print_balance": True
    }


@pytest.mark.parametrize(
    ("arguments", "environ", "words"),
    [
        (["--config", "none.toml"], {}, "none.toml"),
        (["--config", "no.toml"], {}, "no.toml isn't TOML"),
        (["--config", "odd.toml"], {}, "prot in odd.toml is no option"),
        (["--config", "typed.toml"], {}, "port must be a number, not '80' (typed.toml)"),
        ([], {"NBIO_PORT": "tcp://10.0.0.1:80"}, "NBIO_PORT must be a whole number"),
        ([], {"NBIO_PRINT_BALANCE": "maybe"}, "NBIO_PRINT_BALANCE must be true or false"),
        ([], {"NBIO_MAX_HEAD": "0"}, "max_head must be more than 0, not 0 (the environment)"),
        ([], {"NBIO_SERVER_HEADER": "a\r\nb: c"}, "server_header is a field's value"),
        ([], {"NBIO_INTERFACE": "cgi"}, "interface must be one of auto"),
        ([], {"NBIO_MAX_BODY": "-1"}, "max_body must be 0 or more, not -1 (the environment)"),
        (["--head-timeout", "nan"], {}, "head_timeout must be a finite number, not nan"),
        (["--idle-timeout", "inf"], {}, "idle_timeout must be a finite number, not inf"),
        # Without TLS nobody would be asked for a certificate.
        (["--ssl-keyfile", "key.pem"], {}, "ssl_keyfile needs ssl_certfile"),
        (
            ["--ssl-client-auth", "required", "--ssl-ca-certs", "ca.pem"],
            {},
            "ssl_ca_certs needs ssl_certfile",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, arguments: list[str], environ: dict[str, str], words: str
) -> None:
    (tmp_path / "no.toml").write_text("port: 80")
    (tmp_path / "odd.toml").write_text("prot = 80")
    (tmp_path / "typed.toml").write_text("port = '80'")
    run = printed(tmp_path, "x:y", *arguments, **environ)
    assert run.returncode == 2
    [line] = run.stderr.splitlines()
    assert line.startswith("nbio: error: ")
    assert words in line


def test_every_option_is_in_the_reference() -> None:
    text = "\n".join(options_page())
    for option in options():
        assert f"| `{option.flag}` |" in text
        assert option.doc.text in text


def test_a_stale_page_is_noticed(tmp_path: Path) -> None:
    empty = "<!-- begin atoms -->\n<!-- end atoms -->\n<!-- begin metrics -->\n<!-- end metrics -->"
    (tmp_path / "operations.md").write_text(empty)
    where = str(tmp_path)
    assert main(["--check", where]) == 1
    assert main([where]) == 0
    assert main(["--check", where]) == 0
    assert "`%(h)s`" in (tmp_path / "operations.md").read_text()
    for page, before, after in (("options.md", "8000", "8001"), ("operations.md", "%(h)", "%(j)")):
        path = tmp_path / page
        right = path.read_text()
        path.write_text(right.replace(before, after))
        assert main(["--check", where]) == 1
        path.write_text(right)
