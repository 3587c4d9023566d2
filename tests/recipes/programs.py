"""What runs the recipes: a workspace of a pipeline, and Ansible, each beside a running lbctl."""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.integration.test_cli_commands import Done
from tests.recipes.shells import DEPLOY, Part

COLLECTION = DEPLOY / "ansible"
STOP = '#!/bin/sh\nset -eu\necho "$1" >> stopped\n'
DEPLOY_TO = '#!/bin/sh\nset -eu\necho "$1 $2" >> deployed\n'
Json = dict[str, Any]


class Ci:
    """One workspace of a pipeline beside a running lbctl, which it reaches as `lbctl` on its PATH."""

    def __init__(self, directory: Path, socket: Path) -> None:
        self.directory = directory
        self.variables = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "LBCTL_SOCKET": str(socket),
            "GITHUB_OUTPUT": str(directory / "outputs"),
        }
        (directory / "ci").mkdir(parents=True)
        shutil.copy(DEPLOY / "ci" / "release.sh", directory / "ci" / "release.sh")
        for name, text in (("deploy-to", DEPLOY_TO), ("stop", STOP), ("build", "#!/bin/sh\n")):
            (directory / name).write_text(text)
            (directory / name).chmod(0o755)

    @property
    def deployed(self) -> list[str]:
        """What was deployed, oldest first: colour and version."""
        return (self.directory / "deployed").read_text().splitlines()

    async def run(self, part: Part, **variables: str) -> Done:
        """Run one shell part as its CI would."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *part.shell,
            part.script,
            cwd=self.directory,
            env={**self.variables, **variables, **part.environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
        )
        out, err = await asyncio.wait_for(process.communicate(), 100)
        assert process.returncode is not None
        return Done(process.returncode, out.decode(), err.decode())

    def outputs(self) -> dict[str, str]:
        """What the last step of GitHub has handed on."""
        lines = (self.directory / "outputs").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)


class Ansible:
    """Ansible with the collection where it looks for it, and this host as its only one."""

    def __init__(self, directory: Path, socket: Path) -> None:
        self.directory = directory
        self.socket = socket
        (directory / "ansible_collections" / "lbctl").mkdir(parents=True)
        (directory / "ansible_collections" / "lbctl" / "core").symlink_to(COLLECTION)
        variables = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        (directory / "hosts.yml").write_text(yaml.safe_dump({"lbctl": {"hosts": {"lb1": variables}}}))

    async def module(self, name: str, /, *, check: bool = False, **given: Any) -> Json:
        """Run one module as Ansible does on its target; returns what it returns, whether it failed or not."""
        words = {"socket": str(self.socket), "_ansible_check_mode": check, "_ansible_diff": True, **given}
        place = f"ansible_collections.lbctl.core.plugins.modules.{name}"
        done = await self.run(sys.executable, "-m", place, given=json.dumps({"ANSIBLE_MODULE_ARGS": words}))
        assert done.out, done.err
        return {"failed": False, **done.data}

    async def check(self, name: str, /, **given: Any) -> Json:
        """Run one module in check mode."""
        return await self.module(name, check=True, **given)

    async def play(self, playbook: Path | str, *options: str, **variables: Any) -> Done:
        """Run a playbook."""
        variables = {"lbctl_socket": str(self.socket), **variables}
        program, hosts = str(Path(sys.executable).parent / "ansible-playbook"), str(self.directory / "hosts.yml")
        return await self.run(program, "-i", hosts, str(playbook), "-e", json.dumps(variables), *options)

    async def run(self, *words: str, given: str = "") -> Done:
        """Run a program that finds the collection; `given` is its standard input."""
        places = {"ANSIBLE_COLLECTIONS_PATH": str(self.directory), "ANSIBLE_HOME": str(self.directory / "home")}
        quiet = {
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "1",
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": str(self.directory),
        }
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *words, cwd=self.directory, env={**os.environ, **places, **quiet}, stdin=pipe, stdout=pipe, stderr=pipe
        )
        out, err = await asyncio.wait_for(process.communicate(given.encode()), 120)
        assert process.returncode is not None
        return Done(process.returncode, out.decode(), err.decode())
