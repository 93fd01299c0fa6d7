#!/usr/bin/env python3
"""A Ray cluster of three hosts on one Linux machine, to test what a real cluster does.

The hosts h1 (head), h2 and h3 are network namespaces on a bridge. Each has its own address, its own
host name and, under `/tmp/mtlsweep-rehearsal/scratch`, a directory that other hosts cannot see: a program
that needs a shared disk fails here as on a real cluster. The bridge also has an address, so this machine
can reach the job server like a user's laptop.

    rehearse.py up | check | down                  create, check, remove it
    rehearse.py up --growing                       only the head, which runs no trials; other hosts join later
    rehearse.py leave h2 | kill h2 | cut h2        end a raylet in order, SIGKILL it, disconnect a host
    rehearse.py join h2                            let a host join, also after one of these
    rehearse.py run h1 COMMAND...                  run a command on a host

Needs root, `ip` (iproute2) and `unshare`. Uses only the standard library and the `ray` command of this
Python environment.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

HOSTS = {"h1": "10.77.0.1", "h2": "10.77.0.2", "h3": "10.77.0.3"}
HEAD = "h1"
OUTSIDE = "10.77.0.254"
BRIDGE = "mtlsweep0"
RAY_ADDRESS = f"{HOSTS[HEAD]}:6379"
JOB_ADDRESS = f"http://{HOSTS[HEAD]}:8265"

# Short, because the paths of Ray's sockets start with it and are limited to 107 bytes.
ROOT = Path("/tmp/mtlsweep-rehearsal")
SCRATCH = ROOT / "scratch"
TOKEN = ROOT / "token"
PROBE = Path(__file__).with_name("probe.py")

QUICK_FAILURE_DETECTION = {
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_initial_delay_ms": "3000",
}

# A network namespace isolates only the network. Host name and scratch directory are set in namespaces
# of each command, so nothing is mounted or renamed outside.
BECOME_HOST = 'echo "$1" > /proc/sys/kernel/hostname; mount --bind "$2" "$3"; shift 3; exec "$@"'


class RehearsalError(Exception):
    """Why a command failed, in one sentence."""


def unavailable() -> str | None:
    """Return why a cluster cannot be created here, or None."""
    if sys.platform != "linux":
        return "network namespaces need Linux"
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("ip", "unshare"):
        if shutil.which(program) is None:
            return f"`{program}` not found (Debian: apt-get install iproute2 util-linux)"
    probe = subprocess.run(["unshare", "--net", "--uts", "--mount", "true"], capture_output=True, check=False)
    return None if probe.returncode == 0 else "this machine does not allow namespaces"


def client_environment() -> dict[str, str]:
    """Return the environment of a client: the token, and a PATH that starts with this Python's programs."""
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN.read_text(),
        "RAY_USAGE_STATS_ENABLED": "0",
    }


def on_host(host: str, *command: str) -> list[str]:
    """Return the command line that runs `command` on a host."""
    become = ["unshare", "--uts", "sh", "-ec", BECOME_HOST, "sh", host, str(ROOT / host), str(SCRATCH)]
    return ["ip", "netns", "exec", _namespace(host), *become, *command]


def host_environment() -> dict[str, str]:
    """Return the environment of programs on a host: home and temporary files are in its scratch directory."""
    places = {"HOME": str(SCRATCH), "TMPDIR": str(SCRATCH / "tmp"), "RAY_TMPDIR": str(SCRATCH)}
    return {**os.environ, **client_environment(), **QUICK_FAILURE_DETECTION, **places}


