"""Is this trail what was written? Reads everything, changes nothing, says what it is worth.

Damage is named with file, byte and record. A trail without damage is worth what stands
behind it: chain and signatures find accidents and every change by somebody who cannot sign
with the trail's own key, which lies beside it. Only a seal, a witness or a uid of its own
make it evidence against programs of the user who writes it: they could rewrite it whole,
or put an older copy in its place, and everything would fit.
"""

import os
import stat
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from keyholm.core.audit.claims import Copy, Signed
from keyholm.core.audit.folder import KEY, PENDING, TORN, VKEY, Folder
from keyholm.core.audit.note import BadNote, NoteVerifier, SigningKey, VerifyingKey
from keyholm.core.audit.pool import origin_of, trails
from keyholm.core.audit.records import Recovered
from keyholm.core.audit.report import Finding, Report, TrailReport
from keyholm.core.audit.walk import Overtaken, Walk

_BEGINNINGS: Final = 10
OTHERS_MAY_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


def verify(
    directory: Path, *, copies: Sequence[Copy] = (), seals: Sequence[NoteVerifier] = ()
) -> Report:
    """Every trail under `directory`: against itself, its siblings and its witnesses."""
    begun = time.time_ns() // 1000
    reports, walks = [], {}
    for path in trails(directory):
        walk, report = _verify_as_it_stands(path, copies, seals)
        reports.append(report)
        if walk is not None:
            walks[report.origin] = (walk, report)
    for walk, report in walks.values():
        _compare_siblings(walk, report, walks, begun)
    found = [finding for report in reports for finding in report.findings]
    return Report(tuple(reports), (*found, *_gone(copies, {each.origin for each in reports})))


def _verify_as_it_stands(
    path: Path, copies: Sequence[Copy], seals: Sequence[NoteVerifier]
) -> tuple[Walk | None, TrailReport]:
    """Files that go while they are read were pruned, so what is left is read once more."""
    report, gone = TrailReport(path.name), ""
    for _ in range(_BEGINNINGS):
        report = TrailReport(path.name)
        try:
            return _verify_trail(path, report, copies, seals), report
        except Overtaken as overtaken:
            gone = overtaken.file
    report.found(gone, "it was there when the files were listed, and could not be read")
    return None, report


def _verify_trail(
    path: Path, report: TrailReport, copies: Sequence[Copy], seals: Sequence[NoteVerifier]
) -> Walk | None:
    folder = Folder(path)
    try:
        vkey = _keys(folder, report)
        if vkey is None:
            return None
        # Signatures before records: a trail that is being written has the others by then.
        signed = Signed(folder, vkey, report, seals)
        state, claims = signed.state(), signed.claims()
        report.signed = max((claim.size for claim in claims), default=0)
        walk = Walk(folder, vkey, [*claims, *signed.copies(copies)], state, report)
        walk.run()
        _check_torn(folder, walk.recovered, report)
        report.separate = _is_separate(path, walk.callers)
    except OSError as error:
        report.found(str(error.filename or "a file"), f"it cannot be read: {error.strerror}")
        return None
    finally:
        folder.close()
    unsigned = report.records - report.signed
    if unsigned > 0 and not report.findings:
        report.remarks.append(f"the last {unsigned} records are not signed yet")
    return walk


def _keys(folder: Folder, report: TrailReport) -> VerifyingKey | None:
    try:
        vkey = VerifyingKey.parse(_line(folder.read(VKEY)))
    except ValueError as error:
        report.found(VKEY, str(error))
        return None
    report.origin = vkey.name
    if vkey.name != origin_of(folder.name, vkey.public):
        report.found(VKEY, f"it is the key of {vkey.name}")
    try:
        if SigningKey.parse(_line(folder.read(KEY))).verifying != vkey:
            report.found(KEY, f"it is not the private half of {VKEY}")
    except ValueError as error:
        report.found(KEY, str(error))
    except PermissionError:
        pass  # as it should be, for a reader with another uid
    return vkey


def _line(text: bytes | None) -> str:
    if text is None:
        raise BadNote("it is missing")
    if not text.endswith(b"\n") or text.count(b"\n") != 1:
        raise BadNote("this is not one line")
    return text[:-1].decode("ascii")


def _check_torn(folder: Folder, recovered: dict[str, Recovered], report: TrailReport) -> None:
    """What was moved aside is kept, as the record about it says."""
    for name in folder.names():
        if not name.startswith(TORN):
            continue
        record = recovered.pop(name, None)
        if record is None:
            waits = name.endswith(PENDING)
            report.remarks.append(f"{name}: " + ("to be recorded" if waits else "no record of it"))
        elif sha256(folder.read(name) or b"").hexdigest() != record.sha256:
            report.found(name, "it is not what was moved aside")
        else:
            report.remarks.append(f"{name}: {record.length} bytes that were no record")
    for name in recovered:
        if not (folder.path / (name + PENDING)).exists():
            report.found(name, "it was moved aside and is missing")


def _is_separate(path: Path, callers: set[int]) -> bool:
    found = path.stat()
    readers = callers or {os.getuid()}
    return found.st_uid not in readers and not found.st_mode & OTHERS_MAY_WRITE


def _compare_siblings(
    walk: Walk, report: TrailReport, walks: dict[str, tuple[Walk, TrailReport]], begun: int
) -> None:
    """Each start has recorded the newest checkpoint of every other trail."""
    for head, sibling in walk.siblings:
        if head.t_wall >= begun:
            continue  # it may know a checkpoint that came after we read that trail
        other = walks.get(sibling.origin)
        told = f"{report.name} saw {sibling.size} records at its record {head.seq}"
        if other is None:
            report.found("pool", f"{sibling.origin} is missing: {told}", record=head.seq)
            continue
        roots, their = other[0].roots, other[1]
        if sibling.size <= their.first or their.findings:
            continue
        root = roots.get(sibling.size)
        if root is None:
            their.found("checkpoints", f"one is missing, or the trail was put back: {told}")
        elif b64encode(root).decode() != sibling.root:
            their.found("checkpoints", f"the records are other ones: {told}")


def _gone(copies: Sequence[Copy], origins: set[str]) -> Iterator[Finding]:
    known = {}
    for copy in copies:
        for origin, offset, _ in copy.notes():
            if origin not in origins:
                known[origin] = (copy.source, offset)
    for origin, (source, offset) in known.items():
        yield Finding(origin, source, "a witness knows this trail, and it is not here", offset)
