"""What cyclonedx-py says of an environment in; an SBOM of what is shipped alone, and a list of its licences, out.

`python .ci/sbom.py RAW.json OUT.cdx.json LICENCES.txt`, by the Python of that environment. Tools of the extra `dev` and
what only they need are left out; the scripts and fonts that lie in the package (vendored.json) are added, with the hash
of their file. Ends with 1 where something has no licence, or one that is not listed here: then a person looks.
"""

import json
import re
import sys
import tomllib
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
ALLOWED = re.compile(
    r"(?:MIT|MIT-0|MIT-CMU|0BSD|ISC|Zlib|Unlicense|CC0-1\.0|Apache-2\.0|PSF-2\.0|Python-2\.0|MPL-2\.0|OFL-1\.1|BSL-1\.0|BSD-[23]-Clause"
    r"|NCSA|CNRI-Python|GCC-exception-3\.1|LLVM-exception)"
)
# What says it in other words, or not at all, in its metadata; read in its licence file. LGPL is used as it comes.
READ = {"protobuf": "BSD-3-Clause", "ray": "Apache-2.0", "psycopg": "LGPL-3.0-only", "psycopg-binary": "LGPL-3.0-only"}
SAID = {
    "Apache 2.0": "Apache-2.0", "Apache Software License": "Apache-2.0", "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0", "Apache2": "Apache-2.0", "BSD License": "BSD-3-Clause",
    "BSD": "BSD-3-Clause", "MIT License": "MIT", "The MIT License (MIT)": "MIT", "3-Clause BSD License": "BSD-3-Clause",
    "Modified BSD License": "BSD-3-Clause", "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "ISC License (ISCL)": "ISC", "License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "License :: OSI Approved :: MIT License": "MIT", "License :: OSI Approved :: Apache Software License": "Apache-2.0",
}  # fmt: skip


def plain(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licence(component: dict) -> str:
    """The licence as an SPDX expression, or in the component's own words; empty where it has none."""
    name, found = plain(component["name"]), component.get("licenses", [])
    if name in READ:
        return READ[name]
    said = [each.get("expression") or each["license"].get("id") or each["license"].get("name", "") for each in found]
    said = [SAID.get(each, each) for each in said]
    return next((each for each in said if fits(each)), said[0] if said else "")


def fits(expression: str) -> bool:
    """Whether every licence of an expression is one that may be shipped; of alternatives one is enough."""
    either = [part for part in re.split(r"\s+OR\s+", expression.replace("(", " ").replace(")", " ")) if part.strip()]
    return any(all(ALLOWED.fullmatch(each) for each in re.split(r"\s+(?:AND|WITH)\s+", one.strip())) for one in either)


def asked_for() -> set[str]:
    """Names of all packages that promolift and its extras need where this runs, those of `dev` left out."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [parts for name, parts in project["optional-dependencies"].items() if name != "dev"]
    more = [Requirement(each) for parts in (project["dependencies"], *extras) for each in parts]
    found: set[tuple[str, str]] = set()  # package and extra
    while more:
        one = more.pop()
        for extra in {"", *one.extras}:
            if (key := (plain(one.name), extra)) in found or (one.marker and not one.marker.evaluate({"extra": ""})):
                continue
            found.add(key)
            for each in map(Requirement, needs_of(one.name)):
                if each.marker is None or each.marker.evaluate({"extra": extra}):
                    more.append(Requirement(f"{each.name}[{','.join(each.extras)}]" if each.extras else each.name))
    return {name for name, _ in found}


def needs_of(name: str) -> list[str]:
    """What an installed package says that it needs; nothing where it is not installed, which `shipped` tells of."""
    try:
        return requires(name) or []
    except PackageNotFoundError:
        return []


def shipped(raw: dict) -> dict:
    """The SBOM without what only developers need."""
    names, root = asked_for(), raw["metadata"]["component"]["bom-ref"]
    components = [each for each in raw["components"] if plain(each["name"]) in names]
    if missing := names - {plain(each["name"]) for each in components}:
        sys.exit(f"not installed here, so that nothing is known of them: {', '.join(sorted(missing))}")
    refs = {root, *(each["bom-ref"] for each in components)}
    needs = {each["ref"]: [of for of in each.get("dependsOn", []) if of in refs] for each in raw["dependencies"]}
    dependencies = [{"ref": ref, "dependsOn": of} for ref, of in needs.items() if ref in refs]
    for each in json.loads((ROOT / ".ci" / "vendored.json").read_text("utf-8")):
        digest = sha256((ROOT / "src" / "promolift" / each["file"]).read_bytes()).hexdigest()
        components.append({
            "type": "library", "bom-ref": each["purl"], "name": each["name"], "version": each["version"],
            "purl": each["purl"], "licenses": [{"license": {"id": each["license"]}}],
            "hashes": [{"alg": "SHA-256", "content": digest}],
            "properties": [{"name": "promolift:file", "value": each["file"]}],
        })  # fmt: skip
        dependencies.append({"ref": each["purl"]})
    return raw | {"components": components, "dependencies": dependencies}


def main(source: str, out: str, text: str) -> None:
    """Write both files."""
    made = shipped(json.loads(Path(source).read_text("utf-8")))
    Path(out).write_text(json.dumps(made, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")
    found = sorted((plain(each["name"]), each["version"], licence(each)) for each in made["components"])
    Path(text).write_text("".join(f"{name} {version}: {said or 'UNKNOWN'}\n" for name, version, said in found), "utf-8")
    unclear = [f"{name}: {said or 'none'}" for name, _, said in found if not fits(said) and name not in READ]
    print(f"{out}: {len(found)} components; {text}: their licences")
    if unclear:
        sys.exit("look at these licences, and list them in .ci/sbom.py: " + "; ".join(unclear))


if __name__ == "__main__":
    main(*sys.argv[1:])