def run(host: str, *command: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `command` on a host, wait for it, and capture its output."""
    return subprocess.run(
        on_host(host, *command),
        env=dict(environment or host_environment()),
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )


def up(growing: bool = False) -> None:
    """Create the hosts and start Ray on them.

    Args:
        growing: whether to start Ray on the head only, without CPUs for trials; the other hosts `join` later.

    Raises:
        RehearsalError: it is not possible here, or a cluster exists already.
    """
    if reason := unavailable():
        raise RehearsalError(f"no rehearsal here: {reason}.")
    if leftovers() or ROOT.exists():
        raise RehearsalError("a rehearsal exists already; remove it first with `rehearse.py down`.")
    try:
        for directory in (SCRATCH, *(ROOT / host / "tmp" for host in HOSTS)):
            directory.mkdir(parents=True)
        TOKEN.touch(mode=0o600)
        TOKEN.write_text(secrets.token_hex(32))
        _make_network()
        for host in [HEAD] if growing else HOSTS:
            _start_ray(host, cpus=0 if growing else 1)
    except BaseException:
        down()
        raise


def down() -> None:
    """Remove every process, namespace, link and file of the cluster; do nothing if there is none."""
    for host in HOSTS:
        if _exists("netns", _namespace(host)):
            _end_processes(host)
            _ip("netns", "delete", _namespace(host))
    for link in (BRIDGE, *(_cable(host) for host in HOSTS)):
        if _exists("link", link):
            _ip("link", "delete", link)
    shutil.rmtree(ROOT, ignore_errors=True)
    if left := leftovers():
        raise RehearsalError(f"could not be removed: {', '.join(left)}.")


def check() -> None:
    """Check the cluster: every host runs tasks, sees only its own disk, and rejects a wrong token.

    Raises:
        RehearsalError: a check failed.
    """
    if not TOKEN.exists():
        raise RehearsalError("there is no rehearsal; create one with `rehearse.py up`.")
    for host in HOSTS:
        (ROOT / host / "owner").write_text(host)
    known = run(HEAD, sys.executable, str(PROBE), RAY_ADDRESS, str(SCRATCH / "owner"))
    found = sorted(known.stdout.split("\n")[-2].split()) if known.returncode == 0 else []
    expected = sorted(f"{host}:{host}" for host in HOSTS)
    if found != expected:
        raise RehearsalError(f"expected tasks on {expected}, found {found}:\n{known.stdout}{known.stderr}")
    print(f"tasks ran on {', '.join(HOSTS)}, each with a scratch directory of its own")
    wrong_client = {**host_environment(), "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    if run(HEAD, sys.executable, str(PROBE), RAY_ADDRESS, "/dev/null", environment=wrong_client).returncode == 0:
        raise RehearsalError("a driver with a wrong token was accepted.")
    print("a driver with a wrong token was rejected")


def leave(host: str) -> None:
    """SIGTERM the raylet of a host, as a launcher does before it takes a machine away: the host says that it goes."""
    kill(host, signal.SIGTERM)


def kill(host: str, number: signal.Signals = signal.SIGKILL) -> None:
    """SIGKILL the raylet of a host, like a power failure."""
    for pid in _processes(host):
        if Path(_program(pid)).name == "raylet":
            os.kill(pid, number)


def cut(host: str) -> None:
    """Disconnect a host; its processes continue without network."""
    _ip("link", "set", _cable(host), "down")


def join(host: str) -> None:
    """Let a host join, for the first time or after it has left, was killed or was disconnected, like after a restart."""
    _end_processes(host)
    _ip("link", "set", _cable(host), "up")
    _start_ray(host)


def _make_network() -> None:
    _ip("link", "add", BRIDGE, "type", "bridge")
    _ip("addr", "add", f"{OUTSIDE}/24", "dev", BRIDGE)
    _ip("link", "set", BRIDGE, "up")
    for host, address in HOSTS.items():
        space = _namespace(host)
        _ip("netns", "add", space)
        _ip("link", "add", _cable(host), "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("link", "set", _cable(host), "master", BRIDGE, "up")
        _ip("-n", space, "addr", "add", f"{address}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            _ip("-n", space, "link", "set", device, "up")


def _start_ray(host: str, cpus: int = 1) -> None:
    """Start Ray on a host; with one CPU each, three parallel trials use all three hosts."""
    if host == HEAD:
        role = ["--head", "--port=6379", f"--dashboard-host={HOSTS[HEAD]}", "--dashboard-port=8265"]
    else:
        role = [f"--address={RAY_ADDRESS}"]
    own = [f"--node-ip-address={HOSTS[host]}", f"--num-cpus={cpus}", "--object-store-memory=100000000"]
    started = run(host, "ray", "start", *role, *own, "--disable-usage-stats")
    if started.returncode != 0:
        raise RehearsalError(f"Ray did not start on {host}:\n{started.stdout}{started.stderr}")


def _namespace(host: str) -> str:
    return f"mtlsweep-{host}"


def _cable(host: str) -> str:
    return f"mtlsweep-{host}"


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RehearsalError(f"`ip {' '.join(arguments)}`: {done.stderr.strip()}")
    return done.stdout


def _exists(kind: str, name: str) -> bool:
    known = Path("/run/netns" if kind == "netns" else "/sys/class/net")
    return (known / name).exists()


def leftovers() -> list[str]:
    """Return the names of all existing namespaces and links."""
    links = [name for name in (BRIDGE, *map(_cable, HOSTS)) if _exists("link", name)]
    return links + [name for name in map(_namespace, HOSTS) if _exists("netns", name)]


def _processes(host: str) -> list[int]:
    return [int(pid) for pid in _ip("netns", "pids", _namespace(host)).split()]


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0]
    except OSError:  # it has ended
        return ""


def _end_processes(host: str) -> None:
    """SIGKILL the processes of a host until none is left: a killed process may have started another one."""
    deadline = time.monotonic() + 30
    while pids := _processes(host):
        if time.monotonic() > deadline:
            raise RehearsalError(f"processes {pids} of {host} do not end.")
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen command; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for act in (up, check, down, leave, kill, cut, join):
        verb = verbs.add_parser(act.__name__)
        verb.set_defaults(act=act)
        if act is up:
            verb.add_argument("--growing", action="store_true", help="start the head only, without CPUs for trials")
        elif act not in (check, down):
            verb.add_argument("host", choices=HOSTS)
    verb = verbs.add_parser("run")
    verb.add_argument("host", choices=HOSTS)
    verb.add_argument("command", nargs=argparse.REMAINDER)
    chosen = vars(parser.parse_args(arguments))
    try:
        if chosen["verb"] == "run":
            command = on_host(chosen["host"], *chosen["command"])
            return subprocess.run(command, env=host_environment(), check=False).returncode
        chosen["act"](*(chosen[name] for name in ("host", "growing") if name in chosen))
    except RehearsalError as error:
        print(f"rehearse: {error}", file=sys.stderr)
        return 1
    if chosen["verb"] == "up":
        print(f"up: Ray at {RAY_ADDRESS}, jobs at {JOB_ADDRESS}, token in {TOKEN}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
