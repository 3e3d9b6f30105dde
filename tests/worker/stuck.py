"""A service that never begins."""

import time


def main() -> None:
    time.sleep(600)
