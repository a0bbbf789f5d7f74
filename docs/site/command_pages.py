"""The pages on the command line and the configs."""

from __future__ import annotations

import contextlib
import io
import os

from docs.korean import WORDS
from zoo.cli import VERBS, main
from zoo.pretrained.registry import packaged_config, packaged_configs

COMMANDS = "# Command line\n\nWhat `zoo COMMAND --help` prints. `zoo fit --help_all` prints all settings."
COMMANDS_KOREAN = """# 명령줄

`zoo COMMAND --help`가 출력하는 내용입니다. `zoo fit --help_all`은 설정을 모두 출력합니다. 명령의 출력은 영어입니다."""
CONFIGS = """# Configs

`--config NAME` takes any of these, and again for a second one, which changes settings of the first. The configs of the
members are on [their cards](../members/index.md)."""
CONFIGS_KOREAN = """# 설정 파일

`--config NAME`에는 다음 이름을 쓸 수 있습니다. 한 번 더 쓰면 두 번째 설정 파일이 첫 번째의 설정을 바꿉니다.
네트워크의 설정 파일은 [각 네트워크의 페이지](../members/index.md)에 있습니다."""


def commands(is_korean: bool = False) -> str:
    """Return what each command prints for ``--help``."""
    parts = [COMMANDS_KOREAN if is_korean else COMMANDS]
    for verb, (_, purpose) in VERBS.items():
        said = WORDS[purpose] if is_korean else f"{purpose[0].upper()}{purpose[1:]}."
        parts += [f"## zoo {verb}", said, f"```text\n{_help(verb)}\n```"]
    return "\n\n".join(parts) + "\n"


def configs(is_korean: bool = False) -> str:
    """Return the configs that ship, except those of the members, which their cards have."""
    parts = [CONFIGS_KOREAN if is_korean else CONFIGS]
    for name in packaged_configs():
        path = packaged_config(name)
        if path is not None and "/" in name:
            parts += [f"## {name}", f"```yaml\n{path.read_text(encoding='utf-8').strip()}\n```"]
    return "\n\n".join(parts) + "\n"


def _help(verb: str) -> str:
    output = io.StringIO()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"
    try:
        with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
            main([verb, "--help"])
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    return output.getvalue().strip()
