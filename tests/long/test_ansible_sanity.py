"""The collection under deploy/ansible by Ansible's own rules: documentation against options, syntax, imports, style."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.recipes.shells import DEPLOY

TESTS = ("validate-modules", "compile", "import", "ansible-doc", "pep8", "yamllint", "runtime-metadata", "ignores")


@pytest.mark.long
@pytest.mark.timeout(900)
def test_ansible_test_finds_nothing_to_say() -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", str(DEPLOY / "ci" / "ansible-sanity.sh"), *TESTS],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
