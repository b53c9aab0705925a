"""What a process of the service may do: run as its ExecStartPre=, it prints one line of JSON, name -> what happened.

It imports nothing of ours, for it runs with the installed Python.
"""

import contextlib
import ctypes
import json
import mmap
import os
import resource
import socket
from collections.abc import Callable


def write(path: str) -> Callable[[], object]:
    def attempt() -> None:
        with open(path, "w") as file:  # noqa: PTH123
            file.write("x")
        os.unlink(path)  # noqa: PTH108

    return attempt


def read(path: str) -> Callable[[], object]:
    return lambda: os.close(os.open(path, os.O_RDONLY))


def libc(name: str, *arguments: int) -> Callable[[], object]:
    def attempt() -> None:
        function = getattr(ctypes.CDLL(None, use_errno=True), name)
        if function(*arguments) == -1:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    return attempt


def write_program() -> None:
    protection = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=protection).close()


def others() -> str:
    """Count the processes of other users that can be seen."""
    seen = 0
    for name in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208
        with contextlib.suppress(OSError):
            seen += os.stat(f"/proc/{name}").st_uid != os.getuid()  # noqa: PTH116
    return str(seen)


def credentials() -> str:
    return " ".join(sorted(os.listdir(os.environ.get("CREDENTIALS_DIRECTORY", "/var/empty"))))  # noqa: PTH208


CLONE_NEWUSER, PTRACE_ATTACH = 0x10000000, 16
ATTEMPTS: dict[str, Callable[[], object]] = {
    "write the state folder": write("/var/lib/soteira/probe"),
    "write the cache folder": write("/var/cache/soteira/probe"),
    "write /tmp": write("/tmp/probe"),
    "write /etc": write("/etc/probe"),
    "write /usr": write("/usr/probe"),
    "write /opt/soteira": write("/opt/soteira/probe"),
    "write /var/lib": write("/var/lib/probe"),
    "write the configuration": lambda: os.close(os.open("/etc/soteira.yaml", os.O_WRONLY)),
    "read the configuration": read("/etc/soteira.yaml"),
    "read the secrets' folder": lambda: os.listdir("/etc/soteira/secrets"),  # noqa: PTH208
    "read /home": lambda: os.listdir("/home"),  # noqa: PTH208
    "read /root": lambda: os.listdir("/root"),  # noqa: PTH208
    "read /etc/shadow": read("/etc/shadow"),
    "change the kernel's settings": lambda: os.close(os.open("/proc/sys/kernel/hostname", os.O_WRONLY)),
    "open /dev/kmsg": read("/dev/kmsg"),
    "open /dev/video0": read("/dev/video0"),
    "open /dev/dri/renderD128": read("/dev/dri/renderD128"),
    "open a raw socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close(),
    "open a netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW).close(),
    "open an IPv6 socket": lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close(),
    "write a program": write_program,
    "take another processor": lambda: os.sched_setaffinity(0, {0}),
    "go before others": lambda: os.nice(-5),
    "make a user namespace": libc("unshare", CLONE_NEWUSER),
    "become root": lambda: os.setuid(0),
    "look into systemd": libc("ptrace", PTRACE_ATTACH, 1, 0, 0),
    "mount something": libc("mount", 0, 0, 0, 0, 0),
}
ANSWERS: dict[str, Callable[[], str]] = {
    "processes of others": others,
    "credentials": credentials,
    "core": lambda: str(resource.getrlimit(resource.RLIMIT_CORE)[1]),
    "devices": lambda: " ".join(sorted(os.listdir("/dev"))),  # noqa: PTH208
    "groups": lambda: " ".join(map(str, sorted(os.getgroups()))),
}


def outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return error.strerror or str(error)
    return "done"


def answer(question: Callable[[], str]) -> str:
    try:
        return question()
    except OSError as error:
        return error.strerror or str(error)


found = {name: outcome(attempt) for name, attempt in ATTEMPTS.items()}
found |= {name: answer(question) for name, question in ANSWERS.items()}
print("probe:", json.dumps(found), flush=True)
