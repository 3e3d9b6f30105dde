"""Keys behind vendors' PKCS#11 modules, each in a process of its own.

host       what such a process is: a module, loaded      answering  frames in, frames out
binding    the functions of a module, called by ctypes
"""
