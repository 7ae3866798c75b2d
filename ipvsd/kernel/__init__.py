"""One module for each interface of the kernel: files and sockets become plain data.

What the data means for the guard is decided in other rooms.
"""
