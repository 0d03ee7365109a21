"""systemd: a unit for each release, which may do next to nothing but answer."""

from __future__ import annotations

from collections.abc import Sequence

from everloop.packaging.manifests.entities import PORT, Release, Workload

_HARDENING = (
    ("DynamicUser", "yes"),
    ("NoNewPrivileges", "yes"),
    ("PrivateDevices", "yes"),
    ("PrivateTmp", "yes"),
    ("PrivateUsers", "yes"),
    ("ProtectClock", "yes"),
    ("ProtectControlGroups", "yes"),
    ("ProtectHome", "yes"),
    ("ProtectHostname", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("ProtectProc", "invisible"),
    ("ProcSubset", "pid"),
    ("ProtectSystem", "strict"),
    ("RestrictNamespaces", "yes"),
    ("RestrictRealtime", "yes"),
    ("RestrictSUIDSGID", "yes"),
    ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"),
    ("LockPersonality", "yes"),
    ("RemoveIPC", "yes"),
    ("CapabilityBoundingSet", ""),
    ("AmbientCapabilities", ""),
    ("SystemCallArchitectures", "native"),
    ("SystemCallFilter", "@system-service"),
    ("SystemCallFilter", "~@privileged @resources"),
    ("UMask", "0077"),
)
# No MemoryDenyWriteExecute: numba, PyTorch and ONNX Runtime write code while they run.


def written_for(workload: Workload) -> tuple[dict[str, str], tuple[str, ...]]:
    """A unit for each release; they listen on this machine's ports from 8080 on, in their order."""
    files = {
        f"{release.name}.service": unit(workload, release, PORT + place)
        for place, release in enumerate(workload.releases)
    }
    where = [
        f"Unpack the package of {one.model}@{one.version} into /opt/everloop/{one.name}." for one in workload.releases
    ]
    if workload.placement.runtime == "platform":
        where = ["/etc/everloop.env must hold EVERLOOP_DATABASE_URL and EVERLOOP_STORE_URL, readable by root alone."]
    return files, ("Everloop must be installed in /opt/everloop/venv.", *where)


def unit(workload: Workload, release: Release, port: int) -> str:
    """The unit of a release."""
    size = workload.size
    platform = workload.placement.runtime == "platform"
    told = [("Description", f"Model {release.model}, version {release.version}"), ("After", "network-online.target")]
    service = [
        ("Type", "exec"),
        ("ExecStart", " ".join(_words(release, port, platform=platform))),
        ("Environment", f"OMP_NUM_THREADS={max(1, size.cpu_limit // 1000)}"),
        *([("Environment", "EVERLOOP_HOME=%S/" + release.name)] if platform else []),
        *([("EnvironmentFile", "/etc/everloop.env")] if platform else []),
        *([("StateDirectory", release.name)] if platform else []),
        ("Restart", "always"),
        ("RestartSec", "1"),
        ("TimeoutStopSec", "30"),
        ("MemoryMax", f"{size.memory_limit}M"),
        ("CPUQuota", f"{size.cpu_limit // 10}%"),
        ("TasksMax", "256"),
        *(_HARDENING if platform else (*_HARDENING, *_LOOPBACK)),
    ]
    sections = (
        ("Unit", [*told, ("Wants", "network-online.target")]),
        ("Service", service),
        ("Install", [("WantedBy", "multi-user.target")]),
    )
    return "\n".join(_section(name, pairs) for name, pairs in sections)


_LOOPBACK = (("IPAddressDeny", "any"), ("IPAddressAllow", "localhost"))
"""A model needs nothing from outside; who is to ask it from there goes through a proxy on this machine."""


def _words(release: Release, port: int, *, platform: bool) -> list[str]:
    if platform:
        program = ["/opt/everloop/venv/bin/everloop", "serve", f"models:/{release.model}/{release.version}"]
    else:
        program = ["/opt/everloop/venv/bin/python", "-m", "everloop.server.inference.standalone"]
        program.append(f"/opt/everloop/{release.name}")
    return [*program, "--port", str(port)]


def _section(name: str, pairs: Sequence[tuple[str, str]]) -> str:
    return "".join([f"[{name}]\n", *(f"{key}={value}\n" for key, value in pairs)])
