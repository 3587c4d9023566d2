"""The shell parts of the recipes under deploy/, as each CI would run them: taken from the files, in their order."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
EXPRESSION = re.compile(r"\$\{\{ *(.+?) *\}\}")
GROOVY_NAME = re.compile(r'"(LBCTL_\w+)=\$\{(.+)\}(?:/release\.sh)?"')
GROOVY_ENVIRONMENT = re.compile(r"^ +(\w+) = '([^']*)'$", re.MULTILINE)
GROOVY_CALL = re.compile(r"\b(?:sh '(?P<sh>[^']*)'|lbctl(?P<word>Claim|Ready|Wait|Retired)\((?P<given>[^)]*)\))")
GROOVY_GIVEN = re.compile(r"(\w+): (?:'([^']*)'|env\.(\w+)|\['([^']*)'\])")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """One shell script with what its CI puts into the environment. `keeps`: what its output is called later."""

    script: str
    environment: dict[str, str] = field(default_factory=dict)
    shell: tuple[str, ...] = ("sh", "-e", "-c")
    keeps: str | None = None


def jenkins(service: str, there: dict[str, str]) -> list[Part]:
    """Return the steps of a Jenkinsfile, those of the shared library written out."""
    text = (DEPLOY / "jenkins" / f"Jenkinsfile.{service}").read_text()
    there = {**there, **dict(GROOVY_ENVIRONMENT.findall(text))}
    run = (DEPLOY / "jenkins" / "vars" / "lbctlRun.groovy").read_text()
    (script,) = set(re.findall(r"sh\(script: '([^']*)'", run))
    names = dict(GROOVY_NAME.findall(run))
    parts = []
    for call in GROOVY_CALL.finditer(text):
        if call["sh"] is not None:
            parts.append(Part(call["sh"], there))
            continue
        given = {key: text or there.get(variable, "") or listed for key, text, variable, listed in given_in(call)}
        known = {"word": call["word"].lower(), "directory": str(DEPLOY / "jenkins/resources/lbctl"), **given}
        environment = {name: groovy(source, known, there) for name, source in names.items()}
        environment["LBCTL_RELEASE"] += "/release.sh"
        parts.append(Part(script, environment, keeps={"Claim": "COLOUR", "Retired": "OLD"}.get(call["word"])))
    return parts


def given_in(call: re.Match[str]) -> list[tuple[str, str, str, str]]:
    """Return key, text, variable and list of what a step is given."""
    found: list[tuple[str, str, str, str]] = GROOVY_GIVEN.findall(call["given"])
    return found


def groovy(source: str, known: dict[str, str], there: dict[str, str]) -> str:
    """Return what `a.b ?: c` comes to, for the few forms that lbctlRun has."""
    for one in source.split(" ?: "):
        word = one.strip("()").removesuffix(".join(' ')").split(" ?:")[0].strip("()")
        found = there.get(word[4:], "") if word.startswith("env.") else known.get(word.removeprefix("given."), "")
        if found:
            return found
    return ""


def gitlab() -> list[Part]:
    """Return the scripts of the three jobs."""
    jobs = yaml.safe_load((DEPLOY / "gitlab" / "lbctl.gitlab-ci.yml").read_text())
    return [Part("\n".join(jobs[f".lbctl-{name}"]["script"])) for name in ("claim", "deploy", "release")]


def bitbucket() -> list[Part]:
    """Return the scripts of the three steps. Bitbucket runs each with its own variables, so each is one shell."""
    found = yaml.safe_load((DEPLOY / "bitbucket" / "bitbucket-pipelines.yml").read_text())
    return [Part("\n".join(one["step"]["script"])) for one in found["definitions"]["steps"]]


def github(context: dict[str, str]) -> list[Part]:
    """Return the steps of the example workflow, those of the action written out. `context`: what expressions give."""
    action = yaml.safe_load((DEPLOY / "github" / "action.yml").read_text())
    workflow = yaml.safe_load((DEPLOY / "github" / "release.yml").read_text())
    parts = []
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            if "if" in step:
                continue  # What is done after a failure.
            if "run" in step:
                parts.append(Part(step["run"], expanded(step.get("env", {}), context)))
            elif "deploy/github" in step["uses"]:
                parts.append(_action(action, expanded(step["with"], context), context))
    return parts


def _action(action: Json, given: dict[str, str], context: dict[str, str]) -> Part:
    assert given.keys() <= action["inputs"].keys()
    inputs = {key: given.get(key, one.get("default", "")) for key, one in action["inputs"].items()}
    (step,) = action["runs"]["steps"]
    known = {**context, **{f"inputs.{key}": value for key, value in inputs.items()}}
    return Part(step["run"], expanded(step["env"], known), keeps="outputs" if inputs["do"] == "claim" else None)


def expanded(found: dict[str, Any], context: dict[str, str]) -> dict[str, str]:
    """Return texts with their expressions replaced; `a || b` is the first that is not empty."""

    def value(match: re.Match[str]) -> str:
        return next((text for one in match[1].split(" || ") if (text := context.get(one, ""))), "")

    return {key: EXPRESSION.sub(value, str(one)) for key, one in found.items()}
