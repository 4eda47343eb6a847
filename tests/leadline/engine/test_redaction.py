"""What looks like a secret is not kept; what surrounds it is."""

from __future__ import annotations

import pytest

from leadline.engine.redaction import REMOVED, redacted

PEM = "-----BEGIN RSA PRIVATE KEY-----\\nMIIEpAIBAAKCAQEA\\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    "line",
    [
        'API_KEY = "hunter2"',
        "api_key: str = 'hunter2'",
        'self.token = "hunter2"',
        'os.environ["HF_TOKEN"] = "hunter2"',
        'os.environ.setdefault("HF_TOKEN", "hunter2")',
        'login(user="me", password="hunter2")',
        'settings = {"secret": "hunter2", "rows": 8}',
        'def login(user, password="hunter2"): ...',
        'def login(*, password="hunter2"): ...',
        'if token == "hunter2": pass',
        'if (token := "hunter2"): pass',
        'CREDENTIALS = ("me",\n    "hunter2")',
        'SECRETS = {"a": ["x", "hunter2"]}',
        'KEY = bytes.fromhex("hunter2")',
        'KEY = b"hunter2"',
        'KEY = f"{user}:hunter2"',
        'KEY = """\nhunter2\n"""',
        'é = 1; KEY = "hunter2"',
        '@app.task(token="hunter2")\ndef f(): pass',
        'parser.add_argument("--token", default="hunter2")',
        'os.getenv("API_KEY", default="hunter2")',
        'client.set_token("hunter2")',
        'setattr(config, "api_key", "hunter2")',
        'pairs = [("api_key", "hunter2")]',
        'def token(): return "hunter2"',
        'if "hunter2" == token: pass',
        'run("mysql --password=hunter2")',
        'script = """\nexport API_KEY=hunter2\n"""',
        'PASSWD = "hunter2"',
        'store = "postgres://me:hunter2@host/rows"',
        "# api_key = hunter2",
        'x = 1  # the token: "hunter2"',
    ],
)
def test_what_is_given_to_a_name_of_a_secret_is_removed(line: str) -> None:
    found = redacted(f'before = "kept"\n{line}\nafter = "kept"\n')
    assert "hunter2" not in found
    assert REMOVED in found
    assert (found.startswith('before = "kept"\n'), found.endswith('\nafter = "kept"\n')) == (True, True)


@pytest.mark.parametrize(
    "secret",
    [
        "AKIA" + "IOSFODNN7EXAMPLE",
        "ghp_" + "a1B2" * 9,
        "github_pat_" + "a1B2" * 9,
        "sk-" + "proj-a1B2c3D4e5F6g7H8",
        "hf_" + "a1B2" * 8,
    ],
)
def test_well_known_tokens_are_removed_wherever_they_stand(secret: str) -> None:
    assert redacted(f'client = connect("{secret}", 8)\n') == f'client = connect("{REMOVED}", 8)\n'


def test_a_private_key_is_removed_whole() -> None:
    text = f'pem = """{PEM}"""\nrows = 8\n'.replace("\\n", "\n")
    assert redacted(text) == f'pem = """{REMOVED}"""\nrows = 8\n'


def test_the_values_of_secret_environment_variables_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "correct-horse")
    monkeypatch.setenv("MY_SHORT_TOKEN", "short")
    monkeypatch.setenv("MY_PLACE", "a-plain-value")
    text = 'url = "me and correct-horse"; size = "short"; place = "a-plain-value"\n'
    assert redacted(text) == text.replace("correct-horse", REMOVED)


def test_other_source_is_left_as_it_is() -> None:
    text = 'rows = sorted(table, key=len)\nname = "task-with-a-long-and-hyphenated-name"\nkeys = [1, 2]\n'
    assert redacted(text) == text


def test_text_that_is_not_python_is_refused() -> None:
    with pytest.raises(SyntaxError):
        redacted('API_KEY = "hunter2" (\n')
