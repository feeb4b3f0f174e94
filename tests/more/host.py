"""CPython as the host. usage: host.py LIBRARY free|plugin_free"""
import ctypes
import sys

library = ctypes.CDLL(sys.argv[1])
give_back = ctypes.CDLL(None).free if sys.argv[2] == "free" else library.plugin_free
give_back.argtypes, give_back.restype = [ctypes.c_void_p], None
library.plugin_report.restype = ctypes.c_void_p
library.plugin_work.argtypes, library.plugin_work.restype = [ctypes.c_size_t], ctypes.c_size_t

for i in range(1000):
    line = library.plugin_report()
    if i == 0:
        print(ctypes.string_at(line).decode())
    give_back(line)
assert library.plugin_work(1 << 20) == 1 << 20
print("done")
