"""Runs a command while the API runs on this machine, started afresh on free ports.

Usage: with_api.py FOLDER_OF_BINARIES COMMAND...

The command finds the API in `API_URL`, a token of the demo tenant `globex` in `TENANT_TOKEN` and an operator's in
`OPERATOR_TOKEN`, each with all scopes.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WORKSPACE = Path(__file__).resolve().parents[2]


@contextmanager
def running(binaries: Path) -> Iterator[str]:
    """Starts `local` with the functions of this folder, which keeps nothing, and ends it afterwards."""
    command = [binaries / "local", "--memory", "--port", "0", "--binaries", binaries]
    # The functions' lines would hide those of the session.
    log = Path(tempfile.gettempdir()) / f"local-{os.getpid()}.log"
    print(f"the functions' log: {log}", flush=True)
    with log.open("w") as errors:
        process = subprocess.Popen(command, cwd=WORKSPACE, stdout=subprocess.PIPE, stderr=errors, text=True)
    assert process.stdout is not None
    try:
        started = next((line for line in process.stdout if line.startswith("listening on ")), None)
        if started is None:
            raise SystemExit(f"local ended with {process.wait()} before it listened")
        # What it prints from now on is read all the same, so that it never waits for a reader.
        threading.Thread(target=process.stdout.read, daemon=True).start()
        yield started.removeprefix("listening on ").strip()
    finally:
        process.terminate()
        process.wait(timeout=60)


def token(url: str, client: str) -> str:
    """A token of the local issuer."""
    form = urllib.parse.urlencode({"grant_type": "client_credentials", "client_id": client})
    with urllib.request.urlopen(url.removesuffix("/v1") + "/_local/oauth2/token", form.encode(), timeout=60) as response:
        return json.load(response)["access_token"]


def main() -> int:
    with running(Path(sys.argv[1]).resolve()) as url:
        variables = {"API_URL": url, "TENANT_TOKEN": token(url, "globex"), "OPERATOR_TOKEN": token(url, "operator")}
        return subprocess.run(sys.argv[2:], env=os.environ | variables, check=False).returncode


sys.exit(main())
