"""What the recipes must never do, read from their texts, and what release.sh says of each exit code."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from lbctl.cli.failure import Exit
from tests.recipes.shells import DEPLOY, bitbucket, github, gitlab, jenkins

RELEASE = DEPLOY / "ci" / "release.sh"
FATES = {
    Exit.BACK_BY_ITSELF,
    Exit.BACK_BY_PERSON,
    Exit.TIMED_OUT,
    Exit.AWAITS_APPROVAL,
    Exit.SUPERSEDED,
    Exit.WAITING,
}
VARIABLE = re.compile(r"\bLBCTL_[A-Z]+(?:_[A-Z]+)*\b")


def test_the_shared_library_carries_the_very_script() -> None:
    carried = DEPLOY / "jenkins" / "resources" / "lbctl" / "release.sh"
    assert carried.read_text() == RELEASE.read_text(), f"cp {RELEASE} {carried}"


def test_what_a_build_says_is_never_part_of_the_text_of_a_command() -> None:
    """A branch or a tag may be named `$(…)`: it goes through the environment, in quotes."""
    for part in [*github({}), *gitlab(), *bitbucket()]:
        assert "${{" not in part.script
        unquoted = re.sub(r'"[^"]*"', "", part.script)
        assert not re.search(r"\$\w", unquoted.replace("$?", "")), part.script
    for file in DEPLOY.glob("jenkins/**/*"):
        if file.suffix == ".groovy" or file.name.startswith("Jenkinsfile"):
            assert not re.search(r"(?<!')\bsh(?: |\(script: )[\"/$]", file.read_text()), file.name


def test_every_variable_of_the_script_is_handed_on_by_jenkins_and_github() -> None:
    known = set(VARIABLE.findall(RELEASE.read_text()))
    (first, *_) = [part for part in github({}) if "LBCTL_WORD" in part.environment]
    assert known <= first.environment.keys()
    (claim, *_) = [part for part in jenkins("accounts", {}) if "LBCTL_WORD" in part.environment]
    assert known <= claim.environment.keys()


def test_a_jenkinsfile_hands_on_version_build_and_contract() -> None:
    given = {"VERSION": "2.0.7", "BUILD_URL": "https://ci-a/7"}
    _, claim, deploy, ready, wait, retired, stop = jenkins("accounts", given)
    assert (claim.environment["LBCTL_WORD"], claim.environment["LBCTL_BUILD"]) == ("claim", "https://ci-a/7")
    assert deploy.script == './deploy-to "$COLOUR" "$VERSION"'
    told = {name: text for name, text in ready.environment.items() if text}
    assert told["LBCTL_UNIT"] == "shop"
    assert (told["LBCTL_VERSION"], told["LBCTL_PROVIDES"]) == ("2.0.7", "accounts-api=2")
    assert (wait.environment["LBCTL_FOR"], wait.environment["LBCTL_TIMEOUT"]) == ("baked", "4h")
    assert (retired.environment["LBCTL_WORD"], retired.keeps) == ("retired", "OLD")
    assert stop.script == './stop "$OLD"'
    assert jenkins("storefront", given)[3].environment["LBCTL_REQUIRES"] == "accounts-api>=2,<3"


def test_a_build_that_is_superseded_or_waits_is_no_failure_anywhere() -> None:
    wait = (DEPLOY / "jenkins" / "vars" / "lbctlWait.groovy").read_text()
    assert {int(code) for code in re.findall(r"case (\d+):", wait)} == {0, *FATES}
    job = yaml.safe_load((DEPLOY / "gitlab" / "lbctl.gitlab-ci.yml").read_text())[".lbctl-release"]
    assert job["allow_failure"]["exit_codes"] == [22, 23, 25, 26]
    assert "25" in bitbucket()[2].script


@pytest.mark.parametrize("code", sorted(FATES | {2, 3, 5, 6, 7, 1, 255}))
def test_each_exit_code_passes_through_with_a_sentence_of_its_own(tmp_path: Path, code: int) -> None:
    said = fate(tmp_path, code)
    assert said.returncode == code
    assert said.stderr.startswith("release.sh: ")
    assert ("ended with" in said.stderr) == (code == 1)


def test_a_build_that_went_well_is_said_without_a_word(tmp_path: Path) -> None:
    said = fate(tmp_path, 0)
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


def fate(directory: Path, code: int) -> subprocess.CompletedProcess[str]:
    """Wait with an lbctl that ends so at once."""
    (directory / "lbctl").write_text(f"#!/bin/sh\nexit {code}\n")
    (directory / "lbctl").chmod(0o755)
    environment = {"PATH": f"{directory}:{os.environ['PATH']}", "LBCTL_SERVICE": "web", "LBCTL_BUILD": "https://ci/1"}
    return subprocess.run(
        ["sh", str(RELEASE), "wait"], env=environment, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize(
    ("words", "missing"),
    [(["claim"], "LBCTL_SERVICE"), (["ready"], "LBCTL_VERSION"), (["all"], "name the command"), (["more"], "usage")],
)
def test_what_is_missing_is_named(words: list[str], missing: str) -> None:
    environment = {"PATH": os.environ["PATH"]} | ({"LBCTL_SERVICE": "web"} if words == ["ready"] else {})
    said = subprocess.run(
        ["sh", str(RELEASE), *words], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert said.returncode == 2
    assert missing in said.stderr


def test_the_play_that_the_page_shows_is_the_one_of_the_collection() -> None:
    page = (DEPLOY.parent / "docs" / "how-to" / "ansible.md").read_text()
    assert f"```yaml\n{(DEPLOY / 'ansible' / 'playbooks' / 'release.yml').read_text()}```\n" in page


def test_every_module_of_the_collection_is_in_its_group_and_on_the_page() -> None:
    modules = {file.stem for file in DEPLOY.glob("ansible/plugins/modules/*.py")}
    runtime = yaml.safe_load((DEPLOY / "ansible" / "meta" / "runtime.yml").read_text())
    assert set(runtime["action_groups"]["control"]) == modules
    page = (DEPLOY.parent / "docs" / "how-to" / "ansible.md").read_text()
    assert [name for name in modules if f"| `lbctl.core.{name}` |" not in page] == []


@pytest.mark.parametrize("name", ["LBCTL_SERVICE", "LBCTL_UNIT"])
@pytest.mark.parametrize("word", ["claim", "ready", "withdraw", "all"])
def test_a_name_that_lbctl_would_take_for_an_option_is_refused(tmp_path: Path, word: str, name: str) -> None:
    (tmp_path / "lbctl").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "lbctl").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LBCTL_SERVICE": "web", "LBCTL_BUILD": "https://ci/1"}
    environment |= {"LBCTL_VERSION": "2", name: "--help"}
    said = subprocess.run(
        ["sh", str(RELEASE), word, "true"], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert said.returncode == 2
    assert "begins with a dash: --help" in said.stderr
