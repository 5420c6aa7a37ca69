"""The files by pyinfra's `files.template`; HAProxy is asked, reloaded and requested only where something changed."""

from types import SimpleNamespace

from pyinfra import host
from pyinfra.operations import files, server, systemd

values = {
    "node": SimpleNamespace(name=host.name),
    "version": host.data.version,
    "sites": host.data.sites,
    "listen_port": 8103,
}
written = [
    files.template(
        name=f"Write {name}",
        src=f"{host.data.templates}/{name}",
        dest=f"/etc/bench/pyinfra/{name}",
        mode="644",
        **values,
    )
    for name in [*host.data.services, "haproxy.cfg"]
]


def changed():
    return any(operation.did_change() for operation in written)


server.shell(
    name="Check HAProxy's file",
    commands=["haproxy -c -q -f /etc/bench/pyinfra/haproxy.cfg"],
    _if=changed,
)
systemd.service(name="Reload", service="bench-pyinfra", running=True, reloaded=True, _if=changed)
server.shell(
    name="See the new version served",
    commands=[
        f"timeout 10 sh -c 'until curl -fs -m 2 http://127.0.0.1:8103/version/{host.data.version}; do sleep 0.02; done'"
    ],
    _if=changed,
)
