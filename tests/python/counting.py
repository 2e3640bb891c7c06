"""What the checks of the Python package share: counting, expected errors, the program itself. usage: a check is called with EHM FOLDER."""

import subprocess
import sys

program, folder = sys.argv[1], sys.argv[2]
_checks = _bad = 0


def check(what: str, ok: bool) -> None:
    global _checks, _bad
    _checks += 1
    if not ok:
        _bad += 1
        print("wrong:", what)


def fails(what: str, kind: type, part: str, f: object) -> None:
    try:
        f()  # type: ignore[operator]
    except Exception as e:  # noqa: BLE001
        check(f"{what}: {type(e).__name__} {e}", isinstance(e, kind) and part in str(e))
    else:
        check(f"{what}: no error", False)


def run(*arguments: str) -> None:
    subprocess.run([program, *arguments, "--quiet"], check=True, stdout=subprocess.DEVNULL)


def end(of: str) -> None:
    """Says the count and ends the program: 1 where something was wrong."""
    print(f"{of}: {_checks} checks, {_bad} wrong")
    sys.exit(_bad > 0)
