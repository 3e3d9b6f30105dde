"""The version, where neither the package's metadata nor a build is needed to know it."""

VERSION = "0.1.0"
