"""Takes a lock away from the kernel below it, as an odd host would: `python -I outer.py WHICH COMMAND...`.

`seccomp`: no filter can be installed any more. `landlock`: the kernel seems to be one without it.
"""

import errno
import os
import sys

from workers.jail import landlock, seccomp
from workers.jail.kernel import PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, prctl

FORBIDDEN = {
    "seccomp": seccomp.on_call(
        seccomp.NUMBERS["prctl"],
        seccomp.load(seccomp.low_word(0)),
        seccomp.jump_if_equal(PR_SET_SECCOMP, 0, 1),
        seccomp.DENY,
        seccomp.PERMIT,
    ),
    "landlock": seccomp.on_call(landlock.CREATE_RULESET, seccomp.end(seccomp.fail_with(errno.ENOSYS))),
}


def main(which: str, command: list[str]) -> None:
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    seccomp.install(b"".join([seccomp.load(seccomp.NUMBER), *FORBIDDEN[which], seccomp.PERMIT]))
    os.execv(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
