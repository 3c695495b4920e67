"""The jail: each job on a candidate runs in a process that can compute, answer on a pipe, and nothing else.

A warm zygote (trusted code, no secret, one thread) forks a child for every job; the child locks itself for good before
it looks at the request: descriptors, uid, no-new-privileges, undumpable, Landlock, rlimits, seccomp. At start canary
attacks prove the lock; the isolation level follows from what they could do, never from what was configured.

A locked child opens no file, so what libraries load late is loaded by the zygote (`late_imports`, `warm_up`); a child
that lacks something all the same says so, and that is never the candidate's fault.

Covered, native code included: files and metadata, environment, programs, new native code, processes and threads,
signals, network and other sockets, shared memory, the kernel's wider surface, memory, processor and wall time, output.

Not covered: faults of the kernel in the few calls that stay open (mmap, futex, write, ...); side channels of the
processor; what a child learns from the zygote's own memory (its code, its hash seed, its address layout; neither
secrets nor other candidates are in it); a poisoned torch. There are no namespaces and no cgroup: memory is bounded by
address space, for one child at a time. Without Landlock the filter stands alone (level "seccomp"); machines other than
x86-64 get no filter (level "unavailable"). It needs no privilege, so a container under Docker's default profile will
do; no test of this repository runs inside one.
"""
