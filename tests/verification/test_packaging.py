"""What is installed from a wheel or a source distribution works outside the checkout, and holds nothing else."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.source_tree import PACKAGES, REPO

pytestmark = pytest.mark.slow


def run(command: list[str], folder: Path, **added: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, cwd=folder, env=environment | added, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel that is built from the source distribution, which is built from the checkout."""
    folder = tmp_path_factory.mktemp("built")
    checkout = folder / "checkout"
    files = run(["git", "ls-files", "-z"], REPO).stdout.split("\0")
    for name in filter(None, files):
        if (REPO / name).is_file():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            (checkout / name).write_bytes((REPO / name).read_bytes())
    make = "import setuptools.build_meta as m; m.build_sdist({!r})"
    done = run([sys.executable, "-c", make.format(str(folder))], checkout)
    assert done.returncode == 0, done.stderr
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "sdist", filter="data")
    (unpacked,) = (folder / "sdist").iterdir()
    make = "import setuptools.build_meta as m; m.build_wheel({!r})"
    done = run([sys.executable, "-c", make.format(str(folder))], unpacked)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def installed(built: Path) -> Path:
    """The folder that the wheel is installed into, without what it depends on, which is here."""
    (wheel,) = built.glob("*.whl")
    target = built / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet", "--target", str(target)]
    done = run([*pip, str(wheel)], built)
    assert done.returncode == 0, done.stderr
    return target


def test_the_wheel_holds_the_packages_their_types_and_their_templates_alone(built: Path):
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == set(PACKAGES)
    for package in PACKAGES:
        assert {f"{package}/py.typed", f"{package}/__init__.pyi"} <= set(names)
    kept = {path.suffix for path in map(Path, names) if ".dist-info" not in str(path)}
    assert kept == {".py", ".pyi", ".typed", ".html", ".md", ".json"}
    of_data = [*(REPO / "diagnostics").rglob("*.html"), *(REPO / "diagnostics").rglob("*.json")]
    assert {path.relative_to(REPO).as_posix() for path in of_data} <= set(names)


def test_a_verdict_is_written_outside_the_checkout(installed: Path, tmp_path: Path):
    command = [str(installed / "bin" / "gpcp"), "diagnose", "--source", "synthetic:scale_free/6", "--model", "seed"]
    done = run([sys.executable, *command, "--only", "exact", "--html", "v.html"], tmp_path, PYTHONPATH=str(installed))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "GP310" in done.stdout
    assert "<html" in (tmp_path / "v.html").read_text(encoding="utf-8")
    where = run([sys.executable, "-c", "import gpcp; print(gpcp.__file__)"], tmp_path, PYTHONPATH=str(installed))
    assert where.stdout.startswith(str(installed))


def test_completion_is_offered(installed: Path, tmp_path: Path):
    done = run(
        [sys.executable, str(installed / "bin" / "gpcp"), "--install-completion", "--shell", "bash", "--help"],
        tmp_path,
        PYTHONPATH=str(installed),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "completion" in done.stdout
