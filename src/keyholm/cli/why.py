"""The command why: the last refusals with their sentence and what to do."""

import os
import time
from typing import Any

from keyholm.cli import output


def add_why(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "why", description="The last refusals and failures, newest last, with the way out."
    )
    parser.add_argument("-n", type=int, default=3, metavar="COUNT", help="how many (3)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=why)


def why(options: Any) -> int:
    from keyholm.cli.log import refusals
    from keyholm.daemon import places

    found = refusals(places.find(os.environ).trail, max(1, min(options.n, 1000)))
    if options.json:
        return output.as_json({"refusals": found})
    if not found:
        print("Nothing was refused.")
    for each in found:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(each["t_wall"] / 1e6))
        who = each.get("exe") or each.get("command") or f"uid {each.get('uid', '?')}"
        what = each.get("op") or each.get("action") or ""
        print(output.painted(f"{when}  {what} by {output.shown(str(who))}", output.BOLD))
        print(f"  {each.get('error', '')}: {output.shown(str(each.get('what', '')))}")
    return 0
