"""Put the native module into the wheel: built here, or by zig for the system in KEYHOLM_TARGET."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).parent))

from native import build


class NativeModule(BuildHookInterface[Any]):
    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What the isolated environment of the build needs besides hatchling."""
        return [] if build.system_compiler() and not self.target else ["ziglang"]

    @property
    def target(self) -> build.Target | None:
        named = os.environ.get("KEYHOLM_TARGET")
        return next(t for t in build.TARGETS if t.wheel == named) if named else None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel" or version == "editable":
            return
        folder = Path(tempfile.mkdtemp(prefix="keyholm-wheel-"))
        if self.target:
            module, platform = build.cross_build(self.target, folder), self.target.wheel
        else:
            module = build.build(folder / build.file_here())
            platform = build.platform_here()
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
        build_data["force_include"][str(module)] = f"keyholm/_native/{module.name}"
