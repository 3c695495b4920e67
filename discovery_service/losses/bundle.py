"""Writes a loss as a zip: its module, a trainer for TRL, a test of all of it, a recipe, and where it comes from.

The same facts give the same bytes on every machine: names in order, one fixed time, nothing compressed, for libraries
compress differently. `python test_loss.py` finds any byte that was changed afterwards.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping

from discovery_service.domain.families import Family
from discovery_service.losses.bundle_words import tell_notice
from discovery_service.losses.export import make_module, read_template
from discovery_service.losses.exported import Facts, Origin
from discovery_service.losses.provenance import describe_provenance
from discovery_service.losses.recipe import write_recipe

TRL = ">=1.16,<2"
"""The versions with which the adapter works."""
MODULE, PROVENANCE = "discovered_loss.py", "provenance.json"
_ADAPTER, _TEST = "trl_adapter.py", "test_loss.py"
_NO_DIGEST = "0" * 64
_TIME = (1980, 1, 1, 0, 0, 0)
_READABLE_FILE = 0o100644 << 16


def write_bundle(facts: Facts, origin: Origin) -> bytes:
    """Raises Refused where the stored source is no longer one of the loss language."""
    module = make_module(facts)
    adapter = _write_adapter(module.entry) if facts.family is Family.PAIRWISE else None
    files = {
        MODULE: module.text,
        _TEST: read_template("test_loss.py.txt").template,
        "recipe.yaml": write_recipe(facts, origin),
        "NOTICE.md": tell_notice(facts, trl=TRL if adapter else None),
        **({_ADAPTER: adapter} if adapter else {}),
    }
    told = describe_provenance(facts, origin, module, trl=TRL if adapter else None)
    contents = {name: text.encode() for name, text in files.items()}
    return _pack({**contents, PROVENANCE: _seal(told, contents)})


def _write_adapter(entry: str) -> str:
    return read_template("trl_adapter.py.txt").substitute(entry=entry, trl=TRL)


def _seal(told: Mapping[str, object], contents: Mapping[str, bytes]) -> bytes:
    """With the digest of every other file, and of itself as it is with zeros in that place."""
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    document = {**told, "files": digests, "contents_sha256": _NO_DIGEST}
    text = json.dumps(document, indent=2, sort_keys=True, allow_nan=False) + "\n"
    sealed = text.replace(_place(_NO_DIGEST), _place(hashlib.sha256(text.encode()).hexdigest()))
    return sealed.encode()


def _place(digest: str) -> str:
    return f'"contents_sha256": "{digest}"'


def _pack(contents: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(contents):
            entry = zipfile.ZipInfo(name, _TIME)
            # What the running system is would stand there otherwise.
            entry.create_system, entry.external_attr = 3, _READABLE_FILE
            archive.writestr(entry, contents[name])
    return packed.getvalue()
