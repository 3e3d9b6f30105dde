"""Appends to a trail and says so, until it is killed: `trail_writer.py HOME COUNT written|durable`.

Prints the number of each record after `append` has returned, one a line and at once.
"""

import os
import sys
from pathlib import Path

from keyholm.core.audit.background import Timing
from keyholm.core.audit.pool import open_trail
from keyholm.core.audit.records import Operation
from keyholm.core.audit.segments import Sizes
from keyholm.core.audit.trail import Settings

KIB = 1024
DIGEST = "ab" * 32
SETTINGS = Settings(
    sizes=Sizes(segment=64 * KIB, reserve=64 * KIB, step=16 * KIB),
    timing=Timing(sync_within=0.002, checkpoint_records=16, checkpoint_within=0.01),
    keep=512 * KIB,
)


def main(home: str, count: str, durability: str) -> None:
    trail = open_trail(Path(home), "serve", settings=SETTINGS)
    for number in range(int(count)):
        record = Operation(
            0, "agent", "sign", "eddsa", DIGEST, "disk", "main", DIGEST, 120, latency=number
        )
        done = trail.append(record, durable=durability == "durable")
        os.write(1, b"%d\n" % done)
    trail.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
