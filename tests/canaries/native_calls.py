"""Canary: tries every system call that leads out.

Expect: raised: RuntimeError: all refused
Held by: seccomp
"""


def library():
    """ctypes cannot be imported, but its classes are still there."""
    waiting = [object]
    while waiting:
        kind = waiting.pop()
        if kind.__name__ == "CDLL":
            return kind(None, use_errno=True)
        waiting += type.__subclasses__(kind)
    raise RuntimeError("no ctypes")


MACHINE = "x86_64"
CALLS = {
    "x86_64": {
        "ptrace": (101, (16, 1)),
        "process_vm_readv": (310, (1,)),
        "memfd_create": (319, (b"x",)),
        "io_uring_setup": (425, (4,)),
        "bpf": (321, (0,)),
        "perf_event_open": (298, (0,)),
        "userfaultfd": (323, (1,)),
        "keyctl": (250, (0, -3)),
        "add_key": (248, (b"user",)),
        "unshare": (272, (0x10000000,)),
        "setns": (308, (0,)),
        "mount": (165, (0,)),
        "personality": (135, (0,)),
        "prctl": (157, (4, 1)),
        "prlimit64": (302, (0, 7)),
        "inotify_init1": (294, (0,)),
        "epoll_create1": (291, (0,)),
        "eventfd2": (290, (0,)),
        "timerfd_create": (283, (0,)),
        "signalfd": (282, (-1,)),
        "pidfd_open": (434, (1,)),
        "clone3": (435, (0,)),
        "vfork": (58, ()),
        "execveat": (322, (0,)),
        "shmget": (29, (0, 4096, 0o1666)),
        "msgget": (68, (0, 0o1666)),
        "semget": (64, (0, 1, 0o1666)),
        "mq_open": (240, (b"x", 0o102, 0o666)),
        "getrandom": (318, (0, 0)),
        "sched_setaffinity": (203, (0,)),
        "landlock_create_ruleset": (444, (0, 0, 1)),
        "seccomp": (317, (2,)),
        "pipe2": (293, (0,)),
        "ioctl": (16, (0,)),
        "fcntl": (72, (0, 4)),
        "tkill": (200, (1, 0)),
        "rt_sigqueueinfo": (129, (1,)),
        "setuid": (105, (0,)),
        "capset": (126, (0,)),
        "reboot": (169, (0,)),
        "kexec_load": (246, (0,)),
        "init_module": (175, (0,)),
        "name_to_handle_at": (303, (-100,)),
        "open_by_handle_at": (304, (0,)),
        "fanotify_init": (300, (0,)),
        "sethostname": (170, (b"x",)),
        "swapon": (167, (0,)),
        "syslog": (103, (3,)),
        "x32 getpid": (0x40000000 + 39, ()),
    },
}


class Canary:
    """An environment with one hostile tool and one innocent one."""

    def attack(self, target):
        libc, let_through = library(), []
        for name, (number, arguments) in CALLS[MACHINE].items():
            if libc.syscall(number, *arguments, 0, 0, 0) >= 0:
                let_through.append(name)
        raise RuntimeError(f"let through: {let_through}" if let_through else "all refused")

    def greet(self, name):
        self.greeted = name
        return {"success": True, "hello": name}
