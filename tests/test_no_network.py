"""The guard of tests/no_network reaches this process, its subprocesses and notebook kernels."""

import os
import socket
import subprocess
import sys
from queue import Empty

import pytest
from jupyter_client.manager import start_new_kernel

# TEST-NET-1 of RFC 5737, where no machine is. The probe sends only under a guard that refuses.
PROBE = """
import socket
if not getattr(socket.socket.connect, "blocks_network", False):
    print("guard absent")
else:
    try:
        socket.create_connection(("192.0.2.1", 9), timeout=1)
    except OSError as error:
        print(error)
"""
REFUSAL = "blocked a connection to ('192.0.2.1', 9)"


@pytest.fixture(autouse=True)
def guard():
    assert getattr(socket.socket.connect, "blocks_network", False), "the guard is not in place"


def run_probe(environment: dict[str, str]) -> str:
    command = [sys.executable, "-c", PROBE]
    return subprocess.run(command, env=environment, capture_output=True, text=True).stdout


@pytest.mark.parametrize("method", ["connect", "connect_ex"])
@pytest.mark.parametrize("address", [("192.0.2.1", 9), ("0.0.0.0", 9), ("course.invalid", 9)])
def test_a_connection_out_is_refused(method, address):
    with socket.socket() as tcp, pytest.raises(OSError, match="blocked a connection"):
        getattr(tcp, method)(address)


def test_a_connection_out_over_ipv6_is_refused():
    with socket.socket(socket.AF_INET6) as tcp, pytest.raises(OSError, match="blocked"):
        tcp.connect(("2001:db8::1", 9))


def test_a_datagram_out_is_refused():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        with pytest.raises(OSError, match="blocked"):
            udp.sendto(b"x", ("192.0.2.1", 9))
        with pytest.raises(OSError, match="blocked"):
            udp.sendto(b"x", 0, ("192.0.2.1", 9))
        with pytest.raises(OSError, match="blocked"):
            udp.sendmsg([b"x"], [], 0, ("192.0.2.1", 9))


@pytest.mark.parametrize("function", ["getaddrinfo", "gethostbyname", "gethostbyname_ex"])
def test_a_name_elsewhere_is_not_looked_up(function):
    arguments = ("course.invalid", 80) if function == "getaddrinfo" else ("course.invalid",)
    with pytest.raises(OSError, match=r"blocked a connection to 'course\.invalid'"):
        getattr(socket, function)(*arguments)


def test_this_machine_stays_within_reach():
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(("localhost", server.getsockname()[1]), timeout=5) as tcp:
            assert tcp.getpeername()[0] == "127.0.0.1"
        assert socket.getaddrinfo("127.0.0.1", 80)


def test_a_subprocess_is_blocked_too():
    assert REFUSAL in run_probe(dict(os.environ))


def test_the_probe_notices_a_missing_guard():
    unguarded = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    assert run_probe(unguarded).strip() == "guard absent"


def test_a_notebook_kernel_is_blocked_too():
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        printed = []

        def keep(message):
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        client.execute_interactive(PROBE, timeout=60, output_hook=keep)
    except Empty:
        pytest.fail("the kernel did not answer")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert REFUSAL in "".join(printed)
