"""Runs schemathesis over all operations of the contract: the tenant's, and then the operator's.

In two runs, because an operator's requests may suspend the tenant.
"""

import os
import random
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CONTRACT = HERE.parents[2] / "openapi.yaml"
RUNS = [("--exclude-path-regex", "TENANT_TOKEN"), ("--include-path-regex", "OPERATOR_TOKEN")]


def main() -> int:
    seed = os.environ.get("SEED") or str(random.randrange(2**32))
    print(f"SEED={seed}", flush=True)
    failed = 0
    for selection, token in RUNS:
        command = [
            Path(sys.executable).with_name("st"),
            *("--config-file", HERE / "schemathesis.toml", "run", CONTRACT, "--url", os.environ["API_URL"]),
            *("--header", f"Authorization: Bearer {os.environ[token]}", "--seed", seed, selection, "^/admin/"),
        ]
        # The hooks are imported by their name, and leave nothing in the source tree.
        variables = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
        failed += subprocess.run([sys.executable, *command], cwd=HERE, env=variables, check=False).returncode != 0
    return failed


sys.exit(main())
