"""Python code of the model's, run in a process of its own that can reach nothing.

What must be there, or no code is run: Linux on x86-64, seccomp (system calls by an allow-list: no sockets, no
processes, no signals to others, no ptrace), Landlock (no files but the standard library, read only, and a scratch
folder), rlimits and NO_NEW_PRIVS. What is added where the system lets us: namespaces (an empty network, a root folder
of its own, a scratch folder in memory with a limit) and, as root, another user id.

`launch`, `seccomp`, `landlock`, `namespaces` and `libc` run inside that process and import nothing but the standard
library.
"""
