"""Generates models in five languages and checks that whatever the contract calls `int64` is held in 64 bits there.

Usage: widths.py FOLDER_FOR_THE_GENERATED_CODE
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from openapi_generator_cli import __file__ as generator

CONTRACT = Path(__file__).resolve().parents[2] / "openapi.yaml"
JAR = Path(generator).parent / "openapi-generator.jar"

# How each language declares the member `{name}` with a type of 64 bits. Names differ in their case only.
DECLARATIONS = {
    "java": r"private (?:@?\w+\.)*Long {name}\b",
    "kotlin": r"val {name}: (?:kotlin\.)?Long\??",
    "go": r"{name} (?:\*|Nullable)?[Ii]nt64\b",
    # A name that the class has already gets a prefix.
    "csharp": r"public long\?? (?:Var)?{name} {{",
    "rust": r"pub {name}: (?:Option<)*i64\b",
}
SUFFIXES = {"java": ".java", "kotlin": ".kt", "go": ".go", "csharp": ".cs", "rust": ".rs"}


def wide_members(contract: dict[str, Any]) -> list[tuple[str, str]]:
    """The members of schemas that are of 64 bits, each with the name of its schema."""
    schemas = contract["components"]["schemas"]

    def is_wide(schema: dict[str, Any]) -> bool:
        reference = schema.get("$ref")
        return is_wide(schemas[reference.rsplit("/", 1)[1]]) if reference else schema.get("format") == "int64"

    return [
        (name, member)
        for name, schema in schemas.items()
        for member, definition in schema.get("properties", {}).items()
        if is_wide(definition)
    ]


def generate(language: str, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    command = ["java", "-jar", JAR, "generate", "--generator-name", language, "--input-spec", CONTRACT, "--output", folder]
    models = "models,modelTests=false,modelDocs=false,apiTests=false,apiDocs=false"
    run = subprocess.run([*command, "--global-property", models], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise SystemExit(f"{language}: {run.stdout[-4000:]}{run.stderr[-4000:]}")


def models(language: str, folder: Path) -> dict[str, str]:
    """The text of each generated model, by its schema's name without its case and underscores."""
    files = [path for path in folder.rglob(f"*{SUFFIXES[language]}") if "test" not in str(path.relative_to(folder)).lower()]
    return {re.sub(r"^model_|_", "", path.stem).lower(): path.read_text() for path in files}


def main() -> None:
    members = wide_members(yaml.safe_load(CONTRACT.read_text()))
    assert ("Record", "version") in members and ("Usage", "limit") in members, members
    wrong = []
    for language, declaration in DECLARATIONS.items():
        folder = Path(sys.argv[1]) / language
        generate(language, folder)
        found = models(language, folder)
        for schema, member in members:
            words = re.sub(r"([A-Z])", r"_?\1", member)
            if not re.search(declaration.format(name=words), found.get(schema.lower(), ""), re.IGNORECASE):
                wrong.append(f"{language}: {schema}.{member}")
        print(f"{language}: {len(members)} members of 64 bits in {len(found)} models")
    if wrong:
        raise SystemExit("not held in 64 bits: " + ", ".join(wrong))


main()
