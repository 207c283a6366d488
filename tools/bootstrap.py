"""Makes the environment that all commands of the project run in.

usage: python tools/bootstrap.py VENV CONSTRAINTS

Needs only the standard library of the interpreter that runs it, which becomes that of the environment.
May be run again at any time: what is in place is kept, what is broken is made anew, and a second run waits
for the first.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STEPS = 3
SHOWN_ON_FAILURE = 60  # lines of pip's output


class SetupError(Exception):
    """Setting up cannot go on; the message says why and what to do."""


def main(venv: Path, constraints: Path) -> None:
    with Path(f"{venv}.lock").open("w") as lock:
        wait_for(lock.fileno())
        if is_ready(venv, constraints):
            return
        python = venv / "bin" / "python"
        stamp = stamp_of(venv)
        if not is_usable(venv):
            create(venv, constraints)
        stamp.unlink(missing_ok=True)
        say(2, "pip and setuptools")
        pip(python, 2, "--constraint", constraints, "--upgrade", "pip", "setuptools")
        say(3, "Airflow, the tools, and the package itself (a minute or two) …")
        pip(
            python,
            3,
            *("--constraint", constraints),
            *("--group", f"{ROOT / 'pyproject.toml'}:dev"),
            # setuptools is here already, at the version that is pinned
            *("--no-build-isolation", "--editable", ROOT),
        )
        stamp.write_text(f"{ROOT}\n")


def stamp_of(venv: Path) -> Path:
    """The file that says: complete, and made for this place (environments cannot be moved)."""
    return venv / ".stamp"


def is_ready(venv: Path, constraints: Path) -> bool:
    stamp = stamp_of(venv)
    return (
        stamp.exists()
        and stamp.read_text().strip() == str(ROOT)
        and all(stamp.stat().st_mtime >= f.stat().st_mtime for f in (constraints, ROOT / "pyproject.toml"))
    )


def is_usable(venv: Path) -> bool:
    """Whether the environment runs and belongs to this place."""
    python = venv / "bin" / "python"
    if not python.exists():
        return False
    stamp = stamp_of(venv)
    if stamp.exists() and stamp.read_text().strip() != str(ROOT):
        return False
    return subprocess.run([python, "-c", "import pip"], capture_output=True, check=False).returncode == 0


def create(venv: Path, constraints: Path) -> None:
    say(1, f"creating {venv.name} with Python {'.'.join(map(str, sys.version_info[:3]))}")
    if venv.exists():
        if not (venv / "pyvenv.cfg").exists() and any(venv.iterdir()):
            raise SetupError(f"{venv} is in the way and is not a Python environment; move it away.")
        shutil.rmtree(venv)
    if importable("ensurepip"):
        run([sys.executable, "-m", "venv", venv])
        return
    # Debian's python3 without python3-venv cannot put pip into an environment; its own pip can.
    if not importable("pip"):
        raise SetupError(
            f"{sys.executable} can make no environment: it has neither ensurepip nor pip.\n"
            "Debian, Ubuntu: apt-get install python3-venv. Or name another one: make PYTHON=/path/to/python3"
        )
    run([sys.executable, "-m", "venv", "--without-pip", venv])
    install: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        venv / "bin" / "python",
        "install",
        "--quiet",
    ]
    run([*install, "--constraint", constraints, "pip"])


def importable(module: str) -> bool:
    probe = [sys.executable, "-c", f"import {module}"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def pip(python: Path, step: int, *arguments: str | Path) -> None:
    """``pip install``, silent but for a count of the packages it has found so far."""
    command = [
        python,
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--progress-bar",
        "off",
        *arguments,
    ]
    lines: list[str] = []
    found, installing, shown = 0, False, time.monotonic()
    process = subprocess.Popen(
        list(map(str, command)), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    with process:
        for line in process.stdout or ():
            lines.append(line)
            found += line.startswith(("Collecting ", "Processing "))
            if line.startswith("Installing collected packages"):
                installing = True
                say(step, f"installing {line.count(',') + 1} …")
            elif not installing and time.monotonic() - shown > 10:
                say(step, f"{found} packages found so far …")
                shown = time.monotonic()
    if process.returncode:
        sys.stderr.writelines(lines[-SHOWN_ON_FAILURE:])
        raise SetupError(f"pip failed (status {process.returncode}); its last words are above.")


def run(command: Sequence[str | Path]) -> None:
    done = subprocess.run(
        list(map(str, command)), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode:
        sys.stderr.write(done.stdout)
        raise SetupError(f"{command[0]} failed (status {done.returncode}); its words are above.")


def wait_for(lock: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("waiting for another set-up of the same environment …", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


def say(step: int, what: str) -> None:
    print(f"[{step}/{STEPS}] {what}", flush=True)


if __name__ == "__main__":
    os.environ.pop("PYTHONHOME", None)
    try:
        main(Path(os.path.abspath(sys.argv[1])), Path(os.path.abspath(sys.argv[2])))
    except SetupError as error:
        sys.exit(f"set-up: {error}")
    except KeyboardInterrupt:
        sys.exit("set-up: interrupted; run make again to go on.")
